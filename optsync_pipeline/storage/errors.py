"""What can go wrong with PostgreSQL, as far as a caller can do something about it.

    StorageError
    ├── DatabaseUnavailable     no connection, or it was lost; the server could not be set up or started
    ├── DatabaseFault           connected, but the database cannot work: full disk, read-only, no rights, deadlocks
    └── MigrationError          the tables are not those that this checkout's sql/migrations describe

Each text is one line that says what is wrong and how to mend it, and never holds a password. A row that the database
refuses (a constraint, a value out of range) is none of these: storage.market_tables deals with it.
"""

import psycopg2
from psycopg2 import errors

ROW_REFUSALS: tuple[type[psycopg2.Error], ...] = (
    psycopg2.DataError,
    psycopg2.IntegrityError,
    errors.ProgramLimitExceeded,  # a text too long for an index
    errors.RaiseException,  # a trigger's
)
"""What PostgreSQL raises where rows are at fault, and not itself."""


class StorageError(Exception):
    """PostgreSQL cannot do what was asked. retryable: whether the same may succeed a moment later."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class DatabaseUnavailable(StorageError):
    """There is no connection to PostgreSQL."""


class DatabaseFault(StorageError):
    """PostgreSQL answers, but cannot store or read now."""


class MigrationError(StorageError):
    """The database's tables and this checkout's migrations do not fit together."""


def one_line(text: object) -> str:
    """Return the first line that says something, without the severity that PostgreSQL puts in front."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0].removeprefix("FATAL:").removeprefix("ERROR:").strip() if lines else "no reason given"


def typed_error(error: psycopg2.Error, *, connection_lost: bool, address: str) -> StorageError | None:
    """Return the StorageError that an error of a running transaction stands for, or None where it is about the rows."""
    reason = one_line(error)
    if isinstance(error, ROW_REFUSALS):
        return None
    if connection_lost or (error.pgcode or "").startswith("08") or isinstance(error, errors.AdminShutdown):
        return DatabaseUnavailable(f"the connection to PostgreSQL at {address} was lost: {reason}")
    if isinstance(error, errors.InsufficientPrivilege):
        return DatabaseFault(
            f"PostgreSQL at {address}: {reason}: grant the user of the URL its rights", retryable=False
        )
    if isinstance(error, errors.DiskFull):
        return DatabaseFault(f"the disk of PostgreSQL at {address} is full: {reason}: make room, then start again")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseFault(f"PostgreSQL at {address} is read-only: {reason}: use the URL of the primary server")
    if isinstance(error, psycopg2.OperationalError | psycopg2.InternalError):
        return DatabaseFault(f"PostgreSQL at {address} could not finish: {reason}")
    return None
