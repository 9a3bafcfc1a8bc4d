"""The sandbox speaks Polygon's protocol over real HTTP, and the real massive client understands it."""

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from massive import RESTClient
from massive.exceptions import BadResponse

from optsync_pipeline.sandbox.accounts import POLYGON_API_KEY
from optsync_pipeline.sandbox.recorded import RecordedMarket
from optsync_pipeline.sandbox.server import Sandbox, running_sandbox
from optsync_pipeline_tests.sandbox_client import MONTHLY, NOW, PolygonClient, truth_of


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=25, seed=11, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[PolygonClient]:
    sandbox.reset_requests()
    yield PolygonClient(sandbox)
    sandbox.clear_faults()


@pytest.fixture
def library(sandbox: Sandbox) -> RESTClient:
    return RESTClient(POLYGON_API_KEY, base=sandbox.polygon_url, connection_pool_kw={"retries": False})


def test_a_snapshot_is_the_truth_of_an_expiration(client: PolygonClient, sandbox: Sandbox) -> None:
    served = {row["details"]["ticker"]: row for row in client.rows("BRK.B")}
    truth, stock = truth_of(sandbox, "BRK.B", MONTHLY), sandbox.truth("BRK.B")["stock"]
    assert served.keys() == {f"O:{name}" for name in truth}
    for name, true in truth.items():
        row = served[f"O:{name}"]
        assert (row["last_quote"]["bid"], row["last_quote"]["ask"]) == (true["bid"], true["ask"])
        assert (row["details"]["strike_price"], row["details"]["contract_type"]) == (
            true["strike"],
            true["option_type"],
        )
        assert (row["open_interest"], row["last_trade"]["price"]) == (true["open_interest"], true["last"])
        assert row["day"].get("volume") == true["volume"]
        assert row.get("implied_volatility") == (true["cboe_iv"] or None)
        greeks = {greek: true[greek] for greek in ("delta", "gamma", "theta", "vega")} if true["cboe_iv"] else {}
        assert row["greeks"] == greeks
        assert row["underlying_asset"]["price"] == stock["price"]
        assert row["last_quote"]["last_updated"] == NOW.timestamp() * 1e9
    assert any(row["day"] == {} for row in served.values())
    assert any(row["greeks"] == {} for row in served.values())


@pytest.mark.parametrize("key", ["wrong-key", ""])
@pytest.mark.parametrize("path", ["/v3/snapshot/options/AAPL", "/v3/reference/options/contracts"])
def test_a_wrong_key_is_refused(sandbox: Sandbox, path: str, key: str) -> None:
    reply = PolygonClient(sandbox, key).get(path, underlying_ticker="AAPL")
    assert (reply.status_code, reply.json()["status"]) == (401, "ERROR")


def test_an_unknown_symbol_has_no_snapshot_and_no_contracts(client: PolygonClient) -> None:
    assert client.snapshot("NOSUCH").status_code == 404
    assert client.get("/v3/reference/options/contracts", underlying_ticker="NOSUCH").json()["results"] == []


def test_ten_contracts_are_a_page_unless_a_limit_up_to_250_is_given(client: PolygonClient) -> None:
    assert len(client.get("/v3/snapshot/options/AAPL").json()["results"]) == 10
    assert len(client.get("/v3/snapshot/options/AAPL", limit=250).json()["results"]) == 250
    for wrong in ({"limit": 251}, {"limit": 0}, {"limit": "all"}, {"expiration_date": "soon"}, {"sort": "price"}):
        assert client.get("/v3/snapshot/options/AAPL", **wrong).status_code == 400


def test_pages_lead_on_by_the_real_hosts_address_and_keep_the_filters(client: PolygonClient) -> None:
    whole = client.rows("AAPL", contract_type="put")
    reply = client.snapshot("AAPL", contract_type="put", limit=30).json()
    found = reply["results"]
    while "next_url" in reply:
        assert reply["next_url"].startswith("https://api.massive.com/v3/snapshot/options/AAPL?cursor=")
        reply = client.get(reply["next_url"]).json()
        found += reply["results"]
    assert found == whole
    assert client.get("/v3/snapshot/options/AAPL", cursor="nonsense").status_code == 400


def test_expirations_and_strikes_are_filtered_by_bounds(client: PolygonClient, sandbox: Sandbox) -> None:
    truth = sandbox.truth("KO")["contracts"]
    price = sandbox.truth("KO")["stock"]["price"]
    reply = client.get(
        "/v3/snapshot/options/KO",
        limit=250,
        **{"expiration_date.gt": "2026-12-11", "expiration_date.lte": str(MONTHLY), "strike_price.gte": price},
    )
    assert [row["details"]["ticker"] for row in reply.json()["results"]] == [
        f"O:{row['contract_symbol']}" for row in truth if row["expiration"] == str(MONTHLY) and row["strike"] >= price
    ]
    strike = truth[3]["strike"]
    assert {row["details"]["strike_price"] for row in client.rows("KO", strike_price=strike)} <= {strike}
    below = client.rows("KO", **{"strike_price.lt": price})
    assert below
    assert all(row["details"]["strike_price"] < price for row in below)


def test_contracts_are_sorted_as_asked(client: PolygonClient) -> None:
    strikes = [row["details"]["strike_price"] for row in client.rows("KO", sort="strike_price", order="desc")]
    assert strikes == sorted(strikes, reverse=True)
    tickers = [row["details"]["ticker"] for row in client.rows("KO")]
    assert tickers == sorted(tickers)


def test_the_list_of_contracts_gives_every_expiration_without_quotes(client: PolygonClient, sandbox: Sandbox) -> None:
    reply = client.get("/v3/reference/options/contracts", underlying_ticker="BRK.B", limit=1000)
    rows = reply.json()["results"]
    while "next_url" in (page := reply.json()):
        reply = client.get(page["next_url"])
        rows += reply.json()["results"]
    assert sorted({row["expiration_date"] for row in rows}) == sandbox.truth("BRK.B")["expirations"]
    assert rows[0]["ticker"].startswith("O:BRKB26")
    assert rows[0]["underlying_ticker"] == "BRK.B"
    assert "last_quote" not in rows[0]


# What goes wrong


def test_a_plan_without_snapshots_keeps_the_list_of_contracts(client: PolygonClient, sandbox: Sandbox) -> None:
    sandbox.fault("not_entitled", provider="polygon")
    assert client.snapshot("AAPL").status_code == 403
    assert client.snapshot("AAPL").json()["status"] == "NOT_AUTHORIZED"
    assert client.get("/v3/reference/options/contracts", underlying_ticker="AAPL").status_code == 200


def test_a_plan_without_quotes_has_no_last_quote(client: PolygonClient, sandbox: Sandbox) -> None:
    sandbox.fault("missing_fields", provider="polygon", fields=["last_quote"])
    rows = client.rows("AAPL")
    assert rows
    assert not any("last_quote" in row for row in rows)


def test_a_list_can_break_after_its_first_page(client: PolygonClient, sandbox: Sandbox) -> None:
    sandbox.fault("partial_page", provider="polygon", status=500)
    first = client.snapshot("AAPL", limit=50).json()
    assert len(first["results"]) == 50
    assert client.get(first["next_url"]).status_code == 500


def test_market_faults_are_seen_in_the_snapshot(client: PolygonClient, sandbox: Sandbox) -> None:
    whole = len(client.rows("AAPL"))
    sandbox.fault("missing_fields", provider="polygon", symbol="AAPL")
    lacking = [row for row in client.rows("AAPL") if "bid" not in row["last_quote"] and "open_interest" not in row]
    assert len(lacking) == math.ceil(whole / 5)
    sandbox.fault("null_strike", provider="polygon", symbol="AAPL", every=1)
    assert {row["details"]["strike_price"] for row in client.rows("AAPL")} == {None}
    sandbox.fault("stale_quote", provider="polygon", symbol="AAPL")
    assert {row["last_quote"]["last_updated"] for row in client.rows("AAPL")} == {1_795_467_600_000_000_000}
    sandbox.fault("no_options", provider="polygon", symbol="AAPL")
    assert client.rows("AAPL") == []
    sandbox.fault("delisted", provider="polygon", symbol="AAPL")
    assert client.snapshot("AAPL").status_code == 404


# The real client


def snapshots(library: RESTClient, symbol: str, **params: Any) -> list[Any]:
    wish = {"expiration_date": str(MONTHLY), "limit": 250, **params}
    return list(library.list_snapshot_options_chain(symbol, params=wish))


def test_massive_reads_a_chain_in_one_request_of_250_contracts(library: RESTClient, sandbox: Sandbox) -> None:
    sandbox.reset_requests()
    rows, truth = snapshots(library, "KO"), truth_of(sandbox, "KO", MONTHLY)
    assert {row.details.ticker[2:]: row.last_quote.bid for row in rows} == {
        name: true["bid"] for name, true in truth.items()
    }
    assert all(row.greeks.delta == truth[row.details.ticker[2:]]["delta"] for row in rows if row.greeks.delta)
    assert sandbox.requests("polygon")["total"] == 1


def test_massive_walks_all_pages(library: RESTClient, sandbox: Sandbox) -> None:
    sandbox.reset_requests()
    assert len(snapshots(library, "KO", limit=20)) == len(truth_of(sandbox, "KO", MONTHLY))
    assert sandbox.requests("polygon")["total"] == math.ceil(len(truth_of(sandbox, "KO", MONTHLY)) / 20)


def test_massive_reads_the_list_of_contracts(library: RESTClient, sandbox: Sandbox) -> None:
    listed = library.list_options_contracts(underlying_ticker="KO", expiration_date=str(MONTHLY), limit=1000)
    assert {contract.ticker[2:] for contract in listed} == truth_of(sandbox, "KO", MONTHLY).keys()


def test_massive_meets_null_results_as_a_type_error_and_a_refusal_as_a_bad_response(
    library: RESTClient, client: PolygonClient, sandbox: Sandbox
) -> None:
    sandbox.fault("null_results", provider="polygon", symbol="KO")
    with pytest.raises(TypeError):
        snapshots(library, "KO")
    sandbox.fault("not_entitled", provider="polygon", symbol="KO")
    with pytest.raises(BadResponse, match="NOT_AUTHORIZED"):
        snapshots(library, "KO")


def test_recorded_chains_are_served_without_what_was_not_recorded(market_dir: Path) -> None:
    market = RecordedMarket(market_dir, date(2026, 7, 16))
    with running_sandbox(market=market, clock=lambda: NOW) as running:
        client = PolygonClient(running)
        rows = client.rows("AAPL", expiration_date="2026-12-25")
        truth = truth_of(running, "AAPL", date(2026, 12, 25))
        without_price = client.rows("CPRX", expiration_date="2026-12-25")
        assert client.rows("RDVY") == []
    assert {row["details"]["ticker"][2:]: row["last_quote"]["bid"] for row in rows} == {
        name: true["bid"] for name, true in truth.items()
    }
    assert not any("price" in row["underlying_asset"] for row in without_price)
