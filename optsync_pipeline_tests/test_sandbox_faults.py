"""What goes wrong in the sandbox on purpose: each fault as a client meets it, over real HTTP."""

import math
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests

from optsync_pipeline.sandbox.server import (
    Sandbox,
    running_sandbox,
)
from optsync_pipeline_tests.sandbox_client import MONTHLY, NOW, Client, contracts, epoch, result


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=25, seed=11, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    sandbox.control("POST", "requests/reset")
    yield client
    sandbox.clear_faults()
    sandbox.control("POST", "latency", {"provider": "*", "seconds": 0})


def no_reply(client: Client) -> None:
    with pytest.raises(requests.ConnectionError):
        client.chain("AAPL")
    with pytest.raises(requests.ConnectionError):
        client.cboe("AAPL")


def test_a_timeout_holds_the_reply_until_the_client_gives_up(client: Client) -> None:
    client.sandbox.fault("timeout", symbol="AAPL")
    with pytest.raises(requests.ReadTimeout):
        client.session.get(f"{client.sandbox.cboe_url}/api/global/delayed_quotes/options/AAPL.json", timeout=0.2)
    assert client.cboe("KO").status_code == 200
    for _ in range(50):
        if client.sandbox.requests("cboe")["by_status"].get("gave_up"):
            break
        time.sleep(0.02)
    assert client.sandbox.requests("cboe")["by_status"] == {"gave_up": 1, "200": 1}


def test_a_timeout_shorter_than_the_clients_patience_is_a_slow_reply(client: Client) -> None:
    client.sandbox.fault("timeout", symbol="AAPL", seconds=0.2)
    begun = time.monotonic()
    assert contracts(client.chain("AAPL"))
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(
    ("kind", "limits", "status"),
    [
        ("server_error", {}, 503),
        ("server_error", {"status": 500}, 500),
        ("rate_limited", {"retry_after_seconds": 7}, 429),
        ("invalid_crumb", {}, 401),
        ("blocked", {}, 403),
        ("delisted", {}, 404),
        ("html", {}, 200),
    ],
)
def test_a_fault_of_status_meets_its_symbol_at_both_vendors_and_no_other(
    client: Client, kind: str, limits: dict[str, Any], status: int
) -> None:
    client.sandbox.fault(kind, symbol="AAPL", **limits)
    for reply in (client.chain("AAPL"), client.cboe("AAPL")):
        assert reply.status_code == status
        assert reply.headers.get("Retry-After") == ("7" if kind == "rate_limited" else None)
        assert ("<html>" in reply.text) == (kind in ("html", "server_error", "blocked"))
    assert client.chain("KO").json()["optionChain"]["error"] is None
    assert client.sandbox.requests("yahoo")["by_fault"] == {kind: 1}


def test_cut_off_json_is_half_of_the_reply(client: Client) -> None:
    whole = client.cboe("AAPL").content
    client.sandbox.fault("cut_json", symbol="AAPL")
    for reply in (client.chain("AAPL"), client.cboe("AAPL")):
        with pytest.raises(requests.JSONDecodeError):
            reply.json()
    assert client.cboe("AAPL").content == whole[: len(whole) // 2]


def test_a_reset_connection_gives_no_reply(client: Client) -> None:
    client.sandbox.fault("connection_reset", symbol="AAPL")
    no_reply(client)
    assert client.sandbox.requests("yahoo")["by_status"] == {"reset": 1}
    assert client.chain("KO").status_code == 200


def test_flaky_fails_n_times_for_each_symbol_and_is_good_then(client: Client) -> None:
    client.sandbox.fault("flaky", provider="yahoo", times=2)
    assert [client.chain("AAPL").status_code for _ in range(4)] == [503, 503, 200, 200]
    assert [client.chain("KO").status_code for _ in range(3)] == [503, 503, 200]
    assert client.cboe("AAPL").status_code == 200


def test_an_empty_chain_lists_its_dates_and_no_options_lists_none(client: Client) -> None:
    client.sandbox.fault("empty_chain", symbol="AAPL")
    client.sandbox.fault("no_options", symbol="KO")
    empty, none = result(client.chain("AAPL")), result(client.chain("KO"))
    assert empty["expirationDates"]
    assert empty["options"][0]["calls"] == empty["options"][0]["puts"] == []
    assert none["expirationDates"] == none["options"] == []
    assert none["quote"]["regularMarketPrice"] > 0
    assert client.cboe("AAPL").json()["data"]["options"] == client.cboe("KO").json()["data"]["options"] == []


def test_a_delisted_symbol_can_also_look_like_one_of_yahoos_forgotten(client: Client) -> None:
    client.sandbox.fault("delisted", provider="yahoo", symbol="AAPL", status=200)
    forgotten = result(client.chain("AAPL"))
    assert forgotten["expirationDates"] == []
    assert "regularMarketPrice" not in forgotten["quote"]
    assert forgotten["quote"]["regularMarketTime"] < epoch(date(2020, 1, 1))


def test_zero_quotes_are_zero_everywhere(client: Client) -> None:
    client.sandbox.fault("zero_quotes", symbol="AAPL")
    assert all(row["bid"] == row["ask"] == 0 for row in contracts(client.chain("AAPL", MONTHLY)).values())
    assert all(row["bid"] == row["ask"] == row["iv"] == 0 for row in client.cboe("AAPL").json()["data"]["options"])


def test_a_short_chain_lacks_the_upper_half_of_the_strikes(client: Client) -> None:
    whole = {row["strike"] for row in contracts(client.chain("AAPL", MONTHLY)).values()}
    client.sandbox.fault("short_chain", symbol="AAPL")
    short = {row["strike"] for row in contracts(client.chain("AAPL", MONTHLY)).values()}
    assert short == set(sorted(whole)[: len(whole) // 2])


def test_crossed_quotes_have_their_bid_above_their_ask(client: Client) -> None:
    client.sandbox.fault("crossed_quotes", symbol="AAPL")
    client.sandbox.fault("crossed_quotes", symbol="KO", every=1)
    some, all_ = contracts(client.chain("AAPL", MONTHLY)), contracts(client.chain("KO", MONTHLY))
    assert sum(row["bid"] > row["ask"] for row in some.values()) == math.ceil(len(some) / 5)
    assert all(row["bid"] > row["ask"] for row in all_.values())


def test_a_null_strike_is_null_at_yahoo_and_unreadable_at_cboe(client: Client) -> None:
    client.sandbox.fault("null_strike", symbol="AAPL", every=10)
    served = contracts(client.chain("AAPL", MONTHLY))
    assert sum(row["strike"] is None for row in served.values()) == math.ceil(len(served) / 10)
    names = [row["option"] for row in client.cboe("AAPL").json()["data"]["options"]]
    assert any(re.fullmatch(r"AAPL\d{6}[CP]", name) for name in names)


def test_missing_fields_are_absent_from_some_contracts_or_where_named(client: Client) -> None:
    client.sandbox.fault("missing_fields", symbol="AAPL")
    served = contracts(client.chain("AAPL", MONTHLY)).values()
    assert sum("bid" not in row and "openInterest" not in row for row in served) == math.ceil(len(served) / 5)
    client.sandbox.fault("missing_fields", symbol="AAPL", fields=["regularMarketPrice", "current_price", "options"])
    assert "options" not in result(client.chain("AAPL"))
    assert "regularMarketPrice" not in result(client.chain("AAPL"))["quote"]
    assert not {"current_price", "options"} & client.cboe("AAPL").json()["data"].keys()


def test_a_stale_quote_is_older_than_the_latest_session(client: Client) -> None:
    client.sandbox.fault("stale_quote", symbol="AAPL")
    close_before = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    assert result(client.chain("AAPL"))["quote"]["regularMarketTime"] == close_before.timestamp()
    assert client.cboe("AAPL").json()["data"]["last_trade_time"] == "2026-11-23T16:00:00"


def test_a_block_is_for_cookie_and_crumb_too(client: Client) -> None:
    client.sandbox.fault("blocked", provider="yahoo")
    assert client.session.get("https://fc.yahoo.com/", timeout=5).status_code == 403
    assert client.yahoo("/v1/test/getcrumb").status_code == 403
    assert client.chain("KO").status_code == 403
    assert client.cboe("KO").status_code == 200


def test_a_fault_can_be_ordered_for_the_crumb_alone(client: Client) -> None:
    client.sandbox.fault("rate_limited", provider="yahoo", paths=["crumb"])
    assert client.yahoo("/v1/test/getcrumb").status_code == 429
    assert client.chain("KO").status_code == 200


def test_shares_hit_a_part_of_the_requests_or_of_the_symbols(client: Client) -> None:
    symbols = [symbol for symbol in client.sandbox.symbols() if "." not in symbol]
    client.sandbox.fault("server_error", provider="yahoo", share=0.5)
    statuses = [client.chain("AAPL").status_code for _ in range(60)]
    assert 15 <= statuses.count(503) <= 45
    client.sandbox.clear_faults()
    client.sandbox.fault("delisted", provider="yahoo", symbol_share=0.5)
    twice = [[client.chain(symbol).status_code for symbol in symbols] for _ in range(2)]
    assert twice[0] == twice[1]
    assert 0 < twice[0].count(404) < len(symbols)


def test_clearing_faults_heals(client: Client) -> None:
    client.sandbox.fault("server_error")
    assert client.chain("AAPL").status_code == 503
    client.sandbox.clear_faults()
    assert client.chain("AAPL").status_code == 200
