"""Requests of a person for a fresh look at a stock: asked once, taken once."""

import threading
from datetime import timedelta

import pytest

from optsync_pipeline.storage import refresh_requests, stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job


@pytest.fixture(autouse=True)
def known_stocks(database: Database) -> None:
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in ("AAPL", "MSFT", "NVDA")])


def test_what_waits_already_is_not_asked_for_twice(database: Database) -> None:
    assert refresh_requests.request_refresh(database, ["MSFT", "MSFT"], NOW, "ann@desk") == 1
    assert refresh_requests.request_refresh(database, ["AAPL", "MSFT"], NOW + timedelta(seconds=1), None) == 1
    assert refresh_requests.waiting_symbols(database) == ["MSFT", "AAPL"]


def test_a_claimed_request_waits_no_more_and_can_be_made_again(database: Database) -> None:
    refresh_requests.request_refresh(database, ["AAPL"], NOW, "ann@desk")
    assert refresh_requests.claim_requests(database, NOW, 10) == ["AAPL"]
    assert refresh_requests.waiting_symbols(database) == []
    assert refresh_requests.claim_requests(database, NOW, 10) == []
    assert refresh_requests.request_refresh(database, ["AAPL"], NOW, None) == 1


def test_a_claim_takes_those_that_wait_longest(database: Database) -> None:
    for minute, symbol in enumerate(("NVDA", "MSFT", "AAPL")):
        refresh_requests.request_refresh(database, [symbol], NOW + timedelta(minutes=minute), None)
    assert refresh_requests.claim_requests(database, NOW, 2) == ["NVDA", "MSFT"]
    assert refresh_requests.waiting_symbols(database) == ["AAPL"]


def test_two_that_claim_at_once_never_get_the_same_stock(database: Database) -> None:
    symbols = [f"S{number}" for number in range(100)]
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
    refresh_requests.request_refresh(database, symbols, NOW, None)
    claimed: list[list[str]] = []

    def claim() -> None:
        while taken := refresh_requests.claim_requests(database, NOW, 7):
            claimed.append(taken)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(symbol for taken in claimed for symbol in taken) == sorted(symbols)


def test_a_stock_that_is_being_asked_for_waits_for_that_answer_and_a_pending_one_does_not(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    lock = JobLock(database, job_id)
    assert lock.acquire()
    sync_log.mark_in_progress(database, job_id, ["AAPL"], NOW)
    refresh_requests.request_refresh(database, ["AAPL", "MSFT"], NOW, None)

    assert refresh_requests.claim_requests(database, NOW, 10) == ["MSFT"]
    lock.release()
    assert refresh_requests.claim_requests(database, NOW, 10) == ["AAPL"]


def test_a_stock_that_is_pending_in_a_refresh_waits_for_that_answer(database: Database) -> None:
    lock = JobLock(database, open_job(database, ["AAPL"], sync_type="refresh"))
    assert lock.acquire()
    refresh_requests.request_refresh(database, ["AAPL"], NOW, None)

    assert refresh_requests.claim_requests(database, NOW, 10) == []
    lock.release()


def test_a_stock_that_was_synced_since_the_request_needs_no_more_asking(database: Database) -> None:
    refresh_requests.request_refresh(database, ["AAPL"], NOW - timedelta(minutes=1), None)
    write_chunk(database, make_chunk(open_job(database, ["AAPL"]), ["AAPL"]))

    assert refresh_requests.claim_requests(database, NOW, 10) == []
    assert refresh_requests.waiting_symbols(database) == []


def test_a_price_alone_is_no_answer(database: Database) -> None:
    refresh_requests.request_refresh(database, ["AAPL"], NOW - timedelta(minutes=1), None)
    write_chunk(database, make_chunk(open_job(database, ["AAPL"], prices_only=True), ["AAPL"]))

    assert refresh_requests.claim_requests(database, NOW, 10) == ["AAPL"]


def test_a_stock_that_left_the_universe_is_not_asked_for(database: Database) -> None:
    refresh_requests.request_refresh(database, ["AAPL"], NOW, None)
    stocks.deactivate(database, ["AAPL"], NOW)

    assert refresh_requests.claim_requests(database, NOW, 10) == []
