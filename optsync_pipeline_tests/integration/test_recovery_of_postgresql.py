"""PostgreSQL itself is killed in the middle of a sync, and comes back at once or only later."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline_tests.recovery import (
    assert_whole,
    done_symbols,
    hold_up,
    kill_postgresql,
    run_sync,
    settings_for,
)

SYMBOLS = 24


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


@pytest.fixture
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, with the tables."""
    own = EmbeddedPostgres(open_folder / "home", system_folder=open_folder / "system")
    try:
        with closing(Database(own.ensure_running())) as database:
            apply_migrations(database)
        yield own
    finally:
        own.stop()


@pytest.fixture
def database(server: EmbeddedPostgres) -> Iterator[Database]:
    with closing(Database(server.url())) as opened:
        yield opened


def test_a_sync_survives_a_postgresql_that_is_killed_and_restarted(
    sandbox: Sandbox,
    server: EmbeddedPostgres,
    database: Database,
    symbols: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A restart takes a second, within the few for which a sync waits; not so where the tests share a busy machine.
    for room in ("database", "prepared_session"):
        monkeypatch.setattr(f"optsync_pipeline.storage.{room}.RETRY_WAITS_SECONDS", (0.2,) * 100)
    engine = SyncEngine(database, settings_for(sandbox, server.url()))
    hold_up(sandbox, symbols[-4:])
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes)]
        kill_postgresql(server)
        server.ensure_running()
        sandbox.clear_faults()
        told.extend(outcomes)

    assert sorted(outcome.symbol for outcome in told) == sorted(symbols)
    assert_whole(database, sandbox, symbols, running.job_id)


def test_a_sync_whose_postgresql_stays_away_says_so_and_is_finished_by_the_next(
    sandbox: Sandbox, server: EmbeddedPostgres, database: Database, symbols: list[str]
) -> None:
    engine = SyncEngine(database, settings_for(sandbox, server.url()))
    hold_up(sandbox, symbols[-4:])
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes)]
        kill_postgresql(server)
        with pytest.raises(StorageError, match=r"PostgreSQL at 127\.0\.0\.1:[0-9]+/optsync"):
            told.extend(outcomes)
    server.ensure_running()
    sandbox.clear_faults()
    done = done_symbols(database, running.job_id)
    assert {outcome.symbol for outcome in told} <= done
    assert sync_log.newest_unfinished_job(database) == running.job_id
    sandbox.reset_requests()

    run_sync(engine, continue_job_id=running.job_id)

    assert_whole(database, sandbox, symbols, running.job_id)
    assert set(sandbox.requests("yahoo")["by_symbol"]) == set(symbols) - done
