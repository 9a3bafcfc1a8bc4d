"""`optsync retry`: which job it takes up, and what it says where there is nothing to finish or it may not."""

from collections.abc import Iterator

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox market to which the settings point."""
    with running_sandbox(symbols=4) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def statuses(database: Database, job_id: int) -> dict[str, str]:
    return {row["symbol"]: row["status"] for row in sync_log.read_results(database, job_id)}


def test_without_any_sync_there_is_nothing_to_finish(run: Run) -> None:
    ended = run("retry")
    assert ended.exit_code == 0
    assert "nothing to finish" in ended.out


def test_a_job_that_is_whole_is_said_to_be(run: Run, database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    write_chunk(database, make_chunk(job_id, ["AAPL"]))
    ended = run("retry", str(job_id))
    assert ended.exit_code == 0
    assert "nothing to finish: job 1 has no failed and no undone symbols" in ended.out


def test_a_job_that_does_not_exist_is_said_so(run: Run) -> None:
    ended = run("retry", "99")
    assert ended.exit_code == 2
    assert "there is no job 99" in ended.err


def test_a_job_that_runs_is_not_touched(run: Run, database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    lock = JobLock(database, job_id)
    lock.acquire()
    ended = run("retry", str(job_id))
    assert ended.exit_code == 2
    assert "job 1 still runs: wait for it, or end it with `optsync cancel 1`" in ended.err
    lock.release()


def test_the_failed_and_the_undone_symbols_are_finished_in_the_same_job(
    run: Run, database: Database, sandbox: Sandbox
) -> None:
    run("stocks", "add", "AAPL", "MSFT")
    sandbox.fault("html", symbol="AAPL")
    assert run("sync", "AAPL", "MSFT").exit_code == 1
    sync_log.finish_job(database, 1, "cancelled", NOW)
    sync_log.reopen_job(database, 1, run_id=None, symbols=["NVDA"], now=NOW)
    sandbox.clear_faults()
    run("stocks", "add", "NVDA")

    ended = run("retry")
    assert ended.exit_code == 0, ended.err
    assert "finishing job 1: 1 failed, 1 undone" in ended.err
    assert "job 1 (symbols): completed" in ended.out
    assert statuses(database, 1) == dict.fromkeys(("AAPL", "MSFT", "NVDA"), "success")
    assert "nothing to finish" in run("retry").out


def test_what_fails_again_ends_with_one(run: Run, sandbox: Sandbox) -> None:
    run("stocks", "add", "AAPL", "MSFT")
    sandbox.fault("html", symbol="AAPL")
    run("sync", "AAPL", "MSFT")
    ended = run("retry", "1")
    assert ended.exit_code == 1
    assert "1 ok, 1 failed" in ended.out
    assert "`optsync retry 1`" in ended.out
