"""A chain that came short is asked for once more: what counts as short, who is asked, which reply is kept."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from optsync_pipeline.providers.base import ChainReply, ChainRequest
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.stocks import ChainSize
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline.sync.outcome import SymbolOutcome
from optsync_pipeline.sync.whole_chains import strikes_of, what_is_lost
from optsync_pipeline_tests.scripted_vendor import (
    EXPIRATION,
    OPEN_MARKET,
    STRIKES,
    ScriptedVendor,
    fails,
    settings_of,
)

LATER = date(2026, 9, 18)


class Market:
    """One stock and two vendors, of which the second is asked where the first does not serve."""

    def __init__(self, database: Database, database_url: str) -> None:
        self.first, self.second = ScriptedVendor(name="yahoo"), ScriptedVendor(name="cboe")
        self.vendors = [self.first, self.second]
        self.now = OPEN_MARKET
        self._database = database
        self._settings = settings_of(database_url).model_copy(update={"spillover": False})
        stocks.upsert_stocks(database, [{"symbol": "AAPL"}])

    def sync(self) -> tuple[SymbolOutcome, dict[str, Any]]:
        """Sync the stock a minute later; return its outcome and its row in the log."""
        self.now += timedelta(minutes=1)
        engine = SyncEngine(self._database, self._settings, lambda: self.now, self.vendors)
        with engine.start(SyncPlan(symbols=("AAPL",), sync_type="symbols", tries=1)) as run:
            (outcome,) = run
        row = self._database.fetch_one("SELECT * FROM sync_stock_results WHERE job_id = %s", (run.job_id,))
        assert row is not None
        return outcome, row

    def asked(self) -> tuple[int, int]:
        """Return how often each vendor was asked so far."""
        return self.first.asked["AAPL"], self.second.asked["AAPL"]


@pytest.fixture
def market(database: Database, database_url: str) -> Market:
    market = Market(database, database_url)
    market.sync()
    assert market.asked() == (1, 0)
    return market


def test_a_chain_as_large_as_the_last_is_asked_for_once(market: Market) -> None:
    _, row = market.sync()
    assert market.asked() == (2, 0)
    assert (row["chain_doubt"], row["chain_note"], row["strikes"]) == (None, None, [len(STRIKES)])


def test_a_strike_less_is_no_short_chain(market: Market) -> None:
    market.first.strikes["AAPL"] = 5  # 2 of 7 are less than a third
    market.sync()
    assert market.asked() == (2, 0)


def test_a_third_of_the_strikes_gone_is_asked_of_another_provider_whose_whole_chain_is_kept(
    market: Market, database: Database
) -> None:
    market.first.strikes["AAPL"] = 4
    outcome, row = market.sync()
    assert market.asked() == (2, 1)
    assert row["chain_doubt"] == "mended"
    assert row["chain_note"] == "yahoo's chain lacked 3 of 7 strikes; asked once more, cboe gave it whole"
    assert (outcome.status, outcome.data_provider, outcome.options_inserted) == ("success", "cboe", 14)
    assert outcome.chain_note == row["chain_note"]
    assert [attempt.provider for attempt in outcome.attempts] == ["yahoo", "cboe"]
    assert outcome.requests == 2
    assert len(database.fetch_all("SELECT FROM option_chains")) == 14


def test_the_only_provider_is_asked_once_more_itself(market: Market) -> None:
    market.vendors = [market.first]
    market.first.strikes["AAPL"] = 4
    outcome, row = market.sync()
    assert market.asked() == (3, 0)
    assert row["chain_doubt"] == "agreed"
    assert outcome.options_inserted == 8


def test_strikes_that_both_providers_lack_went_and_are_not_asked_for_again(market: Market) -> None:
    market.first.strikes["AAPL"] = market.second.strikes["AAPL"] = 4
    outcome, row = market.sync()
    assert row["chain_doubt"] == "agreed"
    assert outcome.data_provider == "yahoo"  # of two equals the first
    market.sync()
    assert market.asked() == (3, 1)


def test_of_two_short_chains_the_fuller_is_kept(market: Market) -> None:
    market.first.strikes["AAPL"], market.second.strikes["AAPL"] = 2, 4
    outcome, row = market.sync()
    assert (
        row["chain_note"] == "yahoo's chain lacked 5 of 7 strikes; asked once more, cboe lacks as much: cboe's is kept"
    )
    assert outcome.options_inserted == 8


def test_a_short_chain_that_nobody_answers_for_is_kept_and_is_no_measure_of_the_next(market: Market) -> None:
    market.first.strikes["AAPL"] = 4
    market.second.faults["AAPL"] = fails("AAPL")
    market.vendors = [OnceAnswering(market.first), market.second]
    outcome, row = market.sync()
    assert (outcome.status, row["chain_doubt"]) == ("success", "unanswered")
    market.vendors = [market.first, market.second]
    _, again = market.sync()
    assert again["chain_doubt"] == "agreed"  # still measured by the first sync's 7 strikes


class OnceAnswering(ScriptedVendor):
    """A vendor that answers once and then fails."""

    def __init__(self, answering: ScriptedVendor) -> None:
        super().__init__(name=answering.name)
        self.strikes = answering.strikes

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        """Answer the first time."""
        if self.asked[request.symbol]:
            raise fails(request.symbol)
        return super().fetch_chain(request)


def test_another_providers_smaller_chain_is_no_short_one(market: Market) -> None:
    market.vendors = [market.second]
    market.second.strikes["AAPL"] = 3
    _, row = market.sync()
    assert market.asked() == (1, 1)
    assert row["chain_doubt"] is None


def test_a_chain_of_more_than_a_week_ago_is_no_measure(market: Market) -> None:
    market.now += timedelta(days=8)
    market.first.strikes["AAPL"] = 3
    market.sync()
    assert market.asked() == (2, 0)


def test_a_fetched_expiration_that_is_listed_no_more_is_a_short_chain(market: Market) -> None:
    market.first.expirations = (LATER,)
    _, row = market.sync()
    assert market.asked() == (2, 1)
    assert row["chain_note"].startswith("yahoo's chain lacked the expiration 2026-08-14; asked once more, cboe gave")


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        (datetime.fromisoformat("2026-08-13T15:00:00Z"), "the expiration 2026-08-14"),
        (datetime.fromisoformat("2026-08-14T15:00:00Z"), None),
        (datetime.fromisoformat("2026-08-17T15:00:00Z"), None),
    ],
)
def test_an_expiration_that_has_come_is_not_gone(now: datetime, lost: str | None) -> None:
    vendor = ScriptedVendor()
    vendor.expirations = (LATER,)
    reply = vendor.fetch_chain(ChainRequest("AAPL", (30,), now))
    assert what_is_lost(reply, ChainSize({EXPIRATION: 1}), now) == lost


def test_strikes_are_counted_by_expiration_and_a_contract_without_one_is_none() -> None:
    reply = ScriptedVendor().fetch_chain(ChainRequest("AAPL", (30,), OPEN_MARKET))
    reply.contracts[0] = reply.contracts[0]._replace(strike_price=None)
    reply.contracts[len(STRIKES)] = reply.contracts[len(STRIKES)]._replace(strike_price=None)
    assert strikes_of(reply) == [len(STRIKES) - 1]
