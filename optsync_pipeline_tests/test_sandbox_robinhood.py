"""The sandbox speaks Robinhood's protocol over real HTTP, and the real robin_stocks understands it."""

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
from pyotp.totp import TOTP
from robin_stocks import robinhood
from robin_stocks.robinhood import helper

from optsync_pipeline.providers.transport import StandInAdapter
from optsync_pipeline.sandbox.accounts import (
    ROBINHOOD_MFA_SECRET,
    ROBINHOOD_PASSWORD,
    ROBINHOOD_SMS_CODE,
    ROBINHOOD_USERNAME,
    mfa_code,
)
from optsync_pipeline.sandbox.recorded import RecordedMarket
from optsync_pipeline.sandbox.robinhood_ids import ROBINHOOD
from optsync_pipeline.sandbox.server import Sandbox, running_sandbox
from optsync_pipeline_tests.sandbox_client import MONTHLY, NOW, RobinhoodClient, truth_of


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=25, seed=11, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[RobinhoodClient]:
    client = RobinhoodClient(sandbox)
    sandbox.reset_requests()
    yield client
    sandbox.clear_faults()
    sandbox.require_verification(None)
    sandbox.require_mfa(True)


def quotes_of(client: RobinhoodClient, ids: list[str]) -> list[Any]:
    found = []
    for at in range(0, len(ids), 50):
        found += client.results("/marketdata/options/", ids=",".join(ids[at : at + 50]))
    return found


# Who may ask


def test_the_one_time_code_is_that_of_an_authenticator_app() -> None:
    app = TOTP(ROBINHOOD_MFA_SECRET)
    for step in (1, 55_555_555, 61_234_567):
        assert mfa_code(step) == app.at(step * 30)


def test_a_login_gives_a_token_that_opens_the_data(client: RobinhoodClient) -> None:
    given = client.ask_token(expires_in="3600").json()
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 3600, "internal")
    assert given["refresh_token"]
    client.session.headers["Authorization"] = f"Bearer {given['access_token']}"
    assert client.results("/positions/", nonzero="true") == []


@pytest.mark.parametrize("header", [None, "Bearer nonsense"])
@pytest.mark.parametrize(
    "path", ["/positions/", "/quotes/", "/instruments/", "/options/chains/", "/options/instruments/"]
)
def test_without_a_good_token_there_is_no_data(client: RobinhoodClient, path: str, header: str | None) -> None:
    client.session.headers["Authorization"] = header or ""
    if header is None:
        del client.session.headers["Authorization"]
    reply = client.get(path, symbols="AAPL", symbol="AAPL")
    assert (reply.status_code, list(reply.json())) == (401, ["detail"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "guess"},  # pragma: allowlist secret
        {"username": "other@example.com"},
        {"mfa_code": "000000x"},
        {"device_token": ""},
    ],
)
def test_a_wrong_login_is_a_bad_request_with_the_reason(client: RobinhoodClient, wrong: dict[str, str]) -> None:
    reply = client.ask_token(**wrong)
    assert (reply.status_code, list(reply.json())) == (400, ["detail"])


def test_without_a_one_time_code_one_is_asked_for(client: RobinhoodClient) -> None:
    reply = client.ask_token(mfa_code="")
    assert (reply.status_code, reply.json()) == (200, {"mfa_required": True, "mfa_type": "app"})


def test_an_account_without_two_factors_needs_no_code(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.require_mfa(False)
    assert client.ask_token(mfa_code="").json()["access_token"]


def test_expired_tokens_are_refused_until_a_new_login(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.fault("expired_token", provider="robinhood")
    assert client.get("/quotes/", symbols="AAPL").status_code == 401
    sandbox.clear_faults()
    assert client.get("/quotes/", symbols="AAPL").status_code == 401
    client.login()
    assert client.get("/quotes/", symbols="AAPL").status_code == 200


def test_an_unknown_device_waits_for_the_owners_approval(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.require_verification("device_approval")
    inquiry, challenge = begin_verification(client)
    assert challenge == {"id": challenge["id"], "type": "prompt", "status": "issued"}
    prompt = f"/push/{challenge['id']}/get_prompts_status/"
    assert client.get(prompt).json() == {"challenge_status": "issued"}
    assert "type_context" not in client.session.post(inquiry, json={}, timeout=5).json()
    assert sandbox.robinhood_account()["pending"] == 1
    sandbox.approve_device()
    assert client.get(prompt).json() == {"challenge_status": "validated"}
    through = client.session.post(inquiry, json={"sequence": 0, "user_input": {"status": "continue"}}, timeout=5)
    assert through.json()["type_context"]["result"] == "workflow_status_approved"
    assert client.ask_token().json()["access_token"]
    assert client.ask_token(device_token="another").status_code == 403


def test_an_unknown_device_can_be_verified_by_a_text_message(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.require_verification("sms")
    inquiry, challenge = begin_verification(client)
    assert challenge["type"] == "sms"
    respond = f"{ROBINHOOD}/challenge/{challenge['id']}/respond/"
    assert client.session.post(respond, data={"response": "000000"}, timeout=5).status_code == 400
    assert client.session.post(respond, data={"response": ROBINHOOD_SMS_CODE}, timeout=5).json()["status"] == (
        "validated"
    )
    assert "type_context" in client.session.post(inquiry, json={}, timeout=5).json()
    assert client.ask_token().json()["access_token"]


def begin_verification(client: RobinhoodClient) -> tuple[str, dict[str, str]]:
    """Return the inquiry's address and the challenge."""
    refused = client.ask_token()
    assert refused.status_code == 403
    workflow = refused.json()["verification_workflow"]["id"]
    wish = {"device_id": "of the moment", "flow": "suv", "input": {"workflow_id": workflow}}
    machine = client.session.post(f"{ROBINHOOD}/pathfinder/user_machine/", json=wish, timeout=5).json()["id"]
    inquiry = f"{ROBINHOOD}/pathfinder/inquiries/{machine}/user_view/"
    return inquiry, client.get(inquiry).json()["context"]["sheriff_challenge"]


# Stocks and chains


def test_quotes_come_in_the_order_asked_for_with_null_for_the_unknown(
    client: RobinhoodClient, sandbox: Sandbox
) -> None:
    first, unknown, last = client.results("/quotes/", symbols="KO,NOSUCH,BRK.B")
    assert (first["symbol"], unknown, last["symbol"]) == ("KO", None, "BRK.B")
    truth = sandbox.truth("KO")["stock"]
    assert first["last_trade_price"] == f"{truth['price']:.6f}"
    assert (first["bid_price"], first["previous_close"]) == (f"{truth['bid']:.6f}", f"{truth['previous_close']:.6f}")
    assert first["updated_at"] == "2026-11-24T16:00:00.000000Z"
    assert sandbox.requests("robinhood")["by_path"] == {"quote": 1}


def test_too_many_quotes_are_a_url_too_long(client: RobinhoodClient) -> None:
    assert len(client.results("/quotes/", symbols=",".join(["KO"] * 1630))) == 1630
    assert client.get("/quotes/", symbols=",".join(["KO"] * 1631)).status_code == 414


def test_a_stock_leads_to_its_chain(client: RobinhoodClient, sandbox: Sandbox) -> None:
    (stock,) = client.results("/instruments/", symbol="AAPL")
    chain = client.get(f"/options/chains/{stock['tradable_chain_id']}/").json()
    assert client.results("/options/chains/", equity_instrument_ids=stock["id"]) == [chain]
    assert client.get(stock["url"]).json() == stock
    assert chain["underlying_instruments"][0]["instrument"] == stock["url"]
    assert chain["expiration_dates"] == sandbox.truth("AAPL")["expirations"]
    assert chain["symbol"] == "AAPL"


def test_a_class_share_has_a_dot_as_a_stock_and_none_as_a_chain(client: RobinhoodClient) -> None:
    (stock,) = client.results("/instruments/", symbol="BRK.B")
    chain = stock["tradable_chain_id"]
    assert client.get(f"/options/chains/{chain}/").json()["symbol"] == "BRKB"
    assert client.results("/options/instruments/", chain_id=chain, chain_symbol="BRK.B") == []
    assert client.results("/options/instruments/", chain_id=chain, chain_symbol="BRKB")
    assert client.results("/instruments/", symbol="BRKB") == []


def test_what_is_unknown_is_empty_null_or_404(client: RobinhoodClient) -> None:
    nobody = "00000000-0000-5000-8000-000000000000"
    assert client.results("/instruments/", symbol="NOSUCH") == []
    assert client.results("/options/chains/", equity_instrument_ids=nobody) == []
    assert client.results("/options/instruments/", chain_id=nobody) == []
    assert client.results("/marketdata/options/", ids=f"{nobody},nonsense") == [None, None]
    assert client.get(f"/options/chains/{nobody}/").status_code == 404
    assert client.get(f"/instruments/{nobody}/").status_code == 404
    assert client.get(f"/options/instruments/{nobody}/").status_code == 404


# Contracts


def test_contracts_come_a_hundred_a_page_with_the_real_hosts_address_of_the_next(
    client: RobinhoodClient, sandbox: Sandbox
) -> None:
    (stock,) = client.results("/instruments/", symbol="AAPL")
    query = {"chain_id": stock["tradable_chain_id"], "expiration_dates": f"{MONTHLY},2027-01-15", "state": "active"}
    first = client.get("/options/instruments/", **query).json()
    assert len(first["results"]) == 100
    assert first["next"].startswith("https://api.robinhood.com/options/instruments/?")
    second = client.get(first["next"]).json()
    assert client.get(second["previous"]).json()["results"] == first["results"]
    wanted = {**truth_of(sandbox, "AAPL", MONTHLY), **truth_of(sandbox, "AAPL", date(2027, 1, 15))}
    listed = client.all_pages("/options/instruments/", **query)
    assert sorted((row["expiration_date"], row["strike_price"], row["type"]) for row in listed) == sorted(
        (row["expiration"], f"{row['strike']:.4f}", row["option_type"]) for row in wanted.values()
    )


def test_contracts_are_filtered_by_type_strike_and_state(client: RobinhoodClient) -> None:
    everything = client.contracts("AAPL")
    one = everything[5]
    assert client.get(one["url"]).json() == one
    chosen = {"chain_symbol": "AAPL", "expiration_dates": str(MONTHLY)}
    assert client.results("/options/instruments/", **chosen, type="call", strike_price=one["strike_price"]) == [one]
    puts = client.all_pages("/options/instruments/", **chosen, type="put")
    assert puts == [row for row in everything if row["type"] == "put"]
    assert client.results("/options/instruments/", **chosen, state="expired") == []
    for wrong in ({"type": "straddle"}, {"strike_price": "high"}, {"cursor": "nonsense"}):
        assert client.get("/options/instruments/", **chosen, **wrong).status_code == 400


def test_ids_are_well_formed_unlike_each_other_and_the_same_in_every_sandbox(client: RobinhoodClient) -> None:
    ids = [row["id"] for row in client.contracts("AAPL")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id_) for id_ in ids)
    with running_sandbox(symbols=3, seed=11, clock=lambda: NOW) as fresh:
        # Asked for before anything else: ids that a client has kept from an earlier sandbox.
        quoted = quotes_of(RobinhoodClient(fresh), ids)
    assert [row["instrument_id"] for row in quoted] == ids


def test_market_data_are_the_truth_in_the_order_asked_for(client: RobinhoodClient, sandbox: Sandbox) -> None:
    ids = [row["id"] for row in client.contracts("BRK.B")][::-1]
    quoted = quotes_of(client, ids)
    truth = truth_of(sandbox, "BRK.B", MONTHLY)
    assert [row["instrument_id"] for row in quoted] == ids
    assert {row["occ_symbol"] for row in quoted} == {f"BRKB  {name[-15:]}" for name in truth}
    for row in quoted:
        true = truth[row["occ_symbol"].replace(" ", "")]
        assert (row["bid_price"], row["ask_price"]) == (f"{true['bid']:.6f}", f"{true['ask']:.6f}")
        assert row["last_trade_price"] == f"{true['last']:.6f}"
        assert (row["open_interest"], row["volume"]) == (true["open_interest"], true["volume"] or 0)
        for name, of_truth in {"implied_volatility": "cboe_iv", "delta": "delta", "vega": "vega", "rho": "rho"}.items():
            assert row[name] == (f"{true[of_truth]:.6f}" if true["cboe_iv"] else None)
    assert {row["updated_at"] for row in quoted} == {"2026-11-24T16:00:00.000000Z"}
    assert any(row["delta"] is None for row in quoted)


def test_market_data_are_had_by_address_too_and_null_where_unknown(client: RobinhoodClient) -> None:
    one, other = client.contracts("KO")[:2]
    nobody = f"{one['id'][:-4]}ffff"
    by_address = client.results("/marketdata/options/", instruments=f"{one['url']},{other['url']}")
    assert [row["instrument"] for row in by_address] == [one["url"], other["url"]]
    assert client.results("/marketdata/options/", ids=f"{nobody},{one['id']}")[0] is None


def test_more_than_a_hundred_contracts_at_once_are_refused(client: RobinhoodClient) -> None:
    ids = [row["id"] for row in client.contracts("AAPL")][:101]
    assert client.get("/marketdata/options/", ids=",".join(ids)).status_code == 400
    addresses = ",".join(f"{ROBINHOOD}/options/instruments/{id_}/" for id_ in ids[:100])
    assert len(client.results("/marketdata/options/", instruments=addresses)) == 100


# What goes wrong


def test_a_stock_without_options_has_no_chain_and_a_delisted_one_is_nowhere(
    client: RobinhoodClient, sandbox: Sandbox
) -> None:
    kept = client.contracts("AAPL")[0]["id"]
    sandbox.fault("no_options", provider="robinhood", symbol="KO")
    sandbox.fault("delisted", provider="robinhood", symbol="AAPL")
    assert client.results("/instruments/", symbol="KO")[0]["tradable_chain_id"] is None
    assert client.results("/instruments/", symbol="AAPL") == []
    quoted = client.results("/quotes/", symbols="KO,AAPL,PFE")
    assert [quote and quote["symbol"] for quote in quoted] == ["KO", None, "PFE"]
    assert client.results("/marketdata/options/", ids=kept) == [None]


def test_market_faults_are_seen_in_contracts_and_their_quotes(client: RobinhoodClient, sandbox: Sandbox) -> None:
    ids = [row["id"] for row in client.contracts("AAPL")][:50]
    sandbox.fault("null_strike", provider="robinhood", symbol="AAPL", every=1)
    assert {row["strike_price"] for row in client.contracts("AAPL")} == {None}
    sandbox.fault("zero_quotes", provider="robinhood", symbol="AAPL")
    assert {row["bid_price"] for row in quotes_of(client, ids)} == {"0.000000"}
    sandbox.fault("missing_fields", provider="robinhood", symbol="AAPL", every=1)
    assert {(row["bid_price"], row["open_interest"]) for row in quotes_of(client, ids)} == {(None, None)}
    sandbox.fault("stale_quote", provider="robinhood", symbol="AAPL")
    assert {row["updated_at"][:10] for row in quotes_of(client, ids)} == {"2026-11-23"}
    sandbox.fault("empty_chain", provider="robinhood", symbol="AAPL")
    assert client.contracts("AAPL") == []


@pytest.mark.parametrize(("kind", "status"), [("not_entitled", 403), ("rate_limited", 429), ("invalid_crumb", 401)])
def test_a_refusal_is_json_with_the_detail(client: RobinhoodClient, sandbox: Sandbox, kind: str, status: int) -> None:
    sandbox.fault(kind, provider="robinhood")
    reply = client.get("/quotes/", symbols="AAPL")
    assert (reply.status_code, list(reply.json())) == (status, ["detail"])
    assert client.ask_token().status_code == 200


def test_a_fault_can_be_ordered_for_the_login_alone(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.fault("rate_limited", provider="robinhood", paths=["login"])
    assert client.ask_token().status_code == 429
    assert client.get("/quotes/", symbols="AAPL").status_code == 200


def test_a_list_can_break_after_its_first_page(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.fault("partial_page", provider="robinhood")
    first = client.get("/options/instruments/", chain_symbol="AAPL", state="active")
    assert len(first.json()["results"]) == 100
    assert client.get(first.json()["next"]).status_code == 503


def test_results_can_be_null(client: RobinhoodClient, sandbox: Sandbox) -> None:
    sandbox.fault("null_results", provider="robinhood")
    assert client.get("/quotes/", symbols="AAPL").json()["results"] is None


# The real robin_stocks


@pytest.fixture
def library(sandbox: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """robin_stocks pointed at the sandbox; its session and its login are places of the process: put back after."""
    before = helper.SESSION.get_adapter("https://")
    output = helper.get_output()
    helper.SESSION.mount("https://", StandInAdapter(sandbox.robinhood_url))
    with (tmp_path / "printed").open("w") as silent:
        helper.set_output(silent)
        yield tmp_path
        helper.set_output(output)
    helper.SESSION.mount("https://", before)
    helper.update_session("Authorization", None)
    helper.set_login_state(False)


def log_in(folder: Path, **changes: str) -> Any:
    code = TOTP(ROBINHOOD_MFA_SECRET).now()
    wish = {"username": ROBINHOOD_USERNAME, "password": ROBINHOOD_PASSWORD, "mfa_code": code, **changes}
    return robinhood.login(**wish, pickle_path=str(folder))


def test_robin_stocks_logs_in_and_comes_back_with_its_stored_token(library: Path, sandbox: Sandbox) -> None:
    sandbox.reset_requests()
    assert log_in(library)["access_token"]
    assert "logged in using authentication" in log_in(library)["detail"]
    assert sandbox.requests("robinhood")["by_path"] == {"login": 1, "token_check": 1}


def test_robin_stocks_gets_none_for_a_wrong_password(library: Path) -> None:
    assert log_in(library, password="guess") is None  # pragma: allowlist secret
    assert not os.path.getsize(library / "robinhood.pickle")


def test_robin_stocks_reads_quotes_chains_pages_and_market_data(library: Path, sandbox: Sandbox) -> None:
    log_in(library)
    truth = truth_of(sandbox, "AAPL", MONTHLY)
    assert robinhood.get_latest_price(["AAPL", "KO"]) == [
        f"{sandbox.truth(symbol)['stock']['price']:.6f}" for symbol in ("AAPL", "KO")
    ]
    assert robinhood.get_chains("AAPL")["expiration_dates"] == sandbox.truth("AAPL")["expirations"]
    listed = robinhood.find_tradable_options("AAPL", expirationDate=str(MONTHLY))
    assert len(listed) == len(truth)
    strike = next(row["strike"] for row in truth.values() if row["cboe_iv"] and row["option_type"] == "put")
    (found,) = robinhood.find_options_by_expiration_and_strike("AAPL", str(MONTHLY), f"{strike:.4f}", "put")
    (true,) = (row for row in truth.values() if row["strike"] == strike and row["option_type"] == "put")
    assert float(found["bid_price"]) == true["bid"]
    assert float(found["delta"]) == true["delta"]


# A recorded market


def test_recorded_chains_are_served_with_null_for_what_was_not_recorded(market_dir: Path) -> None:
    market = RecordedMarket(market_dir, date(2026, 7, 16))
    with running_sandbox(market=market, clock=lambda: NOW) as running:
        client = RobinhoodClient(running)
        listed = client.contracts("AAPL", date(2026, 12, 25))
        quoted = quotes_of(client, [row["id"] for row in listed])
        truth = truth_of(running, "AAPL", date(2026, 12, 25))
        assert client.results("/quotes/", symbols="CPRX")[0]["last_trade_price"] is None
        assert client.results("/instruments/", symbol="RDVY")[0]["tradable_chain_id"] is None
    assert {row["occ_symbol"].replace(" ", ""): row["bid_price"] for row in quoted} == {
        name: f"{row['bid']:.6f}" for name, row in truth.items()
    }
    assert {row["previous_close_price"] for row in quoted} == {None}


def test_a_login_by_anything_but_a_password_is_refused(sandbox: Sandbox) -> None:
    reply = requests.post(f"{sandbox.robinhood_url}/oauth2/token/", data={"grant_type": "refresh_token"}, timeout=5)
    assert reply.status_code == 400
