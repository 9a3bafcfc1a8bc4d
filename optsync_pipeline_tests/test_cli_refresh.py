"""`optsync refresh`: a request is put down, and its outcome is waited for."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optsync_pipeline.cli import processes
from optsync_pipeline.storage import refresh_requests
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.chunks import make_chunk, open_job
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@pytest.fixture(autouse=True)
def known_stocks(settings_of_test: dict[str, str], run: Run) -> None:
    run("stocks", "add", "AAPL", "MSFT")


@contextmanager
def taken_up(database: Database, **outcomes: str | None) -> Iterator[None]:
    """Do what the daemon does: take the requests up and sync them, with these errors (None: it succeeds)."""
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.02):
            claimed = refresh_requests.claim_requests(database, datetime.now(UTC), 10)
            if claimed:
                chunk = make_chunk(open_job(database, claimed, sync_type="refresh"), claimed)
                for result in chunk.results:
                    error = outcomes[result["symbol"]]
                    status = "success" if error is None else "skipped" if error == "no_options" else "failed"
                    result |= {"completed_at": datetime.now(UTC), "status": status, "error_type": error}
                write_chunk(database, chunk)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_request_waits_for_a_daemon_and_says_that_none_runs(run: Run, database: Database) -> None:
    ended = run("refresh", "aapl", "MSFT")
    assert (ended.exit_code, ended.out) == (0, "asked for 2 stocks\n")
    assert "no daemon runs" in ended.err
    assert "`optsync sync AAPL MSFT` asks now" in ended.err
    assert refresh_requests.waiting_symbols(database) == ["AAPL", "MSFT"]
    (row, _) = database.fetch_all("SELECT requested_by FROM refresh_requests ORDER BY request_id")
    assert "@" in row["requested_by"]
    assert run("refresh", "AAPL").out == "asked for 0 stocks, 1 waited already\n"


def test_with_a_daemon_it_says_what_happens_next(run: Run, settings_of_test: dict[str, str]) -> None:
    me = processes.note_of("daemon", os.getpid())
    home = Path(settings_of_test["OPTSYNC_HOME"])
    processes.write_note(home / "up.json", processes.UpNote("http://127.0.0.1:1", me, (me,)))
    ended = run("refresh", "AAPL")
    assert "the daemon starts them within 30 seconds" in ended.out
    assert ended.err == ""


def test_waiting_ends_when_all_are_synced(run: Run, database: Database) -> None:
    with taken_up(database, AAPL=None, MSFT="no_options"):
        ended = run("refresh", "AAPL", "MSFT", "--wait")
    assert ended.exit_code == 0
    assert ended.out.splitlines()[1:] == ["AAPL: synced", "MSFT: no_options"]
    assert "2 of 2 synced" in ended.err


@pytest.mark.parametrize(("msft", "exit_code"), [(None, 1), ("api_timeout", 3)])
def test_a_stock_that_fails_is_told_with_its_kind(
    msft: str | None, exit_code: int, run: Run, database: Database
) -> None:
    with taken_up(database, AAPL="api_timeout", MSFT=msft):
        ended = run("refresh", "AAPL", "MSFT", "--wait")
    assert ended.exit_code == exit_code
    assert "AAPL: api_timeout" in ended.out


def test_a_sync_of_before_does_not_end_the_waiting(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has a command by the name of the module.
    monkeypatch.setattr(sys.modules["optsync_pipeline.cli.refresh"], "LOOK_SECONDS", 0.05)
    write_chunk(database, make_chunk(open_job(database, ["AAPL"]), ["AAPL"]))
    ended = run("refresh", "AAPL", "--wait", "--timeout", "1")
    assert ended.exit_code == 3
    assert "not synced within 1 s: AAPL; nobody took them up" in ended.err


def test_a_stock_that_is_not_there_is_named_and_nothing_is_asked(run: Run, database: Database) -> None:
    ended = run("refresh", "AAPL", "NVDA")
    assert ended.exit_code == 2
    assert "NVDA; add with `optsync stocks add NVDA`" in ended.err
    assert refresh_requests.waiting_symbols(database) == []
