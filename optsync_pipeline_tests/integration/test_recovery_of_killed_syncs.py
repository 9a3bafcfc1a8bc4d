"""kill -9 of a sync, and of one of several: the next run finishes the job and asks nothing twice."""

from collections.abc import Iterator

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.commands import Run, run, settings_of_test, start_program
from optsync_pipeline_tests.recovery import (
    assert_whole,
    done_symbols,
    hold_up,
    job_of,
    kill,
    run_sync,
    settings_for,
    start_sync_process,
    wait_until,
)

__all__ = ["run", "settings_of_test"]

SYMBOLS = 24
PER_MINUTE, BURST = 1200, 10
SPACING = 60 * 1.02 / PER_MINUTE
"""Seconds between two tokens: 2 % below the limit."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


def test_retry_finishes_a_killed_sync_and_asks_for_nothing_that_is_done(
    settings_of_test: dict[str, str],
    sandbox: Sandbox,
    symbols: list[str],
    database: Database,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**sandbox.environment, "OPTSYNC_CHUNK_SYMBOLS": "5"}.items():
        monkeypatch.setenv(name, value)
    hold_up(sandbox, symbols[-4:])
    process = start_program("sync", "--all", settings=settings_of_test | sandbox.environment)
    wait_until(lambda: len(done_symbols(database, 1)) >= 15, process)
    kill(process)
    done = done_symbols(database, 1)
    sandbox.clear_faults()
    sandbox.reset_requests()

    ended = run("retry")

    assert ended.exit_code == 0, ended.err
    assert_whole(database, sandbox, symbols, 1)
    assert set(sandbox.requests("yahoo")["by_symbol"]) == set(symbols) - done
    assert len(sync_log.list_jobs(database)) == 1


def test_of_several_syncs_one_is_killed_and_the_others_end_well(
    sandbox: Sandbox, symbols: list[str], database: Database, database_url: str
) -> None:
    thirds = [symbols[start::3] for start in range(3)]
    hold_up(sandbox, thirds[1][-3:])
    processes = [start_sync_process(database_url, sandbox, third) for third in thirds]
    jobs = [job_of(process) for process in processes]
    wait_until(lambda: len(done_symbols(database, jobs[1])) >= 4, processes[1])
    kill(processes[1])
    done = done_symbols(database, jobs[1])
    assert [processes[number].wait(60) for number in (0, 2)] == [0, 0]
    sandbox.clear_faults()
    sandbox.reset_requests()

    engine = SyncEngine(database, settings_for(sandbox, database_url))
    run_sync(engine, continue_job_id=sync_log.newest_unfinished_job(database), retry=True)

    for job_id, third in zip(jobs, thirds, strict=True):
        assert_whole(database, sandbox, third, job_id)
    assert set(sandbox.requests("yahoo")["by_symbol"]) == set(thirds[1]) - done


def test_one_that_is_killed_while_it_waits_for_tokens_costs_the_others_no_more_than_those(
    sandbox: Sandbox, symbols: list[str], database: Database, database_url: str
) -> None:
    few = {"OPTSYNC_PROVIDERS": "cboe", "OPTSYNC_CBOE_REQUESTS_PER_MINUTE": str(PER_MINUTE)}
    process = start_sync_process(database_url, sandbox, symbols[:16], **few)
    killed_job_id = job_of(process)
    wait_until(lambda: sandbox.requests("cboe")["total"] >= 5, process)
    kill(process)

    limits = ProviderLimits(database)
    (state,) = limits.read()
    limits.close()
    unused = state.total_requests - sandbox.requests("cboe")["total"]
    assert state.next_token_seconds <= (unused + BURST + 1) * SPACING

    engine = SyncEngine(
        database, settings_for(sandbox, database_url, providers="cboe", cboe_requests_per_minute=PER_MINUTE)
    )
    _, job_id = run_sync(engine, symbols[16:])
    run_sync(engine, continue_job_id=killed_job_id, retry=True)
    assert_whole(database, sandbox, symbols[16:], job_id)
    assert_whole(database, sandbox, symbols[:16], killed_job_id)
