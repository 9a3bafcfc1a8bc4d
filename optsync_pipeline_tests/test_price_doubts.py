"""Unusual prices are quoted by a second provider at the sync's end: whose, how many, and what its word is."""

from datetime import timedelta
from typing import Any

import pytest

from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync import price_doubts
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, QuotingVendor, ScriptedVendor, fails, settings_of
from optsync_pipeline_tests.test_price_moves import HISTORY, add_closes

SYMBOLS = ("AAPL", "MSFT", "NVDA")


class Market:
    """Three stocks with a history; the first vendor gives their chains, the second quotes them too."""

    def __init__(self, database: Database, database_url: str) -> None:
        self.first, self.second = ScriptedVendor(name="cboe"), QuotingVendor(name="yahoo")
        self.vendors: list[ScriptedVendor] = [self.first, self.second]
        self._database = database
        self._settings = settings_of(database_url).model_copy(update={"spillover": False})
        stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in SYMBOLS])
        for symbol in SYMBOLS:
            add_closes(database, symbol, HISTORY)

    def use(self, **settings: Any) -> None:
        """Change settings."""
        self._settings = self._settings.model_copy(update=settings)

    def sync(self, **plan: Any) -> dict[str, tuple[str | None, str | None]]:
        """Sync the stocks; return what a second provider said of each."""
        engine = SyncEngine(self._database, self._settings, lambda: OPEN_MARKET, self.vendors)
        with engine.start(SyncPlan(symbols=SYMBOLS, sync_type="symbols", tries=1, **plan)) as run:
            assert {outcome.status for outcome in run} == {"success"}
        rows = self._database.fetch_all("SELECT * FROM sync_stock_results WHERE job_id = %s", (run.job_id,))
        return {row["symbol"]: (row["price_doubt"], row["price_note"]) for row in rows}


@pytest.fixture
def market(database: Database, database_url: str) -> Market:
    return Market(database, database_url)


def test_likely_prices_are_not_asked_of_anybody_else(market: Market) -> None:
    assert set(market.sync().values()) == {(None, None)}
    assert market.second.asked_quotes == []


def test_an_unusual_price_that_a_second_provider_quotes_too_is_confirmed(market: Market) -> None:
    market.first.prices["MSFT"], market.second.prices["MSFT"] = 140.0, 141.0
    found = market.sync()
    assert found.pop("MSFT") == ("confirmed", "yahoo quotes 141 $ where cboe quoted 140 $")
    assert set(found.values()) == {(None, None)}
    assert market.second.asked_quotes == [["MSFT"]]


def test_an_unusual_price_that_a_second_provider_quotes_otherwise_is_contradicted(market: Market) -> None:
    market.first.prices["MSFT"] = 25.0  # a split that only one of them knows of
    assert market.sync()["MSFT"] == ("contradicted", "yahoo quotes 100 $ where cboe quoted 25 $")


def test_a_second_provider_without_the_stock_leaves_it_unanswered(market: Market) -> None:
    market.first.prices["MSFT"] = 140.0
    market.second.unknown.add("MSFT")
    doubt, note = market.sync()["MSFT"]
    assert doubt == "unanswered"
    assert "yahoo gives no quote of MSFT" in str(note)


def test_a_quote_of_an_older_session_tells_nothing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.first.prices["MSFT"] = market.second.prices["MSFT"] = 140.0
    now_quote = market.second.quote
    monkeypatch.setattr(market.second, "quote", lambda symbol, now: now_quote(symbol, now - timedelta(days=1)))
    assert market.sync()["MSFT"] == ("unanswered", "yahoo has only a quote of 2026-07-15")


def test_who_gave_the_price_is_not_asked_to_confirm_it(market: Market) -> None:
    market.vendors = [market.second]
    market.second.prices["MSFT"] = 140.0
    assert market.sync()["MSFT"] == ("unanswered", "no second provider quoted it")
    assert market.second.asked_quotes == []


def test_only_so_many_are_asked_the_most_unusual_first(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_doubts, "MAX_ASKED", 2)
    market.first.prices.update({"AAPL": 110.0, "MSFT": 180.0, "NVDA": 150.0})
    assert market.sync()["AAPL"] == (None, None)
    assert market.second.asked_quotes == [["MSFT", "NVDA"]]


def test_a_vendor_that_would_have_to_be_waited_for_is_given_up(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_doubts, "PATIENCE_SECONDS", 0.0)
    market.first.prices["MSFT"] = 140.0
    # The vendor's only request of this hour is spent on a chain that the other does not give.
    market.use(yahoo_requests_per_minute=1, yahoo_requests_per_hour=1)
    market.first.faults["AAPL"] = fails("AAPL")
    doubt, _ = market.sync()["MSFT"]
    assert doubt == "unanswered"
    assert market.second.asked_quotes == []


def test_a_bug_beside_the_sync_leaves_its_end_as_it_is(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(market.second, "fetch_quotes", broken)
    market.first.prices["MSFT"] = 140.0
    assert market.sync()["MSFT"] == ("unanswered", "no second provider quoted it")


def test_prices_that_were_fetched_alone_are_confirmed_too(market: Market) -> None:
    third = QuotingVendor(name="polygon")
    market.vendors = [market.second, third]
    market.second.prices["MSFT"] = third.prices["MSFT"] = 140.0
    assert market.sync(prices_only=True)["MSFT"][0] == "confirmed"
    assert third.asked_quotes == [["MSFT"]]
