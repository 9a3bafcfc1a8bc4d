"""What the unattended sensors look for: failed symbols that are due, and dead jobs."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from optsync_pipeline.storage import job_watch, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import NOW, open_job
from optsync_pipeline_tests.test_sync_log import tell

MINUTE = timedelta(minutes=1)
WAITS = (MINUTE, 5 * MINUTE, 15 * MINUTE)


def failed_job(database: Database, symbols: list[str], at: datetime = NOW, **options: Any) -> int:
    """Log a sync whose symbols all failed, but for a stock that went well."""
    job_id = open_job(database, [*symbols, "GOOD"], **options)
    for symbol in symbols:
        tell(database, job_id, symbol, "failed", "api_timeout")
    tell(database, job_id, "GOOD", "success")
    sync_log.finish_job(database, job_id, "completed", at)
    return job_id


def due(database: Database, minutes_later: float, max_failed: int = 50) -> job_watch.Reask | None:
    now = NOW + minutes_later * MINUTE
    return job_watch.next_reask(database, now=now, waits=WAITS, max_failed=max_failed)


# -- failed symbols ----------------------------------------------------------------------------------------------------


def test_failed_symbols_are_due_a_minute_after_the_sync(database: Database) -> None:
    job_id = failed_job(database, ["MSFT", "AAPL"])

    assert due(database, 0.9) is None
    assert due(database, 1) == job_watch.Reask(job_id, 1, (30,), ["AAPL", "MSFT"])


def test_rounds_are_one_five_and_fifteen_minutes_apart_and_three(database: Database) -> None:
    job_id = failed_job(database, ["AAPL"])
    at, rounds = NOW, []
    for minute in range(1, 120):
        found = due(database, minute)
        if found is not None:
            at = NOW + minute * MINUTE
            assert sync_log.claim_reask(database, job_id, at, round_number=found.round_number)
            sync_log.refresh_counts(database, job_id, at)
            rounds.append((minute, found.round_number))
    assert rounds == [(1, 1), (6, 2), (21, 3)]


def test_the_wait_is_counted_from_the_end_of_the_round_before(database: Database) -> None:
    job_id = failed_job(database, ["AAPL"])
    sync_log.claim_reask(database, job_id, NOW + MINUTE)
    sync_log.refresh_counts(database, job_id, NOW + 4 * MINUTE)

    assert due(database, 8) is None
    assert due(database, 9) is not None


def test_what_healed_is_not_asked_again(database: Database) -> None:
    job_id = failed_job(database, ["AAPL", "MSFT"])
    sync_log.claim_reask(database, job_id, NOW)
    tell(database, job_id, "AAPL", "success")
    sync_log.refresh_counts(database, job_id, NOW)

    assert due(database, 5) == job_watch.Reask(job_id, 2, (30,), ["MSFT"])


def test_a_symbol_that_a_later_sync_has_asked_is_left_to_that(database: Database) -> None:
    older = failed_job(database, ["AAPL", "MSFT"])
    newer = open_job(database, ["AAPL"], sync_type="symbols")
    tell(database, newer, "AAPL", "success")
    sync_log.finish_job(database, newer, "completed", NOW)

    found = due(database, 5)
    assert found is not None
    assert (found.job_id, found.symbols) == (older, ["MSFT"])


def test_a_symbol_that_waits_in_a_running_sync_is_left_to_that(database: Database) -> None:
    failed_job(database, ["AAPL"])
    open_job(database, ["AAPL"])

    assert due(database, 5) is None


def test_another_shard_of_the_same_sync_overtakes_nothing(database: Database) -> None:
    first, second = failed_job(database, ["AAPL"]), failed_job(database, ["MSFT"])

    assert due(database, 5) == job_watch.Reask(second, 1, (30,), ["MSFT"])
    sync_log.claim_reask(database, second, NOW + 5 * MINUTE)
    assert due(database, 5) == job_watch.Reask(first, 1, (30,), ["AAPL"])


def test_more_failed_symbols_than_are_asked_again_do_not_stand_before_an_older_sync(database: Database) -> None:
    older = failed_job(database, ["NVDA"])
    failed_job(database, ["AAPL", "MSFT"])

    found = due(database, 5, max_failed=1)
    assert found is not None
    assert found.job_id == older


@pytest.mark.parametrize("options", [{"sync_type": "partition"}, {"sync_type": "stale"}, {"prices_only": True}])
def test_partitions_incremental_syncs_and_prices_alone_are_not_asked_again(
    options: dict[str, Any], database: Database
) -> None:
    failed_job(database, ["AAPL"], **options)

    assert due(database, 5) is None


def test_prices_alone_overtake_no_failed_chain(database: Database) -> None:
    job_id = failed_job(database, ["AAPL"])
    prices = open_job(database, ["AAPL"], prices_only=True)
    tell(database, prices, "AAPL", "success")
    sync_log.finish_job(database, prices, "completed", NOW)

    found = due(database, 5)
    assert found is not None
    assert found.job_id == job_id


def test_yesterdays_failures_are_left_alone(database: Database) -> None:
    failed_job(database, ["AAPL"])

    assert due(database, 60 * 24 + 1) is None


def test_a_cancelled_sync_is_not_asked_again(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    tell(database, job_id, "AAPL", "failed", "api_timeout")
    sync_log.finish_job(database, job_id, "cancelled", NOW)

    assert due(database, 5) is None


# -- dead jobs ---------------------------------------------------------------------------------------------------------


def test_a_running_job_without_a_process_is_dead(database: Database) -> None:
    dead = open_job(database, ["AAPL"])
    alive = open_job(database, ["MSFT"])
    lock = JobLock(database, alive)
    assert lock.acquire()

    assert [job["job_id"] for job in job_watch.dead_jobs(database, not_before=NOW)] == [dead]
    lock.release()


def test_ended_jobs_and_syncs_of_prices_alone_are_not_dead(database: Database) -> None:
    failed_job(database, ["AAPL"])
    open_job(database, ["AAPL"], prices_only=True)

    assert job_watch.dead_jobs(database, not_before=NOW) == []


def test_a_job_that_the_next_sync_found_dead_is_dead_until_somebody_takes_it_up(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    sync_log.abandon_dead_jobs(database, NOW)

    (job,) = job_watch.dead_jobs(database, not_before=NOW)
    assert (job["job_id"], job["status"], job["died_at"]) == (job_id, "failed", NOW)
    sync_log.reopen_job(database, job_id, run_id=None, symbols=(), now=NOW)
    sync_log.finish_job(database, job_id, "cancelled", NOW)
    assert job_watch.dead_jobs(database, not_before=NOW) == []


def test_a_dead_job_whose_symbols_a_later_sync_has_taken_over_is_left_alone(database: Database) -> None:
    open_job(database, ["AAPL", "MSFT"])
    later = open_job(database, ["AAPL", "MSFT"])
    for symbol in ("AAPL", "MSFT"):
        tell(database, later, symbol, "success")
    sync_log.finish_job(database, later, "completed", NOW)

    assert job_watch.dead_jobs(database, not_before=NOW) == []


def test_an_old_dead_job_is_left_alone(database: Database) -> None:
    open_job(database, ["AAPL"])

    assert job_watch.dead_jobs(database, not_before=NOW + MINUTE) == []


def test_runs_that_opened_a_job_are_told_from_those_that_did_not(database: Database) -> None:
    open_job(database, ["AAPL"], run_id="one")

    assert job_watch.runs_with_a_job(database, ["one", "two"]) == {"one"}


def test_what_a_job_has_left_is_pending_or_in_progress(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"])
    tell(database, job_id, "AAPL", "success")
    sync_log.mark_in_progress(database, job_id, ["MSFT"], NOW)

    assert sorted(job_watch.unfinished_symbols(database, job_id)) == ["MSFT", "NVDA"]
