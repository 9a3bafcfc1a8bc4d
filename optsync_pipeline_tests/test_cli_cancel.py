"""`optsync cancel`: a running sync is asked to end, and what came of it is said; what cannot be ended is said too."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import NOW, open_job
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@contextmanager
def living_job(database: Database, ending: Callable[[int], None]) -> Iterator[int]:
    """Give a job that lives as a sync's process lets it, and does `ending` once its end is asked for."""
    job_id = open_job(database, ["AAPL"])
    lock = JobLock(database, job_id)
    assert lock.acquire()
    over = threading.Event()

    def live() -> None:
        while not over.wait(0.02):
            if sync_log.cancel_requested(database, job_id):
                ending(job_id)
                break
        lock.release()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield job_id
    finally:
        over.set()
        thread.join()


def test_a_sync_that_ends_as_asked_is_cancelled(run: Run, database: Database) -> None:
    def end(job_id: int) -> None:
        sync_log.finish_job(database, job_id, "cancelled", NOW)

    with living_job(database, end) as job_id:
        ended = run("cancel", str(job_id))
    assert ended.exit_code == 0
    assert ended.out == "job 1 is cancelled; `optsync retry 1` finishes it\n"
    assert "waiting until it has committed" in ended.err


def test_a_sync_that_was_just_done_is_said_to_be(run: Run, database: Database) -> None:
    def end(job_id: int) -> None:
        sync_log.finish_job(database, job_id, "completed", NOW)

    with living_job(database, end) as job_id:
        ended = run("cancel", str(job_id))
    assert (ended.exit_code, ended.out) == (0, "job 1 was done before it could be cancelled: completed\n")


def test_a_sync_whose_process_dies_meanwhile_is_to_be_retried(run: Run, database: Database) -> None:
    with living_job(database, lambda _job_id: None) as job_id:
        ended = run("cancel", str(job_id))
    assert ended.exit_code == 3
    assert "died before it ended: `optsync retry 1` finishes it" in ended.err


def test_a_sync_that_goes_on_is_said_so(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a command by the name of the module.
    monkeypatch.setattr(sys.modules["optsync_pipeline.cli.cancel"], "WAIT_SECONDS", 0.0)
    hangs = threading.Event()

    def end(_job_id: int) -> None:
        hangs.wait(10)

    with living_job(database, end) as job_id:
        ended = run("cancel", str(job_id))
        hangs.set()
    assert ended.exit_code == 3
    assert "job 1 goes on after 0 s" in ended.err


def test_what_does_not_run_cannot_be_cancelled(run: Run, database: Database) -> None:
    dead, done = open_job(database, ["AAPL"]), open_job(database, ["AAPL"])
    sync_log.finish_job(database, done, "completed", NOW)
    for job_id, said in (
        (dead, "the process of job 1 is gone: `optsync retry 1` finishes it"),
        (done, "job 2 has ended already: completed"),
        (99, "there is no job 99"),
    ):
        ended = run("cancel", str(job_id))
        assert ended.exit_code == 2
        assert said in ended.err
