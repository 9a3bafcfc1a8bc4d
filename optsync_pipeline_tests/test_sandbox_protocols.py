"""The sandbox speaks Yahoo's and Cboe's protocols over real HTTP, and the real yfinance understands it."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import requests
import yfinance
from yfinance.data import YfData

from optsync_pipeline.providers.transport import StandInAdapter
from optsync_pipeline.sandbox.recorded import RecordedMarket
from optsync_pipeline.sandbox.server import (
    Sandbox,
    running_sandbox,
)
from optsync_pipeline_tests.sandbox_client import MONTHLY, NOW, Client, contracts, epoch, result, truth_of


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


@pytest.fixture
def yahoo_session(sandbox: Sandbox, tmp_path: Path) -> Iterator[requests.Session]:
    """A session for yfinance, which keeps its cookie and crumb in a place of the process: cleared before and after."""
    yfinance.set_tz_cache_location(str(tmp_path))
    type(YfData)._instances.clear()
    yfinance.cache.get_cookie_cache().store("curlCffi", None)
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", StandInAdapter(sandbox.yahoo_url))
    yield session
    yfinance.cache.get_cookie_cache().store("curlCffi", None)
    type(YfData)._instances.clear()


# Yahoo's protocol


def test_the_cookie_has_an_expiry_and_the_crumb_needs_the_cookie(sandbox: Sandbox) -> None:
    page = requests.get(f"{sandbox.yahoo_url}/", timeout=5)
    cookie = page.headers["Set-Cookie"]
    assert page.status_code == 404
    assert re.match(r"A3=.*; Expires=\w{3}, .* GMT; .*Domain=\.yahoo\.com; Path=/;.* Secure", cookie)
    crumb = requests.get(f"{sandbox.yahoo_url}/v1/test/getcrumb", timeout=5)
    assert (crumb.status_code, crumb.json()["finance"]["error"]["description"]) == (401, "Invalid Cookie")


@pytest.mark.parametrize("path", ["/v7/finance/options/AAPL", "/v7/finance/quote"])
@pytest.mark.parametrize("crumb", ["wrong", None])
def test_a_wrong_or_missing_crumb_is_refused(client: Client, path: str, crumb: str | None) -> None:
    reply = client.yahoo(path, crumb=crumb, symbols="AAPL")
    assert reply.status_code == 401
    assert reply.json()["finance"]["error"]["description"] == "Invalid Crumb"


def test_yahoo_serves_the_truth_of_the_nearest_expiration_and_lists_all(client: Client) -> None:
    chain = result(client.chain("AAPL"))
    truth = client.sandbox.truth("AAPL")
    assert chain["expirationDates"] == [epoch(date.fromisoformat(day)) for day in truth["expirations"]]
    assert chain["options"][0]["expirationDate"] == chain["expirationDates"][0]
    assert chain["quote"]["regularMarketPrice"] == truth["stock"]["price"]
    assert chain["quote"]["regularMarketTime"] == NOW.timestamp()
    assert chain["quote"]["marketState"] == "REGULAR"


def test_yahoo_serves_every_contract_of_the_date_asked_for(client: Client) -> None:
    served, truth = contracts(client.chain("AAPL", MONTHLY)), truth_of(client.sandbox, "AAPL", MONTHLY)
    assert served.keys() == truth.keys()
    for name, row in served.items():
        assert row["strike"] == truth[name]["strike"]
        assert (row["bid"], row["ask"]) == (truth[name]["bid"], truth[name]["ask"])
        assert row.get("volume") == truth[name]["volume"]
        assert row["openInterest"] == truth[name]["open_interest"]
        assert row["impliedVolatility"] == truth[name]["yahoo_iv"]
        assert "delta" not in row
    assert any("volume" not in row for row in served.values())


def test_a_date_that_is_not_listed_gives_all_dates_and_empty_lists(client: Client) -> None:
    chain = result(client.chain("AAPL", date(2026, 12, 19)))
    assert len(chain["expirationDates"]) > 5
    assert chain["options"][0]["calls"] == chain["options"][0]["puts"] == []


def test_class_shares_are_spelled_as_each_vendor_spells_them(client: Client) -> None:
    assert result(client.chain("BRK-B"))["underlyingSymbol"] == "BRK-B"
    assert client.chain("BRK.B").status_code == 404
    assert client.cboe("BRK.B").json()["data"]["options"][0]["option"].startswith("BRKB26")
    assert client.cboe("BRK-B").status_code == 404


def test_unknown_symbols_are_404_or_absent(client: Client) -> None:
    assert client.chain("NOSUCH").status_code == 404
    assert client.yahoo("/v8/finance/chart/NOSUCH").status_code == 404
    assert client.cboe("NOSUCH").status_code == 404
    assert "<Error>" in client.cboe("_SPX").text
    quotes = client.yahoo("/v7/finance/quote", symbols="AAPL,NOSUCH,BRK-B").json()["quoteResponse"]["result"]
    assert [quote["symbol"] for quote in quotes] == ["AAPL", "BRK-B"]


def test_a_date_that_is_no_number_is_a_bad_request(client: Client) -> None:
    assert client.yahoo("/v7/finance/options/AAPL", date="soon").status_code == 400


# Cboe's protocol


def test_cboe_serves_every_expiration_with_greeks_in_one_file(client: Client) -> None:
    file = client.cboe("AAPL").json()
    truth = {row["contract_symbol"]: row for row in client.sandbox.truth("AAPL")["contracts"]}
    served = {row["option"]: row for row in file["data"]["options"]}
    assert file["timestamp"] == "2026-11-24 16:00:00"
    assert file["symbol"] == file["data"]["symbol"] == "AAPL"
    assert file["data"]["current_price"] == client.sandbox.truth("AAPL")["stock"]["price"]
    assert file["data"]["last_trade_time"] == "2026-11-24T11:00:00"
    assert served.keys() == truth.keys()
    for name, row in served.items():
        for key in ("bid", "ask", "open_interest", "delta", "gamma", "theta", "vega", "rho", "theo"):
            assert row[key] == truth[name][key], (name, key)
        assert row["iv"] == truth[name]["cboe_iv"]
        assert row["volume"] == (truth[name]["volume"] or 0)


# The real yfinance


def test_yfinance_reads_expirations_and_chains(yahoo_session: requests.Session, sandbox: Sandbox) -> None:
    sandbox.control("POST", "requests/reset")
    ticker = yfinance.Ticker("AAPL", session=yahoo_session)
    assert ticker.options == tuple(sandbox.truth("AAPL")["expirations"])
    chain = ticker.option_chain(MONTHLY.isoformat())
    truth = truth_of(sandbox, "AAPL", MONTHLY)
    assert len(chain.calls) + len(chain.puts) == len(truth)
    bids = dict(zip(chain.puts["contractSymbol"], chain.puts["bid"], strict=True))
    assert bids == {name: row["bid"] for name, row in truth.items() if row["option_type"] == "put"}
    assert chain.underlying["regularMarketPrice"] == sandbox.truth("AAPL")["stock"]["price"]
    assert sandbox.requests("yahoo")["by_path"] == {"cookie": 1, "crumb": 1, "options": 2}


def test_yfinance_heals_an_invalid_crumb_through_its_consent_strategy(
    yahoo_session: requests.Session, sandbox: Sandbox
) -> None:
    sandbox.control("POST", "requests/reset")
    sandbox.fault("invalid_crumb", provider="yahoo", symbol="KO", times=1)
    try:
        assert yfinance.Ticker("KO", session=yahoo_session).options
    finally:
        sandbox.clear_faults()
    counts = sandbox.requests("yahoo")
    assert counts["by_status"]["401"] == 1
    assert counts["by_path"]["crumb"] == 2


def test_yfinance_reads_a_years_history(yahoo_session: requests.Session, sandbox: Sandbox) -> None:
    bars = yfinance.Ticker("KO", session=yahoo_session).history(period="1y")
    assert 245 <= len(bars) <= 255
    assert bars["Close"].iloc[-1] == pytest.approx(sandbox.truth("KO")["stock"]["price"])


@pytest.fixture(scope="module")
def recorded(market_dir: Path) -> Iterator[Client]:
    market = RecordedMarket(market_dir, date(2026, 7, 16))
    with running_sandbox(market=market, clock=lambda: NOW) as running:
        yield Client(running)


def test_recorded_chains_are_served_by_both_vendors(recorded: Client) -> None:
    chain = contracts(recorded.chain("AAPL", date(2026, 12, 25)))
    file = {row["option"]: row for row in recorded.cboe("AAPL").json()["data"]["options"]}
    assert chain
    assert chain.keys() <= file.keys()
    name, row = next((name, row) for name, row in chain.items() if file[name]["delta"] is not None)
    assert row["impliedVolatility"] == file[name]["iv"]
    assert "delta" not in row


def test_a_recorded_stock_without_price_or_contracts_is_served_so(recorded: Client) -> None:
    without_price = result(recorded.chain("CPRX"))
    assert "regularMarketPrice" not in without_price["quote"]
    assert without_price["options"][0]["calls"]
    assert recorded.cboe("CPRX").json()["data"]["current_price"] is None
    without_contracts = result(recorded.chain("RDVY"))
    assert without_contracts["expirationDates"] == without_contracts["options"] == []
    assert without_contracts["quote"]["regularMarketPrice"] == 80.5
    assert recorded.cboe("RDVY").json()["data"]["options"] == []


def test_every_recorded_symbol_is_served(recorded: Client) -> None:
    for symbol in recorded.sandbox.symbols():
        assert recorded.chain(symbol.replace(".", "-")).status_code == 200
    assert recorded.sandbox.symbols_csv().count(b"\n") == 336
    assert recorded.yahoo("/v8/finance/chart/AAPL", range="5d").json()["chart"]["error"] is None
