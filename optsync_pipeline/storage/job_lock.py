"""The lock that shows that a sync job's process lives. What is done under it is storage.sync_log."""

import contextlib
from collections.abc import Iterator

import psycopg2
import psycopg2.extensions

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable, one_line
from optsync_pipeline.storage.queries import sql_text

LOCK_CLASS = 0x6F707473  # "opts"

# Both ends notice a silent network: the server would else keep the lock of a process that is long gone.
_NOTICE_SILENCE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"


class JobLock:
    """The proof that a job's process lives: a lock on a connection of its own, held from acquire() to release()."""

    def __init__(self, database: Database, job_id: int) -> None:
        self.job_id = job_id
        self._database = database
        self._connection: psycopg2.extensions.connection | None = None
        self._session_id = 0  # the server's process; libpq forgets it when the connection is lost

    def acquire(self) -> bool:
        """Take the lock; return False where another process has it."""
        return self._take()

    def held(self) -> bool:
        """Whether this process has the lock; one whose connection was lost is taken again if nobody was faster.

        False is final: another process has the job, or release() was called. Raises DatabaseUnavailable where
        PostgreSQL does not answer; asking again later is right then.
        """
        if self._connection is None:
            return False
        if self._still_holds(self._connection):
            return True
        lost = self._connection
        taken = self._take()
        lost.close()
        if not taken:
            self._connection, self._session_id = None, 0
        return taken

    def release(self) -> None:
        """Give the lock back."""
        if self._connection is not None:
            # Not left to the server's noticing: the next sync may look at once.
            with contextlib.suppress(psycopg2.Error), self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection, self._session_id = None, 0

    def _take(self) -> bool:
        """Take the lock on a new connection: also from the server's end of our own lost one, but from nobody else."""
        connection = self._database.dedicated_connection()
        acquired = False
        try:
            with self._faults(), connection.cursor() as cursor:
                cursor.execute(_NOTICE_SILENCE)
                if self._session_id:
                    cursor.execute(sql_text("end_lost_lock_session"), self._params | {"process_id": self._session_id})
                cursor.execute("SELECT pg_try_advisory_lock(%(lock_class)s, %(job_id)s)", self._params)
                acquired = cursor.fetchone() == (True,)
        finally:
            if not acquired:
                connection.close()
        if acquired:
            self._connection, self._session_id = connection, connection.info.backend_pid
        return acquired

    def _still_holds(self, connection: psycopg2.extensions.connection) -> bool:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql_text("is_lock_held_here"), self._params)
                return cursor.fetchone() == (True,)
        except psycopg2.Error:  # the lock ended with its connection; a new one tells what is wrong
            return False

    @property
    def _params(self) -> dict[str, int]:
        return {"lock_class": LOCK_CLASS, "job_id": self.job_id}

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except psycopg2.OperationalError as error:
            raise DatabaseUnavailable(
                f"the connection to PostgreSQL at {self._database.address} was lost: {one_line(error)}"
            ) from error
