"""What Yahoo's odd replies become, through the real yfinance over HTTP, and that a crumb which is none never stays."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from optsync_pipeline.providers.base import (
    ApiTimeout,
    AuthError,
    FetchError,
    InvalidReply,
    NetworkError,
    NoOptions,
    RateLimited,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline_tests.stand_in import (
    CRUMB_PATH,
    OPTIONS_PATH,
    Reply,
    ScriptedMarket,
    scripted_market,
    yahoo_chain,
)
from optsync_pipeline_tests.yahoo_talk import (
    AUGUST_14,
    AUGUST_21,
    HTML,
    LISTED,
    NOW,
    SEPTEMBER_18,
    as_yahoo_answers,
    ask,
    chain,
    fail,
)


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def yahoo(market: ScriptedMarket, tmp_path: Path) -> YahooProvider:
    return YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path / "yfinance")


class TestCrumbs:
    def test_revoked_crumb_heals_within_the_call_for_two_requests_more(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", chain())
        ask(yahoo)
        market.crumb = "crumb/2.b"
        assert ask(yahoo).requests == 3
        assert ask(yahoo).requests == 1

    def test_401_that_a_new_crumb_does_not_heal_is_an_auth_error(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", Reply("{}", 401))
        assert fail(yahoo, AuthError).requests == 5
        market.yahoo("AAPL", chain())
        assert ask(yahoo).contracts

    def test_crumb_refused_with_429_is_rate_limited_at_once_and_says_how_long_to_wait(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[CRUMB_PATH] = [Reply("Too Many Requests", 429, {"Retry-After": "7"}), Reply(market.crumb)]
        market.yahoo("AAPL", chain())
        error = fail(yahoo, RateLimited)
        assert (error.requests, error.retry_after_seconds) == (2, 7)
        assert ask(yahoo).requests == 2

    def test_too_many_requests_with_status_200_is_rate_limited_too(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[CRUMB_PATH] = [Reply("Too Many Requests\r\n"), Reply(market.crumb)]
        market.yahoo("AAPL", chain())
        fail(yahoo, RateLimited)
        assert ask(yahoo).contracts

    @pytest.mark.parametrize("text", [HTML, "", "Edge: Not Found", '{"finance":{"error":{}}}', "x" * 200])
    def test_text_that_is_no_crumb_is_replaced_within_the_call(
        self, market: ScriptedMarket, yahoo: YahooProvider, text: str
    ) -> None:
        market.script[CRUMB_PATH] = [Reply(text), Reply(market.crumb)]
        market.yahoo("AAPL", chain())
        ask(yahoo)
        assert {hit.query["crumb"] for hit in market.hits if "crumb" in hit.query} == {market.crumb}

    def test_text_that_is_no_crumb_never_sticks(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.script[CRUMB_PATH] = [Reply(HTML), Reply(HTML), Reply(HTML), Reply(market.crumb)]
        market.yahoo("AAPL", chain())
        fail(yahoo, VendorFault)
        assert ask(yahoo).contracts
        assert all(hit.query["crumb"] == market.crumb for hit in market.hits if hit.path.startswith(OPTIONS_PATH))

    @pytest.mark.parametrize(("status", "error"), [(500, VendorFault), (403, AuthError)])
    def test_crumb_that_cannot_be_had_is_named_for_its_status(
        self, market: ScriptedMarket, yahoo: YahooProvider, status: int, error: type[FetchError]
    ) -> None:
        market.script[CRUMB_PATH] = [Reply("Unauthorized", status)]
        market.yahoo("AAPL", chain())
        fail(yahoo, error)
        assert not any(path.startswith(OPTIONS_PATH) for path in market.paths)


class TestErrors:
    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (Reply(HTML, 404), UnknownSymbol),
            (Reply(HTML, 403), UnknownSymbol),
            (Reply("Too Many Requests", 429), RateLimited),
            (Reply(HTML, 500), VendorFault),
            (Reply(HTML, 503), VendorFault),
            (Reply("{}", 400), InvalidReply),
            (Reply(HTML), InvalidReply),
            (Reply(""), InvalidReply),
            (Reply("[]"), InvalidReply),
            (Reply('{"optionChain": {"result": [{"expirationDates"'), InvalidReply),
            (Reply('{"optionChain": {"result": null, "error": null}}'), InvalidReply),
            (Reply('{"optionChain": null}'), InvalidReply),
            (Reply('{"optionChain": {"result": [{"quote": {}}]}}'), InvalidReply),
            (Reply('{"optionChain": {"result": [], "error": null}}'), UnknownSymbol),
            (chain(regularMarketPrice=...), InvalidReply),
            (chain(regularMarketPrice=0), InvalidReply),
            (chain(regularMarketTime=...), InvalidReply),
            (chain(regularMarketTime=1e300), InvalidReply),
            (chain(symbol="MSFT"), InvalidReply),
            (chain(None, listed=[]), NoOptions),
            (chain(None, listed=[], regularMarketPrice=..., regularMarketTime=1561759658), UnknownSymbol),
            (chain(date(2026, 7, 10), listed=[date(2026, 7, 10)]), StaleReply),
            (chain(calls=[], puts=[]), VendorFault),
            (chain(AUGUST_21), VendorFault),
            (Reply(yahoo_chain("AAPL", LISTED, AUGUST_14, quoted_at=NOW), cut_off=True), NetworkError),
        ],
    )
    def test_reply_becomes_its_error(
        self, market: ScriptedMarket, yahoo: YahooProvider, reply: Reply, error: type[FetchError]
    ) -> None:
        market.yahoo("AAPL", reply)
        assert "AAPL" in str(fail(yahoo, error)) or error is NetworkError

    @pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 999])
    def test_a_bad_status_costs_one_request_and_leaves_the_crumb_to_others(
        self, market: ScriptedMarket, yahoo: YahooProvider, status: int
    ) -> None:
        market.yahoo("AAPL", chain(), Reply(HTML, status))
        market.yahoo("MSFT", chain(symbol="MSFT"))
        ask(yahoo)
        assert fail(yahoo, FetchErrorOf[status]).requests == 1
        assert ask(yahoo, "MSFT").requests == 1

    def test_retry_after_is_read(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.yahoo("AAPL", Reply("", 429, {"Retry-After": "12"}))
        assert fail(yahoo, RateLimited).retry_after_seconds == 12

    def test_no_list_after_one_was_known_is_a_fault_of_yahoo(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", chain(None, listed=[]))
        fail(yahoo, VendorFault, known=(AUGUST_14,))

    def test_list_that_lost_the_known_expiration_is_a_fault_of_yahoo(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script[OPTIONS_PATH + "AAPL"] = as_yahoo_answers("AAPL", [SEPTEMBER_18])
        fail(yahoo, VendorFault, known=tuple(LISTED))

    def test_no_list_where_another_vendor_had_one_is_an_answer(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.yahoo("AAPL", chain(None, listed=[]))
        fail(yahoo, NoOptions, known=(AUGUST_14,), known_provider="polygon")

    def test_list_that_changes_with_every_reply_ends(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        days = itertools.count()
        market.script[OPTIONS_PATH + "AAPL"] = lambda hit: chain(
            None, listed=[date(2026, 9, 1) + timedelta(days=next(days))]
        )
        fail(yahoo, VendorFault)

    def test_nobody_listening_is_a_network_error(self, tmp_path: Path) -> None:
        with scripted_market() as gone:
            url = gone.yahoo_url
        error = fail(YahooProvider(stand_in_url=url, cache_folder=tmp_path), NetworkError)
        assert "Connection refused" in str(error)

    def test_cookie_host_that_breaks_off_leaves_the_second_way_to_a_cookie(
        self, market: ScriptedMarket, yahoo: YahooProvider
    ) -> None:
        market.script["/"] = [Reply("gone", 200, cut_off=True)]
        market.script["/consent"] = [Reply(HTML)]
        fail(yahoo, VendorFault)  # no consent page here, so no crumb either
        assert "/consent" in market.paths

    @pytest.mark.parametrize("path", ["/", CRUMB_PATH, OPTIONS_PATH + "AAPL"])
    def test_silence_is_a_timeout_wherever_it_falls(self, market: ScriptedMarket, tmp_path: Path, path: str) -> None:
        market.script[path] = [Reply(delay_seconds=1.0)]
        impatient = YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path, timeout=(0.3, 0.3))
        fail(impatient, ApiTimeout)

    def test_no_error_text_holds_a_crumb_or_a_query(self, market: ScriptedMarket, yahoo: YahooProvider) -> None:
        market.yahoo("AAPL", chain())
        ask(yahoo)
        for reply in (Reply(HTML, 404), Reply(HTML), Reply(HTML, 500), Reply("{}", 401), Reply("x" * 99, cut_off=True)):
            market.yahoo("AAPL", reply)
            with pytest.raises(FetchError) as caught:
                ask(yahoo)
            error: BaseException | None = caught.value
            assert error is not None
            assert error.__cause__ is None
            assert market.crumb not in str(error)
            assert "?" not in str(error)


FetchErrorOf: dict[int, type[FetchError]] = {
    400: InvalidReply,
    403: UnknownSymbol,
    404: UnknownSymbol,
    429: RateLimited,
    500: VendorFault,
    503: VendorFault,
    999: RateLimited,
}
