"""Requests of a person for a fresh look at a stock: asked once, taken once."""

import threading
from datetime import timedelta

import pytest

from optsync_pipeline.storage import refresh_requests, stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.chunks import NOW


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
