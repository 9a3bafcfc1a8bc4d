"""The log of syncs: what it says of each job, which are alive, and what is to be continued, asked again or ranked."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import ChunkRows, write_chunk
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job

LATER = NOW + timedelta(minutes=10)
SYMBOLS = ["AAPL", "MSFT", "NVDA", "TSLA"]


def tell(database: Database, job_id: int, symbol: str, status: str, error_type: str | None = None) -> None:
    """Write what became of one symbol."""
    chunk: ChunkRows = make_chunk(job_id, [symbol])
    if status != "success":
        for table in ("stock_data", "stock_prices", "option_chains", "stock_premiums", "rejected_quotes"):
            setattr(chunk, table, getattr(chunk, table).iloc[:0])
        chunk.answers = {}
    chunk.results[0] |= {"status": status, "error_type": error_type}
    write_chunk(database, chunk)


def job(database: Database, job_id: int) -> dict[str, Any]:
    row = sync_log.read_job(database, job_id)
    assert row is not None
    return row


def statuses(database: Database, job_id: int) -> dict[str, str]:
    return {row["symbol"]: row["status"] for row in sync_log.read_results(database, job_id)}


def test_a_new_job_has_all_its_symbols_pending(database: Database) -> None:
    job_id = open_job(database, SYMBOLS, run_id="run-1", target_dtes=(30, 45))

    assert statuses(database, job_id) == dict.fromkeys(SYMBOLS, "pending")
    row = job(database, job_id)
    assert (row["status"], row["run_id"], row["total_stocks"], row["target_dtes"]) == ("running", "run-1", 4, [30, 45])
    assert row["started_at"] == NOW


def test_progress_never_overwrites_a_result(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success")
    sync_log.mark_in_progress(database, job_id, ["AAPL", "MSFT"], LATER)

    assert statuses(database, job_id)["AAPL"] == "success"
    assert statuses(database, job_id)["MSFT"] == "in_progress"


def taken_up_again(database: Database) -> int:
    """Return a job with a good symbol and two that failed in a run before, one of them and a new one being asked."""
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"])
    tell(database, job_id, "AAPL", "success")
    for symbol in ("MSFT", "NVDA"):
        tell(database, job_id, symbol, "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "completed", NOW)
    stocks.upsert_stocks(database, [{"symbol": "TSLA"}])
    sync_log.reopen_job(database, job_id, run_id=None, symbols=["TSLA"], now=LATER)
    sync_log.mark_in_progress(database, job_id, ["AAPL", "MSFT", "TSLA"], LATER)
    return job_id


def test_a_failed_symbol_that_a_retry_asks_again_is_in_progress(database: Database) -> None:
    job_id = taken_up_again(database)

    assert statuses(database, job_id) == {
        "AAPL": "success",
        "MSFT": "in_progress",
        "NVDA": "failed",
        "TSLA": "in_progress",
    }
    assert stocks.symbols_failed_last(database) == ["MSFT", "NVDA"]


def test_one_that_a_retry_failed_anew_stays_so(database: Database) -> None:
    job_id = taken_up_again(database)
    chunk = make_chunk(job_id, ["NVDA"])
    chunk.results[0] |= {"status": "failed", "error_type": "api_timeout", "completed_at": LATER + timedelta(seconds=1)}
    write_chunk(database, chunk)
    sync_log.mark_in_progress(database, job_id, ["NVDA"], LATER)

    assert statuses(database, job_id)["NVDA"] == "failed"


def test_one_that_is_asked_again_after_the_job_ended_stays_failed(database: Database) -> None:
    job_id = open_job(database, ["MSFT"])
    tell(database, job_id, "MSFT", "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "failed", NOW)
    sync_log.mark_in_progress(database, job_id, ["MSFT"], LATER)

    assert statuses(database, job_id) == {"MSFT": "failed"}


@pytest.mark.parametrize("ending", ["killed", "cancelled", "taken up"])
def test_a_retry_that_is_cut_off_leaves_failed_what_had_failed_and_undone_what_was_new(
    database: Database, ending: str
) -> None:
    job_id = taken_up_again(database)
    if ending == "killed":
        assert sync_log.abandon_dead_jobs(database, LATER) == [job_id]
    elif ending == "cancelled":
        sync_log.finish_job(database, job_id, "cancelled", LATER)
    else:
        sync_log.reopen_job(database, job_id, run_id=None, symbols=(), now=LATER)

    assert statuses(database, job_id) == {"AAPL": "success", "MSFT": "failed", "NVDA": "failed", "TSLA": "pending"}
    (again,) = [row for row in sync_log.read_results(database, job_id) if row["symbol"] == "MSFT"]
    assert (again["error_type"], again["started_at"]) == ("api_timeout", NOW - timedelta(milliseconds=120.5))
    assert sync_log.newest_unfinished_job(database) == job_id


def test_a_finished_job_counts_its_results(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success")
    tell(database, job_id, "MSFT", "failed", "api_timeout")
    tell(database, job_id, "NVDA", "skipped", "no_options")
    sync_log.mark_in_progress(database, job_id, ["TSLA"], NOW)
    sync_log.finish_job(database, job_id, "cancelled", NOW + timedelta(seconds=6))

    row = job(database, job_id)
    assert row["status"] == "cancelled"
    assert [row[f"{name}_stocks"] for name in ("total", "successful", "failed", "skipped")] == [4, 1, 1, 1]
    assert (row["duration_seconds"], row["stocks_per_second"]) == (6, 0.5)
    assert row["error_summary"] == {"api_timeout": 1}
    assert statuses(database, job_id)["TSLA"] == "pending"


def test_a_job_is_alive_while_its_lock_is_held(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    lock = JobLock(database, job_id)

    assert not sync_log.is_alive(database, job_id)
    assert lock.acquire()
    assert sync_log.is_alive(database, job_id)
    assert not JobLock(database, job_id).acquire()
    assert JobLock(database, job_id + 1).acquire()
    lock.release()
    assert not sync_log.is_alive(database, job_id)


def test_under_way_is_what_living_syncs_have_still_to_do(database: Database) -> None:
    dead, alive = open_job(database, ["TSLA"]), open_job(database, ["AAPL", "MSFT", "NVDA"])
    lock = JobLock(database, alive)
    assert lock.acquire()
    tell(database, alive, "AAPL", "success")
    tell(database, alive, "NVDA", "failed", "api_timeout")
    sync_log.mark_in_progress(database, alive, ["MSFT"], NOW)

    assert sync_log.symbols_under_way(database) == {"MSFT"}
    sync_log.reopen_job(database, alive, run_id=None, symbols=[], now=LATER)
    assert sync_log.symbols_under_way(database) == {"MSFT", "NVDA"}
    lock.release()
    assert sync_log.symbols_under_way(database) == set()
    assert statuses(database, dead) == {"TSLA": "pending"}


def test_a_failed_symbol_that_an_ended_job_asks_again_is_under_way(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    tell(database, job_id, "AAPL", "failed", "api_timeout")
    tell(database, job_id, "MSFT", "success")
    sync_log.finish_job(database, job_id, "completed", LATER)
    lock = JobLock(database, job_id)
    assert lock.acquire()

    assert sync_log.symbols_under_way(database) == {"AAPL"}
    lock.release()


def test_a_killed_process_is_known_to_be_dead_at_once(database: Database, database_url: str) -> None:
    job_id = open_job(database, SYMBOLS)
    program = (
        "import sys, time; from optsync_pipeline.storage.database import Database;"
        "from optsync_pipeline.storage.sync_log import JobLock;"
        "lock = JobLock(Database(sys.argv[1]), int(sys.argv[2])); print(lock.acquire(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, database_url, str(job_id)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        alive = sync_log.is_alive(database, job_id)
        os.kill(process.pid, signal.SIGKILL)

    assert alive
    assert not _still_alive(database, job_id)
    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) == job_id


def _still_alive(database: Database, job_id: int) -> bool:
    """Ask for up to a second: the server hears of the death when the kernel has closed the socket."""
    for _ in range(50):
        if not sync_log.is_alive(database, job_id):
            return False
        database.fetch_all("SELECT pg_sleep(0.02)")
    return True


@pytest.mark.parametrize(
    ("status", "continued"), [("cancelled", True), ("completed", False), ("failed", True), (None, True)]
)
def test_a_full_sync_that_was_not_brought_to_its_end_is_continued(
    database: Database, status: str | None, continued: bool
) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success")
    if status is not None:
        sync_log.finish_job(database, job_id, status, LATER)

    found = sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,))
    assert found == (job_id if continued else None)


def test_a_full_sync_in_which_everything_failed_is_not_continued(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    tell(database, job_id, "AAPL", "failed", "network_error")
    sync_log.finish_job(database, job_id, "failed", LATER)

    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) is None


def test_a_job_that_still_runs_is_not_continued(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    lock = JobLock(database, job_id)
    lock.acquire()

    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) is None
    lock.release()


def test_only_the_newest_full_sync_for_the_same_targets_is_continued(database: Database) -> None:
    old = open_job(database, SYMBOLS)
    other_target = open_job(database, SYMBOLS, target_dtes=(45,))
    open_job(database, SYMBOLS, sync_type="symbols")

    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) == old
    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(45,)) == other_target
    assert sync_log.find_unfinished_job(database, since=LATER, target_dtes=(30,)) is None
    sync_log.finish_job(database, open_job(database, SYMBOLS), "completed", LATER)
    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) is None


def test_a_continued_job_keeps_what_is_done_and_takes_new_symbols(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"], run_id="run-1")
    tell(database, job_id, "AAPL", "success")
    sync_log.mark_in_progress(database, job_id, ["MSFT"], NOW)
    sync_log.reopen_job(database, job_id, run_id="run-2", symbols=["AAPL", "TSLA"], now=LATER)

    assert statuses(database, job_id) == {"AAPL": "success", "MSFT": "pending", "NVDA": "pending", "TSLA": "pending"}
    row = job(database, job_id)
    assert (row["status"], row["run_id"], row["total_stocks"]) == ("running", "run-2", 4)
    assert sync_log.find_job_of_runs(database, ["run-0", "run-2"]) == job_id
    assert sync_log.find_job_of_runs(database, ["run-1"]) is None


def test_the_pause_of_a_continued_job_is_not_its_duration(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    sync_log.finish_job(database, job_id, "cancelled", NOW + timedelta(seconds=20))
    sync_log.reopen_job(database, job_id, run_id=None, symbols=(), now=NOW + timedelta(hours=3))
    sync_log.finish_job(database, job_id, "completed", NOW + timedelta(hours=3, seconds=5))

    assert job(database, job_id)["duration_seconds"] == 25


def test_dead_jobs_are_abandoned_and_living_and_young_ones_left(database: Database) -> None:
    dead, living = open_job(database, SYMBOLS), open_job(database, SYMBOLS)
    tell(database, dead, "AAPL", "success")
    tell(database, dead, "MSFT", "failed", "api_timeout")
    lock = JobLock(database, living)
    lock.acquire()

    assert sync_log.abandon_dead_jobs(database, LATER) == [dead]
    row = job(database, dead)
    assert (row["status"], row["completed_at"], row["successful_stocks"]) == ("cancelled", LATER, 1)
    assert row["error_summary"] == {"api_timeout": 1}
    assert job(database, living)["status"] == "running"
    lock.release()


def test_a_symbol_that_heals_when_asked_again_is_counted_anew(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    tell(database, job_id, "AAPL", "failed", "api_timeout")
    tell(database, job_id, "MSFT", "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "failed", NOW + timedelta(seconds=5))
    tell(database, job_id, "AAPL", "success")
    sync_log.refresh_counts(database, job_id, LATER)

    row = job(database, job_id)
    assert (row["status"], row["successful_stocks"], row["failed_stocks"]) == ("completed", 1, 1)
    assert (row["error_summary"], row["duration_seconds"], row["completed_at"]) == ({"api_timeout": 1}, 5, LATER)
    assert sync_log.failed_symbols(database, job_id) == ["MSFT"]


def test_a_round_of_asking_again_is_taken_by_one_alone_and_rounds_follow_each_other(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    tell(database, job_id, "AAPL", "success")
    tell(database, job_id, "MSFT", "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "completed", NOW)

    assert sync_log.claim_reask(database, job_id, LATER)
    assert not sync_log.claim_reask(database, job_id, LATER)
    assert not sync_log.claim_reask(database, job_id, LATER, round_number=3)
    assert sync_log.claim_reask(database, job_id, LATER, round_number=2)
    assert (job(database, job_id)["reask_rounds"], job(database, job_id)["reask_done_at"]) == (2, LATER)


def test_a_sync_is_ranked_once_and_again_after_it_changed(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    tell(database, job_id, "AAPL", "success")
    assert sync_log.jobs_to_rank(database) == []
    sync_log.finish_job(database, job_id, "completed", NOW)

    assert [row["job_id"] for row in sync_log.jobs_to_rank(database)] == [job_id]
    sync_log.mark_ranked(database, [job_id], NOW + timedelta(seconds=1))
    assert sync_log.jobs_to_rank(database) == []
    sync_log.refresh_counts(database, job_id, LATER)
    assert [row["job_id"] for row in sync_log.jobs_to_rank(database)] == [job_id]


def test_a_sync_without_any_success_is_not_ranked(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    tell(database, job_id, "AAPL", "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "failed", NOW)

    assert sync_log.jobs_to_rank(database) == []


def test_jobs_are_listed_newest_first(database: Database) -> None:
    first, second = open_job(database, SYMBOLS), open_job(database, SYMBOLS)

    assert [row["job_id"] for row in sync_log.list_jobs(database)] == [second, first]
    assert len(sync_log.list_jobs(database, limit=1)) == 1
    assert sync_log.read_job(database, 999) is None


@pytest.mark.parametrize(("outcomes", "status"), [({}, "failed"), ({"AAPL": "failed"}, "failed")])
def test_a_dead_job_that_did_nothing_failed(database: Database, outcomes: dict[str, str], status: str) -> None:
    job_id = open_job(database, SYMBOLS)
    for symbol, outcome in outcomes.items():
        tell(database, job_id, symbol, outcome, "api_timeout")
    sync_log.abandon_dead_jobs(database, LATER)

    assert job(database, job_id)["status"] == status


def test_a_dead_job_that_did_everything_is_completed(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    tell(database, job_id, "AAPL", "success")
    sync_log.abandon_dead_jobs(database, LATER)

    assert job(database, job_id)["status"] == "completed"


def test_an_attempt_to_open_a_job_that_fails_gives_its_lock_back(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF NEW.job_id < 3 THEN RAISE deadlock_detected; END IF; RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON sync_jobs"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    lock = sync_log.open_job(
        database, sync_type="all", symbols=SYMBOLS, run_id=None, concurrency_level=1, target_dtes=(30,), now=NOW
    )

    assert [sync_log.is_alive(database, number) for number in (1, 2, 3)] == [False, False, True]
    assert [row["job_id"] for row in sync_log.list_jobs(database)] == [lock.job_id] == [3]
    lock.release()


def test_a_job_number_whose_lock_is_taken_is_left_alone(database: Database) -> None:
    other = JobLock(database, 1)
    other.acquire()

    assert open_job(database, SYMBOLS) == 2
    other.release()


def test_the_end_of_a_running_job_is_asked_for_and_seen(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    lock = JobLock(database, job_id)
    lock.acquire()

    assert not sync_log.cancel_requested(database, job_id)
    assert sync_log.request_cancel(database, job_id, NOW)
    assert sync_log.request_cancel(database, job_id, LATER)
    assert sync_log.cancel_requested(database, job_id)
    assert job(database, job_id)["cancel_requested_at"] == NOW
    lock.release()


def test_only_a_job_that_runs_in_a_living_process_can_be_asked_to_end(database: Database) -> None:
    dead, ended = open_job(database, SYMBOLS), open_job(database, SYMBOLS)
    sync_log.finish_job(database, ended, "completed", NOW)

    assert not any(sync_log.request_cancel(database, job_id, NOW) for job_id in (dead, ended, 99))
    assert not any(sync_log.cancel_requested(database, job_id) for job_id in (dead, ended, 99))


def test_a_job_that_is_taken_up_again_forgets_that_its_end_was_asked_for(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    lock = JobLock(database, job_id)
    lock.acquire()
    sync_log.request_cancel(database, job_id, NOW)
    sync_log.finish_job(database, job_id, "cancelled", NOW)
    sync_log.reopen_job(database, job_id, run_id=None, symbols=(), now=LATER)

    assert not sync_log.cancel_requested(database, job_id)
    lock.release()


def test_a_sync_of_prices_alone_is_not_continued_nor_ranked(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"], prices_only=True)
    tell(database, job_id, "AAPL", "success")
    tell(database, job_id, "MSFT", "failed", "api_timeout")
    assert sync_log.find_unfinished_job(database, since=NOW, target_dtes=(30,)) is None
    sync_log.finish_job(database, job_id, "completed", NOW)

    assert job(database, job_id)["prices_only"]
    assert sync_log.jobs_to_rank(database) == []


def test_a_sync_of_prices_alone_overtakes_no_failures_of_chains(database: Database) -> None:
    chains, prices = open_job(database, ["AAPL"]), open_job(database, ["AAPL"], prices_only=True)
    tell(database, chains, "AAPL", "failed", "api_timeout")
    tell(database, prices, "AAPL", "success")
    for job_id in (chains, prices):
        sync_log.finish_job(database, job_id, "completed", NOW)

    assert stocks.symbols_failed_last(database) == ["AAPL"]
    assert sync_log.newest_unfinished_job(database) == chains


@pytest.mark.parametrize(
    ("outcome", "is_left"), [("success", False), ("skipped", False), ("failed", True), (None, True)]
)
def test_a_job_with_failed_or_undone_symbols_is_unfinished(
    database: Database, outcome: str | None, is_left: bool
) -> None:
    job_id = open_job(database, ["AAPL"], sync_type="symbols")
    if outcome is not None:
        tell(database, job_id, "AAPL", outcome, None if outcome == "success" else "no_options")

    assert sync_log.newest_unfinished_job(database) == (job_id if is_left else None)


def test_of_several_unfinished_jobs_the_newest_that_nobody_works_on_is_meant(database: Database) -> None:
    _older, newer, living = (open_job(database, SYMBOLS) for _ in range(3))
    lock = JobLock(database, living)
    lock.acquire()

    assert sync_log.newest_unfinished_job(database) == newer
    lock.release()


def test_what_a_later_job_has_done_is_not_left(database: Database) -> None:
    older = open_job(database, ["AAPL", "MSFT"])
    tell(database, older, "AAPL", "success")
    tell(database, older, "MSFT", "failed", "api_timeout")
    tell(database, open_job(database, ["MSFT"], sync_type="failed"), "MSFT", "success")

    assert sync_log.newest_unfinished_job(database) is None


def test_neither_a_single_partition_nor_a_removed_stock_makes_a_job_unfinished(database: Database) -> None:
    open_job(database, ["AAPL"], sync_type="partition")
    open_job(database, ["MSFT"])
    stocks.deactivate(database, ["MSFT"], NOW)

    assert sync_log.newest_unfinished_job(database) is None
