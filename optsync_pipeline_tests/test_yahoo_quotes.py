"""Yahoo's quotes of many stocks at once, through the real yfinance over HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.providers.base import (
    AuthError,
    BulkQuotes,
    FetchError,
    InvalidReply,
    NetworkError,
    QuotesReply,
    RateLimited,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline_tests.stand_in import CRUMB_PATH, QUOTES_PATH, Reply, ScriptedMarket, scripted_market
from optsync_pipeline_tests.yahoo_talk import HTML, NOW, ask, chain


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def yahoo(market: ScriptedMarket, tmp_path: Path) -> YahooProvider:
    return YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path / "yfinance")


def quote(symbol: str, price: Any = 100.0, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "marketState": "REGULAR",
        "regularMarketPrice": price,
        "regularMarketTime": int(NOW.timestamp()),
        **changes,
    }


def quotes(*results: Any) -> Reply:
    return Reply({"quoteResponse": {"result": list(results), "error": None}})


def ask_all(yahoo: YahooProvider, *symbols: str) -> QuotesReply:
    return yahoo.fetch_quotes(symbols, NOW)


def test_it_says_how_many_symbols_a_request_takes(yahoo: YahooProvider) -> None:
    assert isinstance(yahoo, BulkQuotes)
    assert yahoo.symbols_per_request == 50


def test_fifty_symbols_cost_one_request_and_share_the_chains_crumb(
    market: ScriptedMarket, yahoo: YahooProvider
) -> None:
    symbols = [f"S{number}" for number in range(50)]
    market.yahoo("AAPL", chain())
    market.script[QUOTES_PATH] = lambda hit: quotes(*(quote(name) for name in hit.query["symbols"].split(",")))
    ask(yahoo)
    reply = ask_all(yahoo, *symbols)
    assert (reply.provider, reply.requests, reply.unknown) == ("yahoo", 1, {})
    assert list(reply.quotes) == symbols
    assert market.paths.count(CRUMB_PATH) == 1
    assert market.hits[-1].query["crumb"] == market.crumb


def test_the_first_request_of_a_process_fetches_a_crumb(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("AAPL"))]
    assert ask_all(yahoo, "AAPL").requests == len(market.hits) == 3


def test_quotes_are_joined_on_the_symbol_whatever_their_order(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("MSFT", 400.0), quote("XYZ", 1.0), None, quote("AAPL", 200.0))]
    reply = ask_all(yahoo, "AAPL", "MSFT")
    assert {symbol: one.current_price for symbol, one in reply.quotes.items()} == {"AAPL": 200.0, "MSFT": 400.0}
    assert reply.unknown == {}


def test_class_share_is_asked_with_a_dash_and_told_with_a_dot(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("BRK-B", 480.0))]
    assert ask_all(yahoo, "BRK.B").quotes["BRK.B"].current_price == 480.0
    assert market.hits[-1].query["symbols"] == "BRK-B"


def test_a_quote_is_read_as_a_chains_is(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    figures = {"regularMarketOpen": 99, "regularMarketDayLow": 0, "regularMarketVolume": 5e7, "dividendYield": 0.41}
    market.script[QUOTES_PATH] = [quotes(quote("AAPL", **figures))]
    assert ask_all(yahoo, "AAPL").quotes["AAPL"] == (
        *(100.0, NOW, None, 99.0, None, None, 50_000_000, "REGULAR", None),
    )


def test_an_absent_symbol_is_unknown_and_costs_itself_alone(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("AAPL"))]
    reply = ask_all(yahoo, "AAPL", "NOSUCH")
    assert list(reply.quotes) == ["AAPL"]
    assert [(symbol, type(error)) for symbol, error in reply.unknown.items()] == [("NOSUCH", UnknownSymbol)]


@pytest.mark.parametrize("changes", [{"price": None}, {"price": 0}, {"regularMarketTime": None}])
def test_a_symbol_without_a_price_or_a_time_is_an_invalid_reply_about_itself_alone(
    market: ScriptedMarket, yahoo: YahooProvider, changes: dict[str, Any]
) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("AAPL"), quote("ADH", **changes))]
    reply = ask_all(yahoo, "AAPL", "ADH")
    assert list(reply.quotes) == ["AAPL"]
    assert [(symbol, type(error)) for symbol, error in reply.unknown.items()] == [("ADH", InvalidReply)]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(HTML, 403), AuthError),
        (Reply(HTML, 404), AuthError),
        (Reply("", 429), RateLimited),
        (Reply(HTML, 500), VendorFault),
        (Reply(HTML), InvalidReply),
        (Reply('{"quoteResponse": {"result": null}}'), InvalidReply),
        (Reply('{"quoteResponse": null}'), InvalidReply),
        (Reply(quotes(quote("AAPL")).body, cut_off=True), NetworkError),
    ],
)
def test_reply_becomes_its_error(
    market: ScriptedMarket, yahoo: YahooProvider, reply: Reply, error: type[FetchError]
) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("AAPL")), reply]
    ask_all(yahoo, "AAPL")
    with pytest.raises(error) as caught:
        ask_all(yahoo, "AAPL")
    assert type(caught.value) is error
    assert caught.value.requests == 1
    assert market.crumb not in str(caught.value)


def test_retry_after_is_read(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [Reply("", 429, {"Retry-After": "12"})]
    with pytest.raises(RateLimited) as caught:
        ask_all(yahoo, "AAPL")
    assert caught.value.retry_after_seconds == 12


def test_revoked_crumb_heals_within_the_call(market: ScriptedMarket, yahoo: YahooProvider) -> None:
    market.script[QUOTES_PATH] = [quotes(quote("AAPL"))]
    ask_all(yahoo, "AAPL")
    market.crumb = "crumb/2.b"
    assert ask_all(yahoo, "AAPL").requests == 3


def test_recorded_quotes_are_read(market: ScriptedMarket, yahoo: YahooProvider, market_dir: Path) -> None:
    recording = json.loads((market_dir / "yahoo_recordings" / "quote-AAPL-BABA.json").read_text())
    market.script[QUOTES_PATH] = [Reply(recording["response"]["bodyJson"])]
    reply = ask_all(yahoo, "BABA", "AAPL")
    assert {symbol: one.current_price for symbol, one in reply.quotes.items()} == {"AAPL": 244.6, "BABA": 124.73}
    assert reply.quotes["AAPL"].quoted_at == datetime(2025, 2, 14, 21, tzinfo=UTC)
