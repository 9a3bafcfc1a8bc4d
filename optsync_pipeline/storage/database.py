"""Connections and transactions: one pool a process. The queries themselves belong to their subject's module.

SQLAlchemy is used for its pool alone (pre-ping, recycling); work is done on psycopg2 cursors, without an ORM.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import sqlalchemy
import sqlalchemy.exc
from psycopg2.extensions import make_dsn, parse_dsn

from optsync_pipeline.settings import Settings, is_database_url
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable, StorageError, one_line, typed_error
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.storage.queries import sql_text

T = TypeVar("T")
Params = Mapping[str, Any] | Sequence[Any] | None

MAX_CONNECTIONS = 10
RECYCLE_SECONDS = 3600
# A server or network that falls silent ends in an error within half a minute. What the URL says itself goes first.
CONNECTION_OPTIONS = {
    "application_name": "optsync",
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # ms
}
OLDEST_SERVER = 140000
RETRY_WAITS_SECONDS = (0.1, 0.5, 2.0)  # a failover or a restart takes a second or two


class Database:
    """One PostgreSQL database: safe for threads, at most 10 connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.address = _address(url)
        self._was_reached = False
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=partial(_connect, url, self.address),
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            pool_recycle=RECYCLE_SECONDS,
            use_native_hstore=False,
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor; commit at the end, roll back on any exception.

        Raises StorageError for faults of the database; errors about the rows stay psycopg2's own.
        """
        try:
            connection = self._engine.raw_connection()
        except sqlalchemy.exc.TimeoutError as error:
            raise DatabaseUnavailable(f"all {MAX_CONNECTIONS} connections to {self.address} stayed busy") from error
        self._was_reached = True
        try:
            cursor: psycopg2.extensions.cursor = connection.cursor()  # type: ignore[assignment]
            with cursor:
                yield cursor
            connection.commit()
        except BaseException as error:
            lost = _roll_back(connection)
            if isinstance(error, psycopg2.Error):
                typed = typed_error(error, connection_lost=lost, address=self.address)
                if typed is not None:
                    raise typed from error
            raise
        finally:
            connection.close()

    def run_transaction(self, work: Callable[[psycopg2.extensions.cursor], T]) -> T:
        """Run `work` in a transaction, again up to 3 times after a fault that may heal: `work` must bear repeating."""
        for wait_seconds in RETRY_WAITS_SECONDS:
            try:
                with self.transaction() as cursor:
                    return work(cursor)
            except StorageError as error:
                # A server that never answered is told at once: a person waits for it.
                if not error.retryable or not self._was_reached:
                    raise
            # Jitter: two transactions that deadlocked must not meet again.
            time.sleep(wait_seconds * random.uniform(0.5, 1.5))
        with self.transaction() as cursor:
            return work(cursor)

    def fetch_all(self, query: str, params: Params = None) -> list[dict[str, Any]]:
        """Return the rows of a query, named (sql/queries) or as SQL, as dicts."""
        return self.run_transaction(partial(fetch_rows, query=query, params=params))

    def fetch_one(self, query: str, params: Params = None) -> dict[str, Any] | None:
        """Return the first row of a query, or None."""
        rows = self.fetch_all(query, params)
        return rows[0] if rows else None

    def execute(self, query: str, params: Params = None) -> int:
        """Run a statement, named or as SQL, in its own transaction; return how many rows it touched."""

        def work(cursor: psycopg2.extensions.cursor) -> int:
            cursor.execute(sql_text(query), params)
            return cursor.rowcount

        return self.run_transaction(work)

    def dedicated_connection(self) -> psycopg2.extensions.connection:
        """Return a new connection outside the pool, in autocommit: for locks that live as long as a session."""
        connection = _connect(self._url, self.address)
        connection.autocommit = True
        return connection

    def close(self) -> None:
        """Close the pool's connections."""
        self._engine.dispose()


def fetch_rows(cursor: psycopg2.extensions.cursor, query: str, params: Params = None) -> list[dict[str, Any]]:
    """Return the rows of a query, named or as SQL, inside a transaction that is under way."""
    cursor.execute(sql_text(query), params)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def open_database(settings: Settings) -> Database:
    """Return the database of the settings: the embedded server started if need be, missing migrations applied."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        url = EmbeddedPostgres(settings.home).ensure_running()
    database = Database(url)
    try:
        apply_migrations(database)
    except BaseException:
        database.close()
        raise
    return database


def dagster_url(settings: Settings) -> str:
    """Return the SQLAlchemy URL for Dagster's own tables; starts the embedded server where that serves them."""
    chosen = settings.dagster_database_url or settings.database_url
    if chosen is not None:
        url = chosen.get_secret_value()
    else:
        server = EmbeddedPostgres(settings.home)
        server.ensure_running()
        url = server.url("dagster")
    # Plain postgresql:// means another driver from SQLAlchemy 2.1 on.
    return f"postgresql+psycopg2://{url.partition('://')[2]}"


def _connect(url: str, address: str) -> psycopg2.extensions.connection:
    parts = _url_parts(url)
    if parts is None:
        raise DatabaseUnavailable(
            "the database URL cannot be read: check OPTSYNC_DATABASE_URL, and percent-encode special characters in it"
        )
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(make_dsn(**(CONNECTION_OPTIONS | parts)))
    except (psycopg2.ProgrammingError, psycopg2.OperationalError) as error:
        told = isinstance(error, psycopg2.OperationalError)
        reason = _without_address(error) if told else "an option of the URL is unknown"
        # Without its cause: before there is a connection, libpq's own text may repeat any part of the URL.
        raise DatabaseUnavailable(
            f"PostgreSQL at {address} gives no connection: {reason}: "
            "is it running (`optsync db status`), and is OPTSYNC_DATABASE_URL right where it is set?"
        ) from None
    if connection.server_version < OLDEST_SERVER:
        connection.close()
        raise DatabaseFault(f"PostgreSQL at {address} is older than 14: use a newer server", retryable=False)
    return connection


def _roll_back(connection: sqlalchemy.PoolProxiedConnection) -> bool:
    """Roll back; return whether the connection is lost and was given up."""
    try:
        connection.rollback()
    except psycopg2.Error:
        connection.invalidate()
        return True
    return False


def _without_address(error: psycopg2.Error) -> str:
    return one_line(one_line(error).partition(" failed: ")[2] or error)


def _address(url: str) -> str:
    """Return host:port/database of a URL, for messages: never the password."""
    parts = _url_parts(url)
    if parts is None:
        return "the configured URL"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', '5432')}/{parts.get('dbname', '')}"


def _url_parts(url: str) -> dict[str, str] | None:
    """Return the parts of a URL by libpq's names, or None where others could take it apart in another way."""
    if not is_database_url(url):
        return None
    try:
        return dict(parse_dsn(f"postgresql://{url.partition('://')[2]}"))
    except psycopg2.ProgrammingError:
        return None
