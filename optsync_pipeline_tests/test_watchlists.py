"""Watchlists in the database: made, filled, emptied, and what their errors name."""

from datetime import timedelta

import pytest

from optsync_pipeline.storage import stocks, watchlists
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.chunks import NOW

LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def mine(database: Database) -> None:
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in ("AAPL", "MSFT", "NVDA")])
    watchlists.create_watchlist(database, "mine", NOW)
    watchlists.put_on(database, "mine", {"MSFT": "manual", "AAPL": "manual"}, NOW)


def test_a_stock_is_on_a_watchlist_once(database: Database) -> None:
    assert watchlists.put_on(database, "mine", {"AAPL": "again", "NVDA": "manual"}, LATER) == 1
    assert watchlists.symbols_of(database, "mine") == ["AAPL", "MSFT", "NVDA"]
    assert watchlists.list_watchlists(database) == [
        {"name": "mine", "symbols": 3, "source": "manual", "updated_at": LATER}
    ]


def test_nothing_new_leaves_the_watchlist_as_old_as_it_was(database: Database) -> None:
    assert watchlists.put_on(database, "mine", {"AAPL": "manual"}, LATER) == 0
    assert watchlists.take_off(database, "mine", ["NVDA"], LATER) == []
    assert [row["updated_at"] for row in watchlists.list_watchlists(database)] == [NOW]


def test_a_stock_taken_off_stays_in_the_universe(database: Database) -> None:
    assert watchlists.take_off(database, "mine", ["MSFT", "NVDA"], LATER) == ["MSFT"]
    assert watchlists.symbols_of(database, "mine") == ["AAPL"]
    assert "MSFT" in stocks.active_symbols(database)


def test_an_inactive_stock_stays_on_its_watchlist_and_is_not_watched(database: Database) -> None:
    stocks.deactivate(database, ["AAPL"], NOW)
    assert watchlists.symbols_of(database, "mine") == ["MSFT"]
    assert watchlists.watched_symbols(database) == {"MSFT"}
    assert [row["symbol"] for row in watchlists.list_members(database, "mine")] == ["AAPL", "MSFT"]


def test_stocks_of_all_watchlists_are_watched(database: Database) -> None:
    watchlists.create_watchlist(database, "other", NOW)
    watchlists.put_on(database, "other", {"NVDA": "manual", "AAPL": "manual"}, NOW)
    assert watchlists.watched_symbols(database) == {"AAPL", "MSFT", "NVDA"}


def test_a_deleted_watchlist_is_watched_no_more(database: Database) -> None:
    watchlists.delete_watchlist(database, "mine")
    assert watchlists.watchlist_names(database) == []
    assert watchlists.watched_symbols(database) == set()


def test_an_unknown_watchlist_is_named_with_those_that_exist(database: Database) -> None:
    with pytest.raises(watchlists.WatchlistError, match="no watchlist 'mien'; there are: mine"):
        watchlists.symbols_of(database, "mien")


def test_a_watchlist_is_not_made_twice(database: Database) -> None:
    with pytest.raises(watchlists.WatchlistError, match="'mine' already"):
        watchlists.create_watchlist(database, "mine", NOW)
