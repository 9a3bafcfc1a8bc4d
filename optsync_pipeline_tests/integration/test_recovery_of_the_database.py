"""The database takes no rows for a while, because its disk is full or because it is read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseFault
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline_tests.postgres import TEMPLATE
from optsync_pipeline_tests.recovery import assert_whole, done_symbols, hold_up, list_market, run_sync, settings_for

SYMBOLS = 24  # 2.3 MB of rows
LEFT_ON_DISK_BYTES = 1 << 20


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


@pytest.fixture
def small_disk(open_folder: Path, postgres_server: EmbeddedPostgres) -> Iterator[Path]:
    """A file system of 32 MB that the server can write on."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that soon is full")
    folder = open_folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        owner = postgres_server.status().data_folder.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def database_on_small_disk(small_disk: Path, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh database with its tables on the small disk; its write-ahead log lies elsewhere."""
    (small_disk / "space").mkdir()
    os.chown(small_disk / "space", small_disk.stat().st_uid, small_disk.stat().st_gid)
    administer(
        postgres_server,
        f"CREATE TABLESPACE small LOCATION '{small_disk / 'space'}'",
        f"CREATE DATABASE on_small_disk TEMPLATE {TEMPLATE} TABLESPACE small",
    )
    yield postgres_server.url("on_small_disk")
    administer(postgres_server, "DROP DATABASE on_small_disk WITH (FORCE)", "DROP TABLESPACE small")


def administer(server: EmbeddedPostgres, *statements: str) -> None:
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def test_a_sync_whose_disk_is_full_says_so_and_is_finished_once_there_is_room(
    sandbox: Sandbox, small_disk: Path, database_on_small_disk: str
) -> None:
    with closing(Database(database_on_small_disk)) as database:
        symbols = list_market(database, sandbox)
        engine = SyncEngine(database, settings_for(sandbox, database_on_small_disk))
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - LEFT_ON_DISK_BYTES))
        running = engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all"))
        with pytest.raises(DatabaseFault, match=r"the disk of PostgreSQL at .* is full: .*: make room"), running:
            list(running)
        done = done_symbols(database, running.job_id)
        assert len(done) < SYMBOLS
        ballast.unlink()
        sandbox.reset_requests()

        run_sync(engine, continue_job_id=running.job_id)

        assert_whole(database, sandbox, symbols, running.job_id)
        assert set(sandbox.requests("yahoo")["by_symbol"]) == set(symbols) - done


def test_a_sync_whose_database_becomes_read_only_says_so_and_is_finished_once_it_is_not(
    engine: SyncEngine, sandbox: Sandbox, database: Database, database_url: str, symbols: list[str]
) -> None:
    hold_up(sandbox, symbols[-4:])
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes)]
        set_read_only(database_url, "on")
        with pytest.raises(DatabaseFault, match=r"is read-only: .*: use the URL of the primary server"):
            told.extend(outcomes)
    set_read_only(database_url, "off")
    sandbox.clear_faults()
    done = done_symbols(database, running.job_id)
    assert {outcome.symbol for outcome in told} <= done
    sandbox.reset_requests()

    assert sync_log.newest_unfinished_job(database) == running.job_id
    run_sync(engine, continue_job_id=running.job_id, retry=True)

    assert_whole(database, sandbox, symbols, running.job_id)
    assert set(sandbox.requests("yahoo")["by_symbol"]) == set(symbols) - done


def set_read_only(database_url: str, state: str) -> None:
    """Let all transactions read alone, as on a standby to which one has failed over; or no longer."""
    with closing(psycopg2.connect(database_url, options="-c default_transaction_read_only=off")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            name = connection.info.dbname
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
