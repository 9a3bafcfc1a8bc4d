"""Polygon through the real massive client over HTTP: what it asks, what it costs, and how rows are read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.providers.base import ChainReply, InvalidReply
from optsync_pipeline.providers.polygon import PolygonProvider
from optsync_pipeline_tests.polygon_talk import (
    AUGUST_7,
    AUGUST_14,
    AUGUST_21,
    KEY,
    NOW,
    SEPTEMBER_18,
    as_polygon_answers,
    ask,
    fail,
    nanoseconds,
    page,
    provider,
    row,
)
from optsync_pipeline_tests.stand_in import SNAPSHOT_PATH, Reply, ScriptedMarket, scripted_market

AAPL = SNAPSHOT_PATH + "AAPL"
FRIDAYS = [AUGUST_7, AUGUST_14, AUGUST_21, SEPTEMBER_18]


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def polygon(market: ScriptedMarket) -> Iterator[PolygonProvider]:
    asked = provider(market.polygon_url)
    yield asked
    asked.close()


def filters(market: ScriptedMarket) -> list[dict[str, str]]:
    """The expiration filters of each request."""
    return [{name: value for name, value in hit.query.items() if name != "limit"} for hit in market.hits]


class TestRequests:
    def test_a_weekly_expiration_is_guessed_and_costs_one_request(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers(FRIDAYS)
        reply = ask(polygon)
        assert reply.requests == len(market.hits) == 1
        assert market.hits[0].query == {"expiration_date": "2026-08-14", "limit": "250"}
        assert market.hits[0].headers["authorization"] == f"Bearer {KEY}"
        assert (reply.expirations, reply.listed_expirations) == ((AUGUST_14,), (AUGUST_14,))
        assert len(reply.contracts) == 2

    @pytest.mark.parametrize("known_provider", ["polygon", "yahoo"])
    def test_a_known_expiration_costs_one_request_whoever_listed_it(
        self, market: ScriptedMarket, polygon: PolygonProvider, known_provider: str
    ) -> None:
        market.script[AAPL] = as_polygon_answers([AUGUST_21, SEPTEMBER_18])
        reply = ask(polygon, known=(AUGUST_21, SEPTEMBER_18), known_provider=known_provider)
        assert (reply.requests, reply.expirations) == (1, (AUGUST_21,))

    def test_a_stock_with_weekly_expirations_is_asked_for_the_nearest_friday_though_an_earlier_one_alone_is_known(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers(FRIDAYS)
        assert ask(polygon, known=(AUGUST_7,)).expirations == (AUGUST_14,)
        assert filters(market) == [{"expiration_date": "2026-08-14"}]

    def test_a_stock_with_monthly_expirations_alone_is_asked_for_the_known_one(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        july_17 = date(2026, 7, 17)
        market.script[AAPL] = as_polygon_answers([july_17, AUGUST_21])
        reply = ask(polygon, dtes=(14,), known=(july_17,))
        assert (reply.requests, reply.expirations) == (1, (july_17,))

    def test_a_guess_that_is_not_listed_costs_one_request_more(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers([AUGUST_21, SEPTEMBER_18])
        reply = ask(polygon)
        assert (reply.requests, reply.expirations) == (2, (AUGUST_21,))
        assert filters(market)[1] == {"expiration_date.gte": "2026-07-28", "expiration_date.lte": "2026-09-02"}

    def test_expirations_far_from_the_target_are_found_with_a_third_request(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        far = date(2026, 12, 18)
        market.script[AAPL] = as_polygon_answers([SEPTEMBER_18, far])
        reply = ask(polygon)
        assert (reply.requests, reply.expirations) == (3, (SEPTEMBER_18,))
        assert reply.listed_expirations == (SEPTEMBER_18, far)
        assert filters(market)[2] == {}

    def test_an_expiration_listed_since_that_is_nearer_comes_with_the_known_one(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers(FRIDAYS)
        reply = ask(polygon, known=(AUGUST_21,))
        assert (reply.requests, reply.expirations) == (1, (AUGUST_14,))
        assert reply.listed_expirations == (AUGUST_14, AUGUST_21)
        assert {contract.expiration_date for contract in reply.contracts} == {AUGUST_14}
        assert reply.refused == []

    def test_a_daily_expiration_nearer_than_the_friday_is_chosen(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        wednesday = date(2026, 8, 12)
        market.script[AAPL] = as_polygon_answers([wednesday, AUGUST_14])
        reply = ask(polygon, dtes=(27,))
        assert (reply.requests, reply.expirations) == (1, (wednesday,))

    def test_what_it_listed_outside_the_days_asked_for_stays_listed(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers(FRIDAYS)
        assert ask(polygon, known=(AUGUST_14, SEPTEMBER_18)).listed_expirations == (AUGUST_14, SEPTEMBER_18)
        foreign = ask(polygon, known=(AUGUST_14, SEPTEMBER_18), known_provider="yahoo")
        assert foreign.listed_expirations == (AUGUST_14,)

    def test_targets_far_apart_cost_a_request_each_and_those_close_together_one(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers(FRIDAYS)
        reply = ask(polygon, dtes=(28, 31, 64))
        assert (reply.requests, reply.expirations) == (2, (AUGUST_14, SEPTEMBER_18))
        assert {contract.expiration_date for contract in reply.contracts} == {AUGUST_14, SEPTEMBER_18}

    def test_a_target_whose_guess_was_wrong_leaves_the_others_rows_once(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers([AUGUST_14, SEPTEMBER_18])
        reply = ask(polygon, dtes=(30, 50))
        assert reply.expirations == (AUGUST_14, SEPTEMBER_18)
        assert (len(reply.contracts), reply.refused) == (4, [])

    def test_every_page_costs_a_request_and_only_the_query_of_next_url_is_followed(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers([AUGUST_14], page_size=1)
        reply = ask(polygon)
        assert (reply.requests, len(reply.contracts)) == (2, 2)
        assert market.hits[1].query == {"cursor": "1_2026-08-14_2026-08-14"}
        assert market.hits[1].headers["authorization"] == f"Bearer {KEY}"

    def test_a_contract_on_two_pages_is_kept_once(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(), next_url=f"https://api.massive.com{AAPL}?cursor=2"), page(row()))
        reply = ask(polygon)
        assert len(reply.contracts) == 1
        assert [refused.rule for refused in reply.refused] == ["duplicate_contract"]

    def test_a_stand_ins_own_next_url_is_followed_too(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        next_url = f"{market.polygon_url}{AAPL}?cursor=2"
        market.polygon("AAPL", page(row(), next_url=next_url), page(row(AUGUST_14, "call")))
        assert len(ask(polygon).contracts) == 2

    def test_class_share_keeps_its_dot_and_its_contracts_have_the_joined_root(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        berkshire = row(AUGUST_14, "put", 480.0, ticker="O:BRKB260814P00480000", underlying_asset={"price": 490.0})
        market.polygon("BRK.B", page(berkshire))
        assert ask(polygon, "BRK.B").contracts[0].contract_symbol == "BRKB260814P00480000"

    def test_connections_are_kept_and_thirty_two_threads_get_each_their_reply(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", page(row()))
        assert {ask(polygon).requests for _ in range(5)} == {1}
        assert len({hit.client_port for hit in market.hits}) == 1
        with ThreadPoolExecutor(32) as pool:
            replies = list(pool.map(lambda _: ask(polygon), range(96)))
        assert [reply.requests for reply in replies] == [1] * 96


class TestRows:
    def read(self, market: ScriptedMarket, polygon: PolygonProvider, *rows: Any) -> ChainReply:
        market.polygon("AAPL", page(row(AUGUST_14, "call", 105.0), *rows))
        return ask(polygon)

    def test_contract_is_read_with_its_units(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        contract = self.read(market, polygon, row(AUGUST_14, "put", 95.5)).contracts[1]
        assert contract == (
            *("AAPL260814P00095500", AUGUST_14, 95.5, "put", 1.5, 1.7, 1.6, 12, 340, 0.35),
            *(-0.31, 0.02, -0.05, 0.11, None),
        )

    @pytest.mark.parametrize("junk", [None, "12", True, [], {"fmt": "1"}])
    def test_number_that_is_none_becomes_none(
        self, market: ScriptedMarket, polygon: PolygonProvider, junk: Any
    ) -> None:
        odd = row(
            bid=junk,
            ask=junk,
            greeks={"delta": junk, "gamma": junk, "theta": junk, "vega": junk},
            day={"close": junk, "volume": junk},
            last_trade={"price": junk},
            implied_volatility=junk,
            open_interest=junk,
        )
        assert self.read(market, polygon, odd).contracts[1][4:] == (None,) * 11

    @pytest.mark.parametrize("part", [..., {}, None, "none"])
    def test_missing_parts_are_none_and_never_zero(
        self, market: ScriptedMarket, polygon: PolygonProvider, part: Any
    ) -> None:
        names = ("day", "greeks", "last_trade", "last_quote", "implied_volatility", "open_interest")
        assert self.read(market, polygon, row(**dict.fromkeys(names, part))).contracts[1][4:] == (None,) * 11

    def test_last_price_falls_back_on_the_days_close(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        assert self.read(market, polygon, row(last_trade=...)).contracts[1].last_price == 1.55

    def test_volume_of_an_earlier_day_is_not_this_sessions(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        bar = {"close": 1.55, "volume": 12, "last_updated": nanoseconds(NOW - timedelta(days=1))}
        assert self.read(market, polygon, row(day=bar)).contracts[1].volume is None

    def test_quote_from_before_the_session_is_none_and_the_row_stays(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        reply = self.read(market, polygon, row(last_updated=nanoseconds(NOW - timedelta(days=1))))
        assert (reply.contracts[1].bid, reply.contracts[1].ask, reply.contracts[1].open_interest) == (None, None, 340)
        assert reply.contracts[0].bid == 1.5

    @pytest.mark.parametrize(
        ("odd", "name", "rule"),
        [
            (row(strike_price=None), "AAPL260814P00095000", "missing_strike"),
            (row(strike_price=-95), "AAPL260814P00095000", "missing_strike"),
            (row(strike_price=96), "AAPL260814P00095000", "strike_mismatch"),
            (row(ticker="O:AAPL1260814P00095000"), "AAPL1260814P00095000", "adjusted_contract"),
            (row(shares_per_contract=150), "AAPL260814P00095000", "adjusted_contract"),
            (row(shares_per_contract="some"), "AAPL260814P00095000", "adjusted_contract"),
            (row(SEPTEMBER_18), "AAPL260918P00095000", "wrong_expiration"),
            (row(contract_type="call"), "AAPL260814P00095000", "unreadable_contract_symbol"),
            (row(ticker="oops\0"), "oops?", "unreadable_contract_symbol"),
            (row(ticker=None), "missing #1", "unreadable_contract_symbol"),
            (row(details=...), "missing #1", "unreadable_contract_symbol"),
            (None, "missing #1", "unreadable_contract_symbol"),
        ],
    )
    def test_row_is_refused_by_name_and_costs_itself_alone(
        self, market: ScriptedMarket, polygon: PolygonProvider, odd: Any, name: str, rule: str
    ) -> None:
        reply = self.read(market, polygon, odd)
        assert [(refused.contract_symbol, refused.rule) for refused in reply.refused] == [(name, rule)]
        assert len(reply.contracts) == 1

    def test_the_clients_own_example_is_read(
        self, market: ScriptedMarket, polygon: PolygonProvider, market_dir: Path
    ) -> None:
        market.polygon("AAPL", Reply((market_dir / "polygon_examples" / "AAPL.json").read_bytes()))
        reply = ask(polygon, dtes=(413,), now=datetime(2022, 4, 29, 18, tzinfo=UTC))
        assert reply.contracts == [
            (
                *("AAPL230616C00150000", date(2023, 6, 16), 150.0, "call", 28.9, 29.25, 29.25, 8, 8133),
                *(0.3570277203465058, 0.6436614934293701, 0.0061735291012820675, -0.028227189324641973),
                *(0.6381159723175714, None),
            )
        ]
        assert reply.quote.current_price == 159.9606


class TestStockQuote:
    def quote_of(self, market: ScriptedMarket, polygon: PolygonProvider, stock: Any, quoted_at: datetime) -> Any:
        market.polygon("AAPL", page(row(underlying_asset=stock, last_updated=nanoseconds(quoted_at))))
        return ask(polygon).quote

    def test_the_older_of_price_and_quotes_dates_the_reply(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        for price_age, quote_age in ((1, 3), (3, 1)):
            stock = {"price": 100.0, "last_updated": nanoseconds(NOW - timedelta(minutes=price_age))}
            quote = self.quote_of(market, polygon, stock, NOW - timedelta(minutes=quote_age))
            assert quote.quoted_at == NOW - timedelta(minutes=3)
            assert quote == (100.0, quote.quoted_at, None, None, None, None, None, None, None)

    def test_the_quotes_date_a_price_without_a_time(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        at = NOW - timedelta(minutes=2)
        assert self.quote_of(market, polygon, {"price": 100}, at).quoted_at == at

    def test_the_newest_of_the_rows_prices_is_taken(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        stocks = [
            {"price": 100.0 + minutes, "last_updated": nanoseconds(NOW - timedelta(minutes=minutes))}
            for minutes in (3, 1, 2)
        ]
        rows = [row(AUGUST_14, "put", 90.0 + n, underlying_asset=stock) for n, stock in enumerate(stocks)]
        market.polygon("AAPL", page(*rows))
        assert ask(polygon).quote.current_price == 101.0

    @pytest.mark.parametrize("stock", [..., {}, {"price": None}, {"price": 0}, {"ticker": "AAPL"}])
    def test_no_price_is_an_invalid_reply(self, market: ScriptedMarket, polygon: PolygonProvider, stock: Any) -> None:
        market.polygon("AAPL", page(row(underlying_asset=stock)))
        assert "price" in str(fail(polygon, InvalidReply))

    def test_no_time_is_an_invalid_reply(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(underlying_asset={"price": 100.0}, last_updated="now")))
        assert "time" in str(fail(polygon, InvalidReply))
