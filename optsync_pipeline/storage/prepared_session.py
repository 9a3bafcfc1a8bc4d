"""A process's own connection for a few statements that run with every request: prepared once, each its own transaction.

Everything else goes through Database's pool. What the statements mean is their owner's business.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable, StorageError, one_line, typed_error
from optsync_pipeline.storage.queries import sql_text

RETRY_WAITS_SECONDS = (0.1, 0.4, 1.0, 2.0, 2.0)  # a PostgreSQL that was killed recovers in two or three seconds
# What is lost in a crash is a fraction of a second of counting: no reply waits for the disk. A row that somebody's
# forgotten session keeps locked ends in an error and not in silence.
_SESSION_SETTINGS = "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; SET lock_timeout = '5s'"


class PreparedSession:
    """Runs named queries (sql/queries) on one autocommit connection; safe for threads, which take turns.

    parameters: each query's name → the names of its parameters. The connection is opened on first use, and anew after
    it was lost. Autocommit: no row stays locked while nothing runs.
    """

    def __init__(self, database: Database, parameters: Mapping[str, Sequence[str]]) -> None:
        self._database = database
        self._prepares = [_prepare(name, names) for name, names in parameters.items()]
        self._executes = {name: _execute(name, names) for name, names in parameters.items()}
        self._lock = threading.Lock()
        self._connection: psycopg2.extensions.connection | None = None
        self._was_reached = False

    def run(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run a query and return its first row, if it gives rows; again for some 5 s after faults that may heal.

        After a lost connection it may have taken effect twice. Raises StorageError.
        """
        for wait_seconds in RETRY_WAITS_SECONDS:
            try:
                return self.run_once(name, parameters)
            except StorageError as error:
                # A server that never answered is told at once: a person waits for it.
                if not error.retryable or not self._was_reached:
                    raise
            # Outside the lock: threads that all lost the connection wait side by side, not one after the other.
            time.sleep(wait_seconds * random.uniform(0.8, 1.2))
        return self.run_once(name, parameters)

    def run_once(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run a query without a second try."""
        with self._lock:
            try:
                connection = self._connection = self._connection or self._open()
                with connection.cursor() as cursor:
                    cursor.execute(self._executes[name], parameters)
                    if cursor.description is None:
                        return None
                    row = cursor.fetchone()
                    return dict(zip([column.name for column in cursor.description], row, strict=True)) if row else None
            except psycopg2.Error as error:
                raise self._given_up(error) from error

    def close(self) -> None:
        """Close the connection; a later run opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> psycopg2.extensions.connection:
        connection = self._database.dedicated_connection()
        self._was_reached = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(_SESSION_SETTINGS)
                for statement in self._prepares:
                    cursor.execute(statement)
        except psycopg2.Error:
            connection.close()
            raise
        return connection

    def _given_up(self, error: psycopg2.Error) -> Exception:
        """Close a connection on which something went wrong, and return the error to raise: a new one costs 5 ms."""
        connection, self._connection = self._connection, None
        address = self._database.address
        if connection is None:
            return typed_error(error, connection_lost=False, address=address) or error
        lost = connection.closed != 0
        connection.close()
        if lost:
            return DatabaseUnavailable(f"the connection to PostgreSQL at {address} was lost: {one_line(error)}")
        return typed_error(error, connection_lost=False, address=address) or error


def _prepare(name: str, parameters: Sequence[str]) -> str:
    numbered = {parameter: f"${number}" for number, parameter in enumerate(parameters, 1)}
    return f"PREPARE {name} AS\n{sql_text(name) % numbered}"


def _execute(name: str, parameters: Sequence[str]) -> str:
    return f"EXECUTE {name} ({', '.join(f'%({parameter})s' for parameter in parameters)})"
