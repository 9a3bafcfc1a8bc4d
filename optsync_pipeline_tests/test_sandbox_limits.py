"""How the sandbox keeps a limit, goes down and comes up, counts what is asked, and spoils a part of a bulk reply."""

from collections.abc import Callable, Iterator

import pytest
import requests

from optsync_pipeline.sandbox.faults import PROVIDERS
from optsync_pipeline.sandbox.limits import RateLimits
from optsync_pipeline.sandbox.server import Sandbox, running_sandbox
from optsync_pipeline.sandbox.traffic import Rolling
from optsync_pipeline.settings import load_settings
from optsync_pipeline_tests.sandbox_client import NOW, Client, PolygonClient, RobinhoodClient


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=25, seed=11, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    sandbox.reset_requests()
    yield client
    sandbox.clear_faults()
    sandbox.unlimited()
    sandbox.up()


# Limits


def test_a_limit_holds_in_any_minute_and_says_when_to_come_again() -> None:
    clock = Clock()
    limits = RateLimits(clock)
    limits.order({"provider": "yahoo", "per_minute": 2})
    assert limits.refusal("yahoo") is None
    clock.now += 50
    assert limits.refusal("yahoo") is None
    assert limits.refusal("yahoo") == {"Retry-After": "10"}
    clock.now += 9.5
    assert limits.refusal("yahoo") == {"Retry-After": "1"}
    clock.now += 0.5
    assert limits.refusal("yahoo") is None
    assert limits.refusal("yahoo") == {"Retry-After": "50"}


def test_what_was_refused_does_not_count_against_the_limit() -> None:
    clock = Clock()
    limits = RateLimits(clock)
    limits.order({"provider": "yahoo", "per_second": 1, "retry_after": False})
    assert limits.refusal("yahoo") is None
    for _ in range(5):
        assert limits.refusal("yahoo") == {}
    clock.now += 1
    assert limits.refusal("yahoo") is None


def test_of_two_limits_the_longer_wait_is_told() -> None:
    limits = RateLimits(Clock())
    limits.order({"provider": "*", "per_second": 1, "per_hour": 1})
    for provider in PROVIDERS:
        assert limits.refusal(provider) is None
        assert limits.refusal(provider) == {"Retry-After": "3600"}


def test_a_limited_provider_answers_429_and_counts_it_while_others_answer(client: Client) -> None:
    client.sandbox.limit("yahoo", per_minute=3)
    replies = [client.chain("AAPL") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert 1 <= int(replies[3].headers["Retry-After"]) <= 60
    assert client.cboe("AAPL").status_code == 200
    counts = client.sandbox.requests("yahoo")
    assert (counts["total"], counts["limited"], counts["by_status"]["429"]) == (5, 2, 2)
    client.sandbox.unlimited("yahoo")
    assert client.chain("AAPL").status_code == 200


def test_a_429_can_keep_silent_about_when_to_come_again(client: Client) -> None:
    client.sandbox.limit("cboe", per_hour=1, retry_after=False)
    assert client.cboe("AAPL").status_code == 200
    refused = client.cboe("AAPL")
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, False)


def test_every_provider_can_be_limited_and_refuses_in_its_own_words(client: Client, sandbox: Sandbox) -> None:
    robinhood, polygon = RobinhoodClient(sandbox), PolygonClient(sandbox)
    sandbox.limit("*", per_minute=1)
    assert robinhood.get("/quotes/", symbols="AAPL").status_code == 200
    assert polygon.snapshot("AAPL").status_code == 200
    assert "detail" in robinhood.get("/quotes/", symbols="AAPL").json()
    assert robinhood.ask_token().status_code == 429
    assert polygon.snapshot("AAPL").json()["status"] == "ERROR"


# Outages


def test_a_provider_goes_down_and_comes_up_while_it_runs(client: Client) -> None:
    client.sandbox.down("yahoo")
    with pytest.raises(requests.ConnectionError):
        client.chain("AAPL")
    with pytest.raises(requests.ConnectionError):
        client.yahoo("/v1/test/getcrumb")
    assert client.cboe("AAPL").status_code == 200
    assert client.sandbox.control("GET", "down") == {"down": {"yahoo": "refuse"}}
    client.sandbox.up("yahoo")
    assert client.chain("AAPL").status_code == 200
    counts = client.sandbox.requests("yahoo")
    assert (counts["by_status"], counts["by_fault"]) == ({"reset": 2, "200": 1}, {"down": 2})


def test_a_provider_can_be_down_with_errors(client: Client) -> None:
    client.sandbox.down("cboe", "error")
    reply = client.cboe("AAPL")
    assert (reply.status_code, "<html>" in reply.text) == (503, True)


def test_a_provider_can_hang_until_the_client_gives_up(client: Client) -> None:
    client.sandbox.down("cboe", "hang")
    with pytest.raises(requests.ReadTimeout):
        client.session.get(f"{client.sandbox.cboe_url}/api/global/delayed_quotes/options/KO.json", timeout=0.2)


def test_the_whole_network_can_be_gone(client: Client, sandbox: Sandbox) -> None:
    robinhood, polygon = RobinhoodClient(sandbox), PolygonClient(sandbox)
    sandbox.down()
    asks: tuple[Callable[[], requests.Response], ...] = (
        lambda: client.chain("AAPL"),
        lambda: client.cboe("AAPL"),
        lambda: robinhood.get("/positions/"),
        lambda: polygon.snapshot("AAPL"),
    )
    for ask in asks:
        with pytest.raises(requests.ConnectionError):
            ask()
    sandbox.up()
    assert [ask().status_code for ask in asks] == [200] * 4


# Counts


def test_the_most_requests_of_any_stretch_are_kept() -> None:
    rolling = Rolling(1.0)
    for now in (0.0, 0.6, 0.9, 1.0, 1.7, 5.0):
        rolling.note(now)
    assert rolling.most == 3


def test_traffic_tells_the_busiest_second_and_minute(client: Client) -> None:
    for _ in range(4):
        client.cboe("AAPL")
    counts = client.sandbox.requests("cboe")
    assert 1 <= counts["most_in_second"] <= counts["most_in_minute"] == 4
    assert counts["first_at"] < counts["last_at"]
    client.sandbox.reset_requests()
    counts = client.sandbox.requests("cboe")
    assert (counts["most_in_second"], counts["most_in_minute"], counts["first_at"]) == (0, 0, None)


# Faults in a request of many symbols


def test_a_market_fault_spoils_only_its_symbols_of_a_bulk_reply(client: Client) -> None:
    client.sandbox.fault("stale_quote", symbol="KO")
    client.sandbox.fault("delisted", symbol="F")
    quotes = client.yahoo("/v7/finance/quote", symbols="AAPL,KO,F,PFE").json()["quoteResponse"]["result"]
    assert [quote["symbol"] for quote in quotes] == ["AAPL", "KO", "PFE"]
    aapl, ko, pfe = (quote["regularMarketTime"] for quote in quotes)
    assert ko < aapl == pfe == NOW.timestamp()


def test_a_bulk_request_meets_a_flaky_vendor_once_not_once_for_each_symbol(client: Client) -> None:
    client.sandbox.fault("flaky", provider="yahoo", times=2)
    statuses = [client.yahoo("/v7/finance/quote", symbols="AAPL,KO,F").status_code for _ in range(4)]
    assert statuses == [503, 503, 200, 200]


def test_a_wire_fault_of_one_symbol_breaks_the_bulk_request_it_is_in(client: Client) -> None:
    client.sandbox.fault("server_error", provider="yahoo", symbol="KO")
    assert client.yahoo("/v7/finance/quote", symbols="AAPL,KO").status_code == 503
    assert client.yahoo("/v7/finance/quote", symbols="AAPL,F").status_code == 200


@pytest.mark.parametrize(("provider", "key"), [("yahoo", "quoteResponse"), ("cboe", "data")])
def test_null_results_are_null_where_the_vendor_has_its_results(client: Client, provider: str, key: str) -> None:
    client.sandbox.fault("null_results", provider=provider)
    if provider == "yahoo":
        assert client.yahoo("/v7/finance/quote", symbols="AAPL").json()[key]["result"] is None
    else:
        assert client.cboe("AAPL").json()[key] is None


# Pointing a sync at it


def test_the_environment_of_any_providers_makes_them_usable_and_fast(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.environment_of("robinhood", "yahoo", "polygon", "cboe").items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None)
    assert settings.usable_providers == ("robinhood", "yahoo", "polygon", "cboe")
    assert settings.robinhood_url == sandbox.robinhood_url
    assert settings.polygon_url == sandbox.polygon_url
    assert {settings.limits_of(name) for name in settings.usable_providers} == {(600_000, 36_000_000)}


def test_the_usual_environment_is_that_of_the_providers_without_credentials(sandbox: Sandbox) -> None:
    assert sandbox.environment == sandbox.environment_of("yahoo", "cboe")
    assert not any("POLYGON" in name or "ROBINHOOD" in name for name in sandbox.environment)
