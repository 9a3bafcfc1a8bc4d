"""`optsync status`: a sync that runs is shown with its progress, once or again and again, to people and to programs."""

import json
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import make_chunk, open_job
from optsync_pipeline_tests.commands import PROGRAM, Run, run, run_program, settings_of_test, start_program

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")

SYMBOLS = ["AAPL", "MSFT", "NVDA", "TSLA"]


@pytest.fixture
def running(database: Database) -> Iterator[JobLock]:
    """A job that began 20 s ago: one symbol is done, one failed, one is being asked for since 12 s, one waits."""
    now = datetime.now(UTC)
    job_id = open_job(database, SYMBOLS, now=now - timedelta(seconds=20))
    lock = JobLock(database, job_id)
    assert lock.acquire()
    chunk = make_chunk(job_id, ["AAPL"])
    failed = {**chunk.results[0], "symbol": "MSFT", "status": "failed", "error_type": "api_timeout"}
    attempt = {"provider": "yahoo", "error_type": "api_timeout", "message": "late", "requests": 5, "duration_ms": 9.5}
    chunk.results.append({**failed, "error_message": "late", "data_provider": None, "attempts": [attempt]})
    for row in chunk.results:
        row["completed_at"] = now
    write_chunk(database, chunk)
    sync_log.mark_in_progress(database, job_id, ["NVDA"], now - timedelta(seconds=12))
    yield lock
    lock.release()


def test_a_running_sync_is_shown_first_then_the_providers_then_the_list(run: Run, running: JobLock) -> None:
    blocks = run("status").out.split("\n\n")
    headline, symbols, pace, failed, served, asking = blocks[0].splitlines()
    assert headline.startswith("job 1 (all): running for 2")
    assert symbols == "symbols    2 of 4 (50 %): 1 ok, 1 failed, 0 skipped"
    assert pace.startswith("pace       0.1 stocks/s over the last minute, ")
    assert failed == "failed     api_timeout 1"
    assert served == "served by  yahoo 1 of 2 (6 requests)"
    assert asking.startswith("asking     NVDA 1")
    assert [line.split()[0] for line in blocks[1].splitlines()] == ["provider", "yahoo", "cboe"]
    assert blocks[2].splitlines()[1].split()[:3] == ["1", "all", "running"]


def test_of_one_running_sync_what_failed_is_listed_too(run: Run, running: JobLock) -> None:
    out = run("status", "1").out
    assert "symbols    2 of 4 (50 %)" in out
    assert "MSFT    failed  api_timeout  yahoo: api_timeout  late" in out


def test_programs_get_one_object(run: Run, running: JobLock) -> None:
    told = run("status", "--json").json
    (progress,) = told["progress"]
    assert (progress["job_id"], progress["total"], progress["done"], progress["left"]) == (1, 4, 2, 2)
    assert progress["failed_by_kind"] == {"api_timeout": 1}
    assert [one["symbol"] for one in progress["under_way"]] == ["NVDA"]
    assert [row["provider"] for row in told["providers"]][:2] == ["yahoo", "cboe"]
    assert [job["job_id"] for job in told["jobs"]] == [1]
    assert run("status", "1", "--json").json["progress"][0]["job_id"] == 1


def test_a_sync_that_is_asked_to_end_says_so(run: Run, running: JobLock, database: Database) -> None:
    sync_log.request_cancel(database, running.job_id, datetime.now(UTC))
    assert re.search(r", asked to end \d+ s ago", run("status").out)


def test_a_sync_whose_process_is_gone_does_not_run(run: Run, running: JobLock) -> None:
    running.release()
    assert run("status", "--json").json["progress"] == []
    out = run("status", "1").out
    assert "job 1 (all): dead; `optsync retry 1` finishes it" in out
    assert "NVDA    in_progress" in out


def test_nothing_to_watch_is_said_so(run: Run) -> None:
    ended = run("status", "--watch")
    assert (ended.exit_code, ended.out) == (0, "")
    assert "no sync runs" in ended.err


def test_watching_a_sync_that_is_over_shows_how_it_went(run: Run, running: JobLock, database: Database) -> None:
    sync_log.finish_job(database, 1, "cancelled", datetime.now(UTC))
    out = run("status", "1", "--watch").out
    assert "job 1 (all): cancelled in 20" in out
    assert len(run("status", "1", "--watch", "--json").out.splitlines()) == 1


def test_into_a_pipe_each_look_is_a_block_of_plain_lines_until_the_end(
    running: JobLock, database: Database, settings_of_test: dict[str, str]
) -> None:
    process = start_program("status", "--watch", settings=settings_of_test)
    assert process.stdout is not None
    first = process.stdout.readline()
    sync_log.finish_job(database, 1, "completed", datetime.now(UTC))
    rest, _ = process.communicate(timeout=60)
    assert first.startswith("job 1 (all): running")
    assert "job 1 (all): completed in 2" in rest
    assert "\x1b" not in first + rest
    assert process.returncode == 0


def test_as_json_each_look_is_a_line(running: JobLock, database: Database, settings_of_test: dict[str, str]) -> None:
    process = start_program("status", "--watch", "--json", settings=settings_of_test)
    assert process.stdout is not None
    first = process.stdout.readline()
    sync_log.finish_job(database, 1, "completed", datetime.now(UTC))
    rest, _ = process.communicate(timeout=60)
    looks = [json.loads(line) for line in (first + rest).splitlines()]
    assert [look["progress"][0]["status"] for look in (looks[0], looks[-1])] == ["running", "completed"]


def test_ctrl_c_ends_the_watching_and_not_the_sync(
    running: JobLock, database: Database, settings_of_test: dict[str, str]
) -> None:
    process = start_program("status", "--watch", settings=settings_of_test)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert not sync_log.cancel_requested(database, 1)


@pytest.mark.parametrize("columns", [80, 140])
def test_on_a_terminal_the_picture_is_drawn_in_place(
    columns: int, running: JobLock, settings_of_test: dict[str, str]
) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, **settings_of_test, "COLUMNS": str(columns), "LINES": "30", "TERM": "xterm"}
    process = subprocess.Popen([str(PROGRAM), "status", "--watch"], stdout=theirs, env=environment)
    try:
        shown = ""
        while shown.count("job 1 (all)") < 2 and select.select([ours], [], [], 60)[0]:
            shown += os.read(ours, 10_000).decode()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        os.close(ours)
        os.close(theirs)
    assert "\x1b[1A" in shown  # back to the first line, over what was drawn before
    assert "asking     NVDA" in shown
    assert process.returncode == 0


def test_the_installed_program_shows_the_same_to_programs(running: JobLock, settings_of_test: dict[str, str]) -> None:
    assert run_program("status", "--json", settings=settings_of_test).json["progress"][0]["total"] == 4
