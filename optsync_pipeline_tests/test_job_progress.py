"""How far a job is: what counts as done, its pace, what is under way, each provider's share."""

import json
from datetime import timedelta
from typing import Any

import pytest

from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_progress import errors_by_kind, provider_shares, read_pace, symbols_under_way
from optsync_pipeline_tests.chunks import NOW, open_job

SYMBOLS = ["AAPL", "MSFT", "NVDA", "TSLA"]


def tell(database: Database, job_id: int, symbol: str, status: str, **told: Any) -> None:
    """Write a symbol's result as far as progress reads it."""
    row = {"completed_at": NOW, "error_type": None, "data_provider": None, "attempts": [], **told}
    columns = ", ".join(f"{name} = %({name})s" for name in row if name != "attempts")
    database.execute(
        f"UPDATE sync_stock_results SET status = %(status)s, {columns}, attempts = %(attempts)s::jsonb"  # noqa: S608
        " WHERE job_id = %(job_id)s AND symbol = %(symbol)s",
        {**row, "attempts": as_json(row["attempts"]), "status": status, "job_id": job_id, "symbol": symbol},
    )


def as_json(attempts: list[tuple[str, str | None, int]]) -> str:
    return json.dumps(
        [
            {"provider": name, "error_type": kind, "requests": count, "duration_ms": 9.0 * count}
            for name, kind, count in attempts
        ]
    )


def test_symbols_are_counted_by_what_became_of_them(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success")
    tell(database, job_id, "MSFT", "failed", error_type="api_timeout")
    tell(database, job_id, "NVDA", "skipped", error_type="no_options")
    sync_log.mark_in_progress(database, job_id, ["TSLA"], NOW)

    pace = read_pace(database, job_id, NOW)
    assert (pace.total, pace.done, pace.left) == (4, 3, 1)
    assert (pace.ok, pace.failed, pace.skipped, pace.in_progress) == (1, 1, 1, 1)


def test_the_pace_is_that_of_the_last_minute(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    for symbol, seconds in (("AAPL", 10), ("MSFT", 100), ("NVDA", 110)):
        tell(database, job_id, symbol, "success", completed_at=NOW + timedelta(seconds=seconds))

    pace = read_pace(database, job_id, NOW + timedelta(seconds=120))
    assert pace.stocks_per_second == pytest.approx(2 / 60)
    assert pace.seconds_left == pytest.approx(30)


def test_a_young_job_s_pace_is_that_since_it_began(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success", completed_at=NOW + timedelta(seconds=5))

    assert read_pace(database, job_id, NOW + timedelta(seconds=10)).stocks_per_second == pytest.approx(0.1)


def test_while_nothing_is_done_the_time_left_is_unknown(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)

    assert read_pace(database, job_id, NOW).seconds_left is None


def test_the_failed_symbols_of_a_job_taken_up_again_are_left_until_they_have_a_new_result(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    for symbol in ("AAPL", "MSFT"):
        tell(database, job_id, symbol, "failed", error_type="api_timeout")
    sync_log.finish_job(database, job_id, "failed", NOW)
    assert read_pace(database, job_id, NOW).left == 0
    later = NOW + timedelta(hours=1)
    sync_log.reopen_job(database, job_id, run_id=None, symbols=(), now=later)
    tell(database, job_id, "MSFT", "failed", error_type="api_timeout", completed_at=later + timedelta(seconds=3))

    pace = read_pace(database, job_id, later + timedelta(seconds=10))
    assert (pace.left, pace.failed, pace.done) == (1, 1, 1)


def test_symbols_under_way_are_told_with_how_long_the_longest_first(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    sync_log.mark_in_progress(database, job_id, ["MSFT"], NOW)
    sync_log.mark_in_progress(database, job_id, ["AAPL"], NOW + timedelta(seconds=4))

    under_way = symbols_under_way(database, job_id, NOW + timedelta(seconds=10))
    assert [(one.symbol, one.seconds) for one in under_way] == [("MSFT", 10), ("AAPL", 6)]


def test_errors_are_counted_by_kind_the_commonest_first(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    for symbol, status, kind in (
        ("AAPL", "failed", "provider_error"),
        ("MSFT", "failed", "api_timeout"),
        ("NVDA", "failed", "provider_error"),
        ("TSLA", "skipped", "delisted"),
    ):
        tell(database, job_id, symbol, status, error_type=kind)

    counts = errors_by_kind(database, job_id)
    assert list(counts["failed"].items()) == [("provider_error", 2), ("api_timeout", 1)]
    assert counts["skipped"] == {"delisted": 1}


def test_each_provider_s_share_is_what_it_served_and_what_it_cost(database: Database) -> None:
    job_id = open_job(database, SYMBOLS)
    tell(database, job_id, "AAPL", "success", data_provider="yahoo", attempts=[("yahoo", None, 1)])
    fell_back = [("yahoo", "rate_limited", 3), ("cboe", None, 1)]
    tell(database, job_id, "MSFT", "success", data_provider="cboe", attempts=fell_back)
    failed = [("yahoo", "api_timeout", 5), ("cboe", "api_timeout", 5), ("polygon", "circuit_open", 0)]
    tell(database, job_id, "NVDA", "failed", error_type="api_timeout", attempts=failed)

    cboe, yahoo, polygon = provider_shares(database, job_id)
    assert (yahoo.provider, yahoo.asked, yahoo.served, yahoo.requests) == ("yahoo", 3, 1, 9)
    assert yahoo.errors == {"rate_limited": 1, "api_timeout": 1}
    assert (cboe.provider, cboe.asked, cboe.served, cboe.requests) == ("cboe", 2, 1, 6)
    assert (polygon.asked, polygon.requests, polygon.errors) == (0, 0, {"circuit_open": 1})
