"""Fixtures with a real PostgreSQL: one embedded server a session, a fresh migrated database a test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.migrations import apply_migrations

TEMPLATE = "migrated_template"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
_numbers = itertools.count(1)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that other users can enter: pytest's tmp_path is closed to the user of root's server."""
    with new_open_folder() as folder:
        yield folder


@contextmanager
def new_open_folder() -> Iterator[Path]:
    """Give an empty folder that other users can enter, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="optsync-test-", dir=_fast_folder())).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _fast_folder() -> Path | None:
    """Return memory where there is plenty: a database a test is a lot of small files, 67 s on a disk and 21 s there."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > ROOM_BYTES else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A running embedded server of the whole test session, stopped at its end."""
    with new_open_folder() as folder:
        server = EmbeddedPostgres(folder / "home", system_folder=folder / "system")
        try:
            _prepare(server)
            yield server
        finally:
            server.stop()


def _prepare(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    # Tests survive no power cut: nothing needs to reach the disk.
    _administer(server, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off")
    _administer(server, "SELECT pg_reload_conf()", f"CREATE DATABASE {TEMPLATE}")
    template = Database(server.url(TEMPLATE))
    apply_migrations(template)
    template.close()


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh database with every migration applied."""
    with new_database(postgres_server, f" TEMPLATE {TEMPLATE}") as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(server: EmbeddedPostgres, options: str = "") -> Iterator[str]:
    """Give the URL of a fresh database until the block ends. options: of CREATE DATABASE."""
    name = f"test_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name}{options}")
    yield server.url(name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh Database with every migration applied."""
    opened = Database(database_url)
    yield opened
    opened.close()


def _administer(server: EmbeddedPostgres, *statements: str) -> None:
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
