"""Quotes of many stocks at Robinhood: one request for all of a run's next hundred, and by themselves."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optsync_pipeline.providers.base import FetchError, InvalidReply, UnknownSymbol, VendorFault
from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
from optsync_pipeline.providers.robinhood_quotes import SharedQuotes
from optsync_pipeline.providers.robinhood_session import RobinhoodSession
from optsync_pipeline_tests.robinhood_talk import (
    CREDENTIALS,
    LOGIN,
    MARKETDATA,
    NOW,
    QUOTES,
    Robinhood,
    Stock,
    ask,
    provider_of,
)
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, scripted_market

SYMBOLS = [f"A{first}{second}" for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJKLMNOPQRSTUVWXY"]  # 250


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def vendor(market: ScriptedMarket) -> Robinhood:
    return Robinhood(market, *(Stock(symbol, price=50.0 + place) for place, symbol in enumerate(SYMBOLS)))


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quotes(vendor: Robinhood, tmp_path: Path, clock: Clock) -> SharedQuotes:
    account = RobinhoodAccount(CREDENTIALS, tmp_path, stand_in_url=vendor.market.robinhood_url)
    return SharedQuotes(RobinhoodSession(account), clock)


def asked(vendor: Robinhood) -> list[list[str]]:
    return [hit.query["symbols"].split(",") for hit in vendor.market.hits if hit.path == QUOTES]


class TestShared:
    def test_one_request_serves_a_symbol_and_the_next_hundred(self, vendor: Robinhood, quotes: SharedQuotes) -> None:
        quotes.expect(SYMBOLS)
        assert [quotes.quote_of(symbol).current_price for symbol in SYMBOLS[:101]] == [50.0 + i for i in range(101)]
        assert asked(vendor) == [SYMBOLS[:101]]
        quotes.quote_of(SYMBOLS[101])
        assert asked(vendor)[1:] == [SYMBOLS[101:202]]

    def test_those_asked_for_already_and_those_passed_over_are_not_asked_again(
        self, vendor: Robinhood, quotes: SharedQuotes, clock: Clock
    ) -> None:
        quotes.expect(SYMBOLS)
        for symbol in SYMBOLS[10:20]:
            quotes.quote_of(symbol)
        clock.seconds = 121
        quotes.quote_of(SYMBOLS[5])
        assert asked(vendor)[1] == [*SYMBOLS[5:10], *SYMBOLS[20:116]]

    def test_a_symbol_that_nobody_foretold_is_asked_alone(self, vendor: Robinhood, quotes: SharedQuotes) -> None:
        quotes.quote_of(SYMBOLS[0])
        assert asked(vendor) == [[SYMBOLS[0]]]

    def test_a_quote_is_asked_again_after_two_minutes(
        self, vendor: Robinhood, quotes: SharedQuotes, clock: Clock
    ) -> None:
        quotes.quote_of(SYMBOLS[0])
        clock.seconds = 119
        quotes.quote_of(SYMBOLS[0])
        assert len(asked(vendor)) == 1
        clock.seconds = 121
        quotes.quote_of(SYMBOLS[0])
        assert len(asked(vendor)) == 2

    def test_an_unknown_symbol_among_many_is_unknown_alone(self, vendor: Robinhood, quotes: SharedQuotes) -> None:
        quotes.expect([SYMBOLS[0], "NOPE", SYMBOLS[1]])
        assert quotes.quote_of(SYMBOLS[0]).current_price == 50.0
        for _ in range(2):
            with pytest.raises(UnknownSymbol):
                quotes.quote_of("NOPE")
        assert len(asked(vendor)) == 1

    def test_many_threads_share_one_request(self, vendor: Robinhood, quotes: SharedQuotes) -> None:
        vendor.answer(QUOTES, lambda hit: Reply(vendor._quotes(hit).body, delay_seconds=0.2))
        quotes.expect(SYMBOLS[:100])
        with ThreadPoolExecutor(20) as threads:
            prices = list(threads.map(lambda symbol: quotes.quote_of(symbol).current_price, SYMBOLS[:20]))
        assert prices == [50.0 + place for place in range(20)]
        assert len(asked(vendor)) == 1

    def test_where_it_fails_those_that_waited_ask_together_and_not_in_turn(
        self, vendor: Robinhood, quotes: SharedQuotes
    ) -> None:
        under_way, most, lock = 0, 0, threading.Lock()
        all_here = threading.Barrier(4)

        def fails(hit: Hit) -> Reply:
            return Reply("", 503, delay_seconds=0.3)

        vendor.answer(QUOTES, fails)
        quotes.expect(SYMBOLS)

        def attempt(symbol: str) -> str:
            nonlocal under_way, most
            all_here.wait()
            with lock:
                under_way += 1
                most = max(most, under_way)
            with pytest.raises(VendorFault) as caught:
                quotes.quote_of(symbol)
            return caught.value.error_type

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(attempt, SYMBOLS[:4])) == ["provider_error"] * 4
        assert len(asked(vendor)) == 4
        vendor.answer(QUOTES, vendor._quotes)
        assert quotes.quote_of(SYMBOLS[0]).current_price == 50.0

    def test_a_reply_without_the_symbol_is_invalid(self, vendor: Robinhood, quotes: SharedQuotes) -> None:
        vendor.answer(QUOTES, Reply({"results": []}))
        with pytest.raises(InvalidReply):
            quotes.quote_of(SYMBOLS[0])

    def test_warm_symbols_of_fifty_contracts_cost_one_request_each_and_a_hundredth(
        self, vendor: Robinhood, tmp_path: Path
    ) -> None:
        robinhood = provider_of(vendor.market, tmp_path)
        robinhood.expect(SYMBOLS)
        for symbol in SYMBOLS[:30]:
            ask(robinhood, symbol)
        vendor.market.hits.clear()
        warm = provider_of(vendor.market, tmp_path, robinhood._lister._ids)
        warm.expect(SYMBOLS)
        replies = [ask(warm, symbol) for symbol in SYMBOLS[:30]]
        assert sum(reply.requests for reply in replies) == len(vendor.market.hits) == 31
        assert vendor.market.paths == [QUOTES, *[MARKETDATA] * 30]


class TestBulk:
    def test_five_hundred_symbols_cost_one_request_whose_address_is_short_enough(
        self, market: ScriptedMarket, tmp_path: Path
    ) -> None:
        symbols = [f"ABCDE{place:03}.WS" for place in range(500)]
        vendor = Robinhood(market, *(Stock(symbol) for symbol in symbols))
        robinhood = provider_of(market, tmp_path)
        assert robinhood.symbols_per_request == 500
        reply = robinhood.fetch_quotes(symbols, NOW)
        assert (reply.provider, len(reply.quotes), reply.requests) == ("robinhood", 500, 2)
        assert market.paths == [LOGIN, QUOTES]
        assert len(market.hits[1].query["symbols"]) < 6500
        assert vendor.logins

    def test_quotes_are_read_and_the_unknown_named(self, vendor: Robinhood, tmp_path: Path) -> None:
        reply = provider_of(vendor.market, tmp_path).fetch_quotes([SYMBOLS[3], "NOPE"], NOW)
        quote = reply.quotes[SYMBOLS[3]]
        assert (quote.current_price, quote.previous_close, quote.market_state) == (53.0, 99.5, None)
        assert quote.quoted_at == datetime(2026, 7, 16, 15, 29, 58, tzinfo=UTC)
        assert {symbol: error.error_type for symbol, error in reply.unknown.items()} == {"NOPE": "delisted"}

    def test_one_that_the_reply_does_not_speak_of_is_in_neither(self, vendor: Robinhood, tmp_path: Path) -> None:
        one = {"symbol": SYMBOLS[0], "last_trade_price": "7.5", "updated_at": "2026-07-16T15:29:58Z"}
        vendor.answer(QUOTES, Reply({"results": [one]}))
        reply = provider_of(vendor.market, tmp_path).fetch_quotes(SYMBOLS[:2], NOW)
        assert (list(reply.quotes), reply.unknown) == ([SYMBOLS[0]], {})

    def test_a_failure_tells_what_it_cost(self, vendor: Robinhood, tmp_path: Path) -> None:
        vendor.answer(QUOTES, Reply("", 503))
        with pytest.raises(FetchError) as caught:
            provider_of(vendor.market, tmp_path).fetch_quotes(SYMBOLS[:2], NOW)
        assert (caught.value.error_type, caught.value.requests) == ("provider_error", 2)
