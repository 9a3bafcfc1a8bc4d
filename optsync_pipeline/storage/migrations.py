"""Brings a database to the tables of sql/migrations: numbered files, forward only, each in its own transaction.

All happens under one advisory lock, so any number of processes may migrate at once. A file that was applied is frozen:
its checksum is kept, and a changed one is an error. A change of tables is a new file with the next number.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage.errors import MigrationError, one_line, typed_error

if TYPE_CHECKING:
    from optsync_pipeline.storage.database import Database

MIGRATIONS_FOLDER = PROJECT_ROOT / "sql" / "migrations"
LOCK_CLASS = 0x6F70746D  # "optm"

_CREATE_LOG = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    checksum text NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'The files of sql/migrations that this database has, each as it was when applied.'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of sql/migrations."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What shows that an applied file was edited."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """Return the migrations of a folder in their order. Raises MigrationError where the numbers are not 1, 2, 3, …"""
    files = sorted(folder.glob("*.sql"))
    found = []
    for expected, file in enumerate(files, start=1):
        if file.name[:5] != f"{expected:04}_":
            raise MigrationError(
                f"{file.name} in {folder} should begin with {expected:04}_: number migrations 1, 2, 3, …"
            )
        found.append(Migration(expected, file.stem, file.read_text(encoding="utf-8")))
    if not found:
        raise MigrationError(f"no migrations in {folder}: optsync runs from its checkout, which has them")
    return found


def pending(database: "Database", folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """Return the migrations that the database lacks. Raises MigrationError where it has others than this checkout."""
    migrations = read_migrations(folder)
    try:
        rows = database.fetch_all("SELECT version, name, checksum FROM schema_migrations")
    except psycopg2.errors.UndefinedTable:
        return migrations
    return _missing(migrations, {row["version"]: (row["name"], row["checksum"]) for row in rows})


def apply_migrations(database: "Database", folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """Apply what is missing and return it. Where nothing is, this costs one query."""
    if not pending(database, folder):
        return []
    with _locked_session(database) as cursor:
        cursor.execute(_CREATE_LOG)
        cursor.execute("SELECT version, name, checksum FROM schema_migrations")
        applied = {version: (name, checksum) for version, name, checksum in cursor.fetchall()}
        missing = _missing(read_migrations(folder), applied)  # another process may have been first
        for migration in missing:
            _apply(cursor, migration, database.address)
    return missing


def _missing(migrations: list[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    for migration in migrations:
        name, checksum = applied.get(migration.version, (None, None))
        if checksum is not None and checksum != migration.checksum:
            raise MigrationError(
                f"sql/migrations/{migration.name}.sql was changed after it was applied (as {name}): "
                "restore it and write the change as a new migration"
            )
    unknown = sorted(set(applied) - {migration.version for migration in migrations})
    if unknown:
        raise MigrationError(
            f"the database has migration {applied[unknown[0]][0]}, which this checkout lacks: update the checkout"
        )
    return [migration for migration in migrations if migration.version not in applied]


def _apply(cursor: psycopg2.extensions.cursor, migration: Migration, address: str) -> None:
    try:
        cursor.execute("BEGIN")
        cursor.execute(migration.sql)
        cursor.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )
        cursor.execute("COMMIT")
    except psycopg2.Error as error:
        lost = bool(cursor.connection.closed)
        typed = typed_error(error, connection_lost=lost, address=address)
        if typed is not None:
            raise typed from error
        raise MigrationError(f"sql/migrations/{migration.name}.sql cannot be applied: {one_line(error)}") from error


@contextlib.contextmanager
def _locked_session(database: "Database") -> Iterator[psycopg2.extensions.cursor]:
    # The lock ends with the session, so a process killed half way leaves none behind.
    with contextlib.closing(database.dedicated_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 0)", (LOCK_CLASS,))
        yield cursor
