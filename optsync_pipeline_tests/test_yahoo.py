"""Yahoo through the real yfinance over HTTP: what it asks, what it costs, and what each odd reply becomes."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    FetchError,
    NoOptions,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline_tests.stand_in import (
    CRUMB_PATH,
    OPTIONS_PATH,
    Reply,
    ScriptedMarket,
    epoch,
    scripted_market,
    yahoo_row,
)
from optsync_pipeline_tests.yahoo_talk import (
    AUGUST_14,
    AUGUST_21,
    LISTED,
    NOW,
    SEPTEMBER_18,
    as_yahoo_answers,
    ask,
    chain,
)


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def yahoo(market: ScriptedMarket, tmp_path: Path) -> YahooProvider:
    return YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path / "yfinance")


class TestRequests:
    def test_first_call_costs_cookie_crumb_and_chain_and_the_next_one_the_chain_alone(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", LISTED)
        assert ask(yahoo).requests == 3
        assert ask(yahoo).requests == 1
        assert market.paths == ["/", CRUMB_PATH, OPTIONS_PATH + "AAPL", OPTIONS_PATH + "AAPL"]
        assert [hit.host for hit in market.hits][:3] == [
            "fc.yahoo.com",
            "query1.finance.yahoo.com",
            "query2.finance.yahoo.com",
        ]

    def test_a_second_provider_of_the_process_shares_the_crumb(
        self, market: ScriptedMarket, yahoo: YahooProvider, tmp_path: Path
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", LISTED)
        ask(yahoo)
        yahoo.close()
        assert ask(YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path)).requests == 1

    def test_nothing_of_a_stand_in_is_kept_on_disk(
        self, market: ScriptedMarket, yahoo: YahooProvider, tmp_path: Path
    ) -> None:
        market.yahoo("AAPL", chain())
        ask(yahoo)
        assert list(tmp_path.rglob("*")) == []

    def test_wrong_guess_costs_one_request_more_and_gets_the_nearest_listed_expiration(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", [AUGUST_21, SEPTEMBER_18])
        reply = ask(yahoo)
        assert (reply.requests, reply.expirations) == (4, (AUGUST_21,))
        assert reply.listed_expirations == (AUGUST_21, SEPTEMBER_18)

    def test_known_expiration_costs_one_request(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", [AUGUST_21, SEPTEMBER_18])
        ask(yahoo)
        reply = ask(yahoo, known=(AUGUST_21, SEPTEMBER_18))
        assert (reply.requests, reply.expirations) == (1, (AUGUST_21,))
        assert market.hits[-1].query["date"] == str(epoch(AUGUST_21))

    def test_an_expiration_that_another_vendor_listed_is_a_guess(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", [AUGUST_21, SEPTEMBER_18])
        ask(yahoo)
        right = ask(yahoo, known=(AUGUST_21, SEPTEMBER_18), known_provider="cboe")
        wrong = ask(yahoo, known=(AUGUST_14,), known_provider="polygon")
        assert (right.requests, right.expirations) == (1, (AUGUST_21,))
        assert (wrong.requests, wrong.expirations) == (2, (AUGUST_21,))

    def test_an_expiration_listed_since_that_is_nearer_is_asked_for(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", LISTED)
        assert ask(yahoo, known=(AUGUST_21, SEPTEMBER_18)).expirations == (AUGUST_14,)

    def test_several_targets_cost_one_request_an_expiration(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", LISTED)
        reply = ask(yahoo, dtes=(28, 31, 64), known=tuple(LISTED))
        assert (reply.requests, reply.expirations) == (4, (AUGUST_14, SEPTEMBER_18))
        assert {contract.expiration_date for contract in reply.contracts} == {AUGUST_14, SEPTEMBER_18}

    def test_expirations_that_have_passed_are_no_knowledge(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", LISTED)
        assert ask(yahoo, known=(date(2026, 7, 10),)).expirations == (AUGUST_14,)

    def test_class_share_is_asked_with_a_dash_and_its_contracts_have_the_joined_root(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("BRK-B", chain(symbol="BRK-B"))
        assert ask(yahoo, "BRK.B").contracts[0].contract_symbol == "BRKB260814C00105000"

    def test_thirty_two_threads_at_once_cost_one_cookie_and_one_crumb(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", chain())
        with ThreadPoolExecutor(32) as pool:
            replies = list(pool.map(lambda _: ask(yahoo), range(96)))
        assert sum(reply.requests for reply in replies) == len(market.hits) == 98

    def test_crumb_revoked_under_thirty_two_threads_heals_for_all(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", chain())
        ask(yahoo)
        market.crumb = "crumb/2.b"
        with ThreadPoolExecutor(32) as pool:
            replies = list(pool.map(lambda _: ask(yahoo), range(64)))
        assert len(replies) == 64
        assert sum(path == CRUMB_PATH for path in market.paths) <= 4


class TestRows:
    def rows(self, market: ScriptedMarket, yahoo: YahooProvider, *puts: Any) -> ChainReply:
        good = yahoo_row("AAPL", AUGUST_14, "call", 105.0)
        market.yahoo("AAPL", chain(calls=[good], puts=list(puts)))
        return ask(yahoo)

    def test_contract_is_read_with_its_units(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        contract = self.rows(market, yahoo, yahoo_row("AAPL", AUGUST_14, "put", 95.5)).contracts[1]
        assert contract == (
            *("AAPL260814P00095500", AUGUST_14, 95.5, "put", 1.5, 1.7, 1.6, 12, 340, 0.35),
            *(None, None, None, None, None),
        )

    @pytest.mark.parametrize("junk", [None, "12", True, float("nan"), float("inf"), {}, [], {"fmt": "1"}])
    def test_number_that_is_none_becomes_none(self, market: ScriptedMarket, yahoo: YahooProvider, junk: Any) -> None:
        fields = ("bid", "ask", "lastPrice", "volume", "openInterest", "impliedVolatility")
        row = yahoo_row("AAPL", AUGUST_14, "put", 95.0, **dict.fromkeys(fields, junk))
        contract = self.rows(market, yahoo, row).contracts[1]
        assert contract[4:10] == (None,) * 6

    def test_missing_fields_are_none_and_never_zero(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        row = yahoo_row("AAPL", AUGUST_14, "put", 95.0)
        bare = {name: row[name] for name in ("contractSymbol", "strike")}
        assert self.rows(market, yahoo, bare).contracts[1][4:10] == (None,) * 6

    def test_floats_and_raw_objects_count_as_numbers(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        row = yahoo_row("AAPL", AUGUST_14, "put", 95, bid={"raw": 1, "fmt": "1.00"}, volume=12.0, openInterest=7.0)
        contract = self.rows(market, yahoo, row).contracts[1]
        assert (contract.bid, contract.volume, contract.open_interest) == (1.0, 12, 7)
        assert isinstance(contract.strike_price, float)
        assert isinstance(contract.volume, int)

    @pytest.mark.parametrize(
        ("row", "name", "rule"),
        [
            (yahoo_row("AAPL", AUGUST_14, "put", 95.0, strike=None), "AAPL260814P00095000", "missing_strike"),
            (yahoo_row("AAPL", AUGUST_14, "put", 95.0, strike=-95), "AAPL260814P00095000", "missing_strike"),
            (yahoo_row("AAPL", AUGUST_14, "put", 95.0, strike=96), "AAPL260814P00095000", "strike_mismatch"),
            (yahoo_row("AAPL1", AUGUST_14, "put", 95.0), "AAPL1260814P00095000", "adjusted_contract"),
            (
                yahoo_row("AAPL", AUGUST_14, "put", 95.0, contractSize="MINI"),
                "AAPL260814P00095000",
                "adjusted_contract",
            ),
            (yahoo_row("AAPL", AUGUST_21, "put", 95.0), "AAPL260821P00095000", "wrong_expiration"),
            (yahoo_row("AAPL", AUGUST_14, "call", 95.0), "AAPL260814C00095000", "unreadable_contract_symbol"),
            (yahoo_row("AAPL", AUGUST_14, "put", 9.0, contractSymbol="oops\0"), "oops?", "unreadable_contract_symbol"),
            (yahoo_row("AAPL", AUGUST_14, "put", 9.0, contractSymbol=None), "missing #1", "unreadable_contract_symbol"),
            (None, "missing #1", "unreadable_contract_symbol"),
        ],
    )
    def test_row_is_refused_by_name_and_costs_itself_alone(
        self, market: ScriptedMarket, yahoo: YahooProvider, row: Any, name: str, rule: str
    ) -> None:
        reply = self.rows(market, yahoo, row)
        assert [(refused.contract_symbol, refused.rule) for refused in reply.refused] == [(name, rule)]
        assert len(reply.contracts) == 1

    def test_the_same_row_twice_is_kept_once_and_every_refused_name_is_used_once(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        row = yahoo_row("AAPL", AUGUST_14, "put", 95.0)
        reply = self.rows(market, yahoo, row, row, row, None, None)
        assert [refused.rule for refused in reply.refused[:2]] == ["duplicate_contract"] * 2
        assert len(reply.contracts) == 2
        names = [refused.contract_symbol for refused in reply.refused]
        assert len(set(names) | {"AAPL260814P00095000"}) == len(names) + 1

    def test_dividend_yield_is_the_fraction_and_not_the_percentage(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        prices: dict[str, Any] = {"regularMarketOpen": 99, "regularMarketDayHigh": 101.5, "regularMarketDayLow": 0}
        yields: dict[str, Any] = {"trailingAnnualDividendYield": 0.0041, "dividendYield": 0.41}
        market.yahoo("AAPL", chain(**prices, **yields, regularMarketPreviousClose=98.5, regularMarketVolume=5e7))
        assert ask(yahoo).quote == (100.0, NOW, 98.5, 99.0, 101.5, None, 50_000_000, "REGULAR", 0.0041)


class TestRecordings:
    """Yahoo's own replies of Monday 2025-02-24, before the open."""

    recorded_at = datetime(2025, 2, 24, 9, 24, 42, tzinfo=UTC)

    def replay(self, market: ScriptedMarket, folder: Path, name: str) -> dict[str, Any]:
        recording = json.loads((folder / "yahoo_recordings" / f"options-{name}.json").read_text())
        body: dict[str, Any] = recording["response"]["bodyJson"]
        market.yahoo(name, Reply(body, recording["response"]["status"]))
        return body

    @pytest.mark.parametrize(
        "name",
        ["AAPL", "ABBV", "AMZN", "BABA", "BEKE", "BFLY", "CRON", "EBAY", "EPAC", "GOOG", "PYPL", "QQQ", "SPOT"],
    )
    def test_recorded_chain_is_read_whole(
        self, market: ScriptedMarket, yahoo: YahooProvider, market_dir: Path, name: str
    ) -> None:
        result = self.replay(market, market_dir, name)["optionChain"]["result"][0]
        page = result["options"][0]
        shown = datetime.fromtimestamp(page["expirationDate"], UTC).date()
        dte = (shown - self.recorded_at.date()).days
        reply = yahoo.fetch_chain(ChainRequest(name, (dte,), self.recorded_at))
        assert reply.expirations == (shown,)
        assert len(reply.listed_expirations) == len(result["expirationDates"])
        assert reply.refused == []
        assert len(reply.contracts) == len(page["calls"]) + len(page["puts"])
        assert reply.quote.current_price == result["quote"]["regularMarketPrice"]
        assert reply.quote.quoted_at == datetime.fromtimestamp(result["quote"]["regularMarketTime"], UTC)

    @pytest.mark.parametrize(("name", "error"), [("AFRAF", NoOptions), ("ADH", UnknownSymbol)])
    def test_recorded_answer_is_told_apart(
        self, market: ScriptedMarket, yahoo: YahooProvider, market_dir: Path, name: str, error: type[FetchError]
    ) -> None:
        self.replay(market, market_dir, name)
        with pytest.raises(error):
            yahoo.fetch_chain(ChainRequest(name, (30,), self.recorded_at))

    def test_recorded_reply_to_an_unlisted_date_is_no_chain(
        self, market: ScriptedMarket, yahoo: YahooProvider, market_dir: Path
    ) -> None:
        self.replay(market, market_dir, "AAPL-expire-2022-03-01")
        market.script[OPTIONS_PATH + "AAPL"] = market.script[OPTIONS_PATH + "AAPL-expire-2022-03-01"]
        with pytest.raises(VendorFault, match="does not send"):
            yahoo.fetch_chain(ChainRequest("AAPL", (30,), self.recorded_at))


def test_wire_requests_are_counted_for_the_thread_that_makes_them(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.yahoo("AAPL", chain())
    barrier = threading.Barrier(2)

    def ask_together(_: int) -> int:
        barrier.wait()
        return ask(yahoo).requests

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask_together, range(2))) == [1, 3]
