"""What Polygon's odd replies become, through the real massive client over HTTP, and that the key is in none of it."""

import gzip
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from optsync_pipeline.providers import transport
from optsync_pipeline.providers.base import (
    ApiTimeout,
    AuthError,
    FetchError,
    InvalidReply,
    NetworkError,
    NoOptions,
    NotEntitled,
    RateLimited,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.polygon import PolygonProvider
from optsync_pipeline_tests.polygon_talk import (
    AUGUST_14,
    AUGUST_21,
    KEY,
    as_polygon_answers,
    ask,
    fail,
    page,
    provider,
    row,
)
from optsync_pipeline_tests.stand_in import SNAPSHOT_PATH, Reply, ScriptedMarket, scripted_market

AAPL = SNAPSHOT_PATH + "AAPL"
NEXT_URL = f"https://api.massive.com{AAPL}?cursor=2"
REFUSED = '{"status":"NOT_AUTHORIZED","request_id":"1","message":"You are not entitled to this data."}'


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def polygon(market: ScriptedMarket) -> Iterator[PolygonProvider]:
    asked = provider(market.polygon_url)
    yield asked
    asked.close()


BAD_REPLIES = [
    (Reply('{"status":"ERROR","error":"Unknown API Key"}', 401), AuthError),
    (Reply(REFUSED, 403), NotEntitled),
    (Reply("{}", 404), UnknownSymbol),
    (Reply("", 429), RateLimited),
    (Reply("", 500), VendorFault),
    (Reply("<html>", 503), VendorFault),
    (Reply("{}", 400), InvalidReply),
    (Reply("", 302, {"Location": "https://elsewhere.example/v3"}), InvalidReply),
    (Reply("<html>"), InvalidReply),
    (Reply(""), InvalidReply),
    (Reply("[]"), InvalidReply),
    (Reply(json.dumps(page(row()).body)[:-40]), InvalidReply),
    (Reply(page(row()).body, cut_off=True), NetworkError),
    (Reply({"status": "OK"}), VendorFault),
    (Reply({"status": "ERROR", "error": "database"}), VendorFault),
    (Reply({"results": None}), InvalidReply),
    (Reply({"results": {"AAPL": 1}}), InvalidReply),
]


@pytest.mark.parametrize(("reply", "error"), BAD_REPLIES)
def test_reply_becomes_its_error_at_the_cost_of_one_request(
    market: ScriptedMarket, polygon: PolygonProvider, reply: Reply, error: type[FetchError]
) -> None:
    market.polygon("AAPL", reply)
    caught = fail(polygon, error)
    assert caught.requests == len(market.hits) == 1
    assert caught.ends_provider == (error in (AuthError, NotEntitled))


@pytest.mark.parametrize(("reply", "error"), BAD_REPLIES)
def test_second_page_that_fails_is_its_own_error_and_the_first_is_dropped(
    market: ScriptedMarket, polygon: PolygonProvider, reply: Reply, error: type[FetchError]
) -> None:
    market.polygon("AAPL", page(row(), next_url=NEXT_URL), reply)
    assert fail(polygon, error).requests == 2


@pytest.mark.parametrize(
    "next_url",
    [
        "@elsewhere.example/v3?cursor=2",
        ".elsewhere.example/v3?cursor=2",
        "https://api.massive.com/v3/snapshot/options/MSFT?cursor=2",
        f"https://api.massive.com{AAPL}",
        7,
        [NEXT_URL],
    ],
)
def test_next_url_that_is_no_page_of_the_symbol_is_not_followed(
    market: ScriptedMarket, polygon: PolygonProvider, next_url: Any
) -> None:
    market.polygon("AAPL", page(row(), next_url=next_url))
    assert fail(polygon, InvalidReply).requests == 1


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1:1"])
def test_next_url_of_another_host_is_asked_of_our_own(
    market: ScriptedMarket, polygon: PolygonProvider, host: str
) -> None:
    market.polygon("AAPL", page(row(), next_url=f"https://{host}{AAPL}?cursor=2"), page(row(AUGUST_14, "call")))
    assert len(ask(polygon).contracts) == 2
    assert market.hits[1].query == {"cursor": "2"}


def test_pages_that_go_in_a_circle_end(market: ScriptedMarket, polygon: PolygonProvider) -> None:
    market.polygon("AAPL", page(row(), next_url=NEXT_URL))
    assert fail(polygon, InvalidReply).requests == 2


def test_retry_after_is_read_though_the_client_drops_headers(market: ScriptedMarket, polygon: PolygonProvider) -> None:
    market.polygon("AAPL", Reply("", 429, {"Retry-After": "12"}))
    assert fail(polygon, RateLimited).retry_after_seconds == 12


def test_refused_plan_is_told_with_what_to_do(market: ScriptedMarket, polygon: PolygonProvider) -> None:
    market.polygon("AAPL", Reply(REFUSED, 403))
    assert str(fail(polygon, NotEntitled)) == (
        "the plan of OPTSYNC_POLYGON_API_KEY has no option quotes (status 403): it takes a paid options plan with"
        " quotes; without one, leave polygon out of OPTSYNC_PROVIDERS"
    )


class TestEntitlement:
    def test_a_plan_without_quotes_ends_the_provider(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(last_quote=...), row(AUGUST_14, "call", last_quote=...)))
        error = fail(polygon, NotEntitled)
        assert error.ends_provider
        assert "none of 2 contracts of AAPL came with a quote" in str(error)

    def test_a_stock_without_quotes_ends_nothing_once_another_had_some(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", page(row()), page(row(last_quote=...)))
        ask(polygon)
        assert not fail(polygon, InvalidReply).ends_provider

    def test_a_stock_without_contracts_has_no_options_after_one_with_quotes_too(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", page(row()), page())
        ask(polygon)
        fail(polygon, NoOptions)

    def test_one_contract_with_a_quote_is_enough(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(last_quote=...), row(AUGUST_14, "call")))
        assert len(ask(polygon).contracts) == 2


class TestExpirations:
    def test_no_options_is_believed_of_a_question_without_a_filter_alone(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", page())
        assert fail(polygon, NoOptions).requests == 3
        assert market.hits[-1].query == {"limit": "250"}

    def test_adjusted_contracts_alone_are_no_options(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(ticker="O:AAPL1260814P00095000"), row(shares_per_contract=10)))
        assert "standard" in str(fail(polygon, NoOptions))

    @pytest.mark.parametrize("listed", [[], [AUGUST_21]])
    def test_an_expiration_it_listed_before_that_is_gone_is_its_fault(
        self, market: ScriptedMarket, polygon: PolygonProvider, listed: list[date]
    ) -> None:
        market.script[AAPL] = as_polygon_answers(listed)
        assert fail(polygon, VendorFault, known=(AUGUST_14, AUGUST_21)).requests == 1

    def test_an_expiration_that_another_vendor_listed_may_be_missing(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.script[AAPL] = as_polygon_answers([AUGUST_21])
        assert ask(polygon, known=(AUGUST_14, AUGUST_21), known_provider="yahoo").expirations == (AUGUST_21,)

    def test_expirations_that_have_passed_alone_are_stale(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", page(row(date(2026, 7, 10))))
        fail(polygon, StaleReply)

    def test_another_symbols_chain_is_invalid(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", page(row(underlying_asset={"ticker": "MSFT", "price": 400.0})))
        fail(polygon, InvalidReply)


class TestWire:
    @pytest.mark.parametrize("reply", [Reply(page(row()).body, delay_seconds=1.0), Reply(page(row()).body, drip=True)])
    def test_silence_and_dripping_are_timeouts(self, market: ScriptedMarket, reply: Reply) -> None:
        market.polygon("AAPL", reply)
        fail(provider(market.polygon_url, timeout=(0.2, 0.3)), ApiTimeout)

    def test_nobody_listening_is_a_network_error_though_urllib3_calls_it_a_timeout(self) -> None:
        with scripted_market() as gone:
            url = gone.polygon_url
        assert str(fail(provider(url), NetworkError)).endswith("Connection refused")

    def test_a_host_without_an_address_is_a_network_error(self) -> None:
        fail(provider("http://nowhere.invalid"), NetworkError)

    def test_a_body_beyond_the_limit_is_refused(
        self, market: ScriptedMarket, polygon: PolygonProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "BODY_LIMIT_BYTES", 2**20)
        market.polygon("AAPL", Reply(gzip.compress(bytes(2**21)), headers={"Content-Encoding": "gzip"}))
        assert "more than 1 MB" in str(fail(polygon, InvalidReply))

    def test_a_compressed_reply_is_read(self, market: ScriptedMarket, polygon: PolygonProvider) -> None:
        market.polygon("AAPL", Reply(gzip.compress(page(row()).as_bytes()), headers={"Content-Encoding": "gzip"}))
        assert ask(polygon).contracts


class TestKey:
    @pytest.mark.parametrize("reply", [reply for reply, _ in BAD_REPLIES])
    def test_no_error_holds_the_key_or_a_query(
        self, market: ScriptedMarket, polygon: PolygonProvider, reply: Reply
    ) -> None:
        market.polygon("AAPL", reply)
        with pytest.raises(FetchError) as caught:
            ask(polygon)
        assert KEY not in str(caught.value)
        assert "?" not in str(caught.value)
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize("key", ["", " ", "two words", "line\nbreak", "naïve"])
    def test_a_key_that_cannot_be_sent_is_said_without_a_request_or_the_key(
        self, market: ScriptedMarket, key: str
    ) -> None:
        error = fail(provider(market.polygon_url, key), AuthError)
        assert (error.requests, error.ends_provider, market.hits) == (0, True, [])
        assert str(error) == "OPTSYNC_POLYGON_API_KEY is empty or holds characters that no key has"

    def test_space_around_a_key_is_no_part_of_it(self, market: ScriptedMarket) -> None:
        market.polygon("AAPL", page(row()))
        ask(provider(market.polygon_url, f" {KEY}\n"))
        assert market.hits[0].headers["authorization"] == f"Bearer {KEY}"

    def test_the_key_is_not_sent_where_a_redirect_points(
        self, market: ScriptedMarket, polygon: PolygonProvider
    ) -> None:
        market.polygon("AAPL", Reply("", 302, {"Location": "/elsewhere"}))
        fail(polygon, InvalidReply)
        assert market.paths == [AAPL]
