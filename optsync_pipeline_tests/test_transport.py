"""The wire itself: limits, counting and typed errors, of plain requests, the curl session and Polygon's pool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import requests

from optsync_pipeline.providers import transport
from optsync_pipeline.providers.base import (
    ApiTimeout,
    CircuitOpen,
    FetchError,
    InvalidReply,
    NetworkError,
    RateLimited,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.polygon_session import MeteredPool
from optsync_pipeline.providers.transport import (
    METER,
    BoundedSession,
    CountingAdapter,
    StandInAdapter,
    gated,
    read_json,
)
from optsync_pipeline.providers.yahoo_session import BrowserSession
from optsync_pipeline_tests.stand_in import CRUMB_PATH, OPTIONS_PATH, Reply, ScriptedMarket, scripted_market

CHAIN_PATH = OPTIONS_PATH + "AAPL"


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def base(market: ScriptedMarket) -> str:
    return market.yahoo_url.removesuffix("/yahoo")


@pytest.fixture
def browser() -> Iterator[BrowserSession]:
    session = BrowserSession((0.5, 0.5))
    session.trust_env = False
    yield session
    session.close()


class TestStandIn:
    def session(self, market: ScriptedMarket) -> BoundedSession:
        return BoundedSession("Yahoo", StandInAdapter(market.yahoo_url), is_stand_in=True)

    def test_any_host_is_answered_below_the_base_with_its_own_name(self, market: ScriptedMarket) -> None:
        market.script["/consent"] = [Reply("hello")]
        response = self.session(market).get("https://guce.yahoo.com/consent", params={"a": "b"})
        assert response.text == "hello"
        assert response.url == "https://guce.yahoo.com/consent?a=b"
        assert (market.hits[0].host, market.hits[0].path, market.hits[0].query) == (
            "guce.yahoo.com",
            "/consent",
            {"a": "b"},
        )

    def test_redirect_to_a_real_host_stays_on_the_stand_in_and_is_counted(self, market: ScriptedMarket) -> None:
        market.script["/consent"] = [Reply("", 302, {"Location": "https://consent.yahoo.com/v2/collectConsent"})]
        market.script["/v2/collectConsent"] = [Reply("consent")]
        before = METER.requests
        assert self.session(market).get("https://guce.yahoo.com/consent").text == "consent"
        assert METER.requests - before == 2
        assert [hit.host for hit in market.hits] == ["guce.yahoo.com", "consent.yahoo.com"]

    def test_proxies_of_the_machine_are_not_for_stand_ins(
        self, market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        market.cboe("AAPL", Reply("plain"))
        plain = BoundedSession("Cboe", CountingAdapter(), is_stand_in=True)
        assert plain.get(market.cboe_url + "/api/global/delayed_quotes/options/AAPL.json").text == "plain"
        assert self.session(market).get("https://fc.yahoo.com").status_code == 404


def test_reply_beyond_the_size_limit_is_refused(market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BODY_LIMIT_BYTES", 2**20)
    market.cboe("AAPL", Reply(b"x" * (2**20 + 1)))
    session = BoundedSession("Cboe", CountingAdapter(), is_stand_in=True)
    with pytest.raises(InvalidReply, match="more than 1 MB"):
        session.get(market.cboe_url + "/api/global/delayed_quotes/options/AAPL.json")


@pytest.mark.parametrize("adapter", [CountingAdapter, StandInAdapter])
def test_connections_are_used_again(market: ScriptedMarket, base: str, adapter: type[CountingAdapter]) -> None:
    market.script["/consent"] = [Reply("x" * 100_000)]
    made = StandInAdapter(market.yahoo_url) if adapter is StandInAdapter else CountingAdapter()
    session = BoundedSession("Yahoo", made, is_stand_in=True)
    for _ in range(5):
        session.get(f"{base if adapter is CountingAdapter else 'https://guce.yahoo.com'}/consent")
    assert len(market.hits) == 5
    assert len({hit.client_port for hit in market.hits}) == 1


class TestBrowser:
    """The transport to the real Yahoo: the real curl_cffi, on loopback."""

    def test_replies_are_counted_redirects_included(
        self, market: ScriptedMarket, base: str, browser: BrowserSession
    ) -> None:
        market.script["/consent"] = [Reply("", 302, {"Location": "/v2/collectConsent"})]
        market.script["/v2/collectConsent"] = [Reply("consent")]
        before = METER.requests
        assert browser.get(base + "/consent").text == "consent"
        assert METER.requests - before == len(market.hits) == 2
        assert "Chrome" in market.hits[0].headers["user-agent"]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (403, UnknownSymbol),
            (404, UnknownSymbol),
            (429, RateLimited),
            (500, VendorFault),
            (999, RateLimited),
        ],
    )
    def test_bad_status_of_a_chain_is_raised_at_once(
        self, market: ScriptedMarket, base: str, browser: BrowserSession, status: int, error: type[FetchError]
    ) -> None:
        # A path that needs no crumb here; what is judged is its beginning.
        market.script["/v8/finance/chart/AAPL"] = [Reply("<html>", status, {"Retry-After": "5"})]
        with pytest.raises(error) as caught:
            browser.get(base + "/v8/finance/chart/AAPL", params={"crumb": "secret"})
        assert caught.value.retry_after_seconds == 5
        assert "secret" not in str(caught.value)

    def test_401_is_left_to_yfinance(self, base: str, browser: BrowserSession) -> None:
        assert browser.get(base + CHAIN_PATH).status_code == 401

    def test_error_page_is_not_left_as_a_crumb(
        self, market: ScriptedMarket, base: str, browser: BrowserSession
    ) -> None:
        market.script[CRUMB_PATH] = [Reply("Unauthorized", 401)]
        assert browser.get(base + CRUMB_PATH).text == ""
        assert browser.crumb_status == 401

    def test_silence_is_a_timeout(self, market: ScriptedMarket, base: str, browser: BrowserSession) -> None:
        market.script["/consent"] = [Reply(delay_seconds=2.0)]
        with pytest.raises(ApiTimeout):
            browser.get(base + "/consent", timeout=30)

    def test_cut_body_and_closed_port_are_network_errors(
        self, market: ScriptedMarket, base: str, browser: BrowserSession
    ) -> None:
        market.script["/consent"] = [Reply("x" * 1000, cut_off=True)]
        with pytest.raises(NetworkError):
            browser.get(base + "/consent")
        with pytest.raises(NetworkError):
            browser.get("http://127.0.0.1:1/consent")


Get = Callable[[str], object]


@pytest.fixture(params=["requests", "curl", "polygon"])
def get(request: pytest.FixtureRequest, browser: BrowserSession) -> Iterator[Get]:
    """Make one request through each of the transports; what it raises is not of interest here."""
    session = BoundedSession("Cboe", CountingAdapter(), is_stand_in=True, timeout=(0.5, 0.5))
    pool = MeteredPool((0.5, 0.5), retries=False, timeout=0.5)
    ways: dict[str, Get] = {
        "requests": session.get,
        "curl": browser.get,
        "polygon": lambda url: pool.request("GET", url),
    }

    def try_to_get(url: str) -> None:
        with suppress(FetchError, OSError):
            ways[request.param](url)

    yield try_to_get
    session.close()
    pool.clear()


class TestMeter:
    """Every transport asks the gate before a request, and counts what went out and what failed."""

    def test_a_gate_that_raises_lets_nothing_out_and_counts_nothing(
        self, market: ScriptedMarket, base: str, get: Get
    ) -> None:
        @contextmanager
        def shut() -> Iterator[None]:
            raise CircuitOpen("left alone for a while")
            yield

        before = (METER.requests, METER.failures)
        with gated(shut):
            get(base + "/consent")
        assert (METER.requests, METER.failures) == before
        assert market.hits == []

    def test_the_gate_is_held_until_the_body_is_read(self, market: ScriptedMarket, base: str, get: Get) -> None:
        events: list[str] = []

        @contextmanager
        def watched() -> Iterator[None]:
            events.append(f"in after {len(market.hits)}")
            yield
            events.append(f"out after {len(market.hits)}")

        market.script["/consent"] = [Reply("x" * 1_000_000)]
        with gated(watched):
            get(base + "/consent")
            get(base + "/consent")
        get(base + "/consent")
        assert events == ["in after 0", "out after 1", "in after 1", "out after 2"]
        assert len(market.hits) == 3

    def test_the_gate_is_left_when_the_request_fails(self, get: Get) -> None:
        left: list[bool] = []

        @contextmanager
        def watched() -> Iterator[None]:
            try:
                yield
            finally:
                left.append(True)

        with gated(watched):
            get("http://127.0.0.1:1/consent")
        assert left == [True]

    @pytest.mark.parametrize(
        ("reply", "failures"),
        [
            (Reply("fine"), 0),
            (Reply("", 404), 0),
            (Reply("", 302), 0),
            (Reply("", 401), 1),
            (Reply("", 403), 1),
            (Reply("", 429), 1),
            (Reply("", 500), 1),
            (Reply("x" * 1000, cut_off=True), 1),
            (Reply("late", delay_seconds=1.0), 1),
        ],
    )
    def test_a_reply_that_fails_is_counted_once_and_404_is_an_answer(
        self, market: ScriptedMarket, base: str, get: Get, reply: Reply, failures: int
    ) -> None:
        market.script["/consent"] = [reply]
        before = (METER.requests, METER.failures)
        get(base + "/consent")
        assert (METER.requests - before[0], METER.failures - before[1]) == (1, failures)

    def test_no_connection_is_a_failed_request(self, get: Get) -> None:
        before = (METER.requests, METER.failures)
        get("http://127.0.0.1:1/consent")
        assert (METER.requests - before[0], METER.failures - before[1]) == (1, 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"a": ', b"[" * 100_000, b"\xff\xfe\x00"])
def test_body_that_is_no_json_object_is_an_invalid_reply(body: bytes) -> None:
    with pytest.raises(InvalidReply, match="AAPL"):
        read_json("Cboe", "AAPL", body)


def test_json_with_nan_is_read() -> None:
    parsed = read_json("Cboe", "AAPL", b'{"bid": NaN, "ask": 1.5}')
    assert parsed["ask"] == 1.5


def test_broken_connection_is_told_in_the_systems_words_without_a_url() -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://127.0.0.1:1/v7?crumb=secret", timeout=1)
    text = str(transport.network_fault("Yahoo", caught.value, timed_out=False))
    assert text == "no connection to Yahoo, or it broke: Connection refused"
