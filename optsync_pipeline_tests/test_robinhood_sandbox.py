"""The Robinhood provider and its login command against the sandbox market, which was written apart from both."""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from optsync_pipeline.providers import robinhood_approval
from optsync_pipeline.providers.base import AuthError, ChainRequest, FetchError, RateLimited, VendorFault
from optsync_pipeline.providers.robinhood import RobinhoodProvider
from optsync_pipeline.providers.robinhood_login import Credentials
from optsync_pipeline.sandbox.accounts import (
    ROBINHOOD_MFA_SECRET,
    ROBINHOOD_PASSWORD,
    ROBINHOOD_SMS_CODE,
    ROBINHOOD_USERNAME,
)
from optsync_pipeline.sandbox.server import Sandbox, running_sandbox
from optsync_pipeline_tests.commands import Run, run

__all__ = ["run"]

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with running_sandbox(symbols=40) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.clear_faults()
    running.unlimited()
    running.up()
    running.require_verification(None)
    running.reset_requests()
    return running


@pytest.fixture
def robinhood(sandbox: Sandbox, tmp_path: Path) -> Iterator[RobinhoodProvider]:
    credentials = Credentials(ROBINHOOD_USERNAME, SecretStr(ROBINHOOD_PASSWORD), SecretStr(ROBINHOOD_MFA_SECRET))
    provider = RobinhoodProvider(credentials, home=tmp_path, stand_in_url=sandbox.robinhood_url)
    yield provider
    provider.close()


def question(symbol: str) -> ChainRequest:
    return ChainRequest(symbol, (30,), NOW)


def test_all_symbols_are_served_and_warm_ones_cost_one_request_for_fifty_contracts(
    sandbox: Sandbox, robinhood: RobinhoodProvider
) -> None:
    symbols = sandbox.symbols()
    robinhood.expect(symbols)
    sizes = [len(robinhood.fetch_chain(question(symbol)).contracts) for symbol in symbols]
    sandbox.reset_requests()
    robinhood.expect(symbols)
    warm = [robinhood.fetch_chain(question(symbol)).requests for symbol in symbols]
    assert warm == [-(-size // 50) for size in sizes]
    assert sandbox.total_requests() == sum(warm)


def test_quotes_are_those_of_the_market(sandbox: Sandbox, robinhood: RobinhoodProvider) -> None:
    symbols = sandbox.symbols()
    reply = robinhood.fetch_quotes([*symbols, "NOPE"], NOW)
    assert (sorted(reply.quotes), list(reply.unknown)) == (sorted(symbols), ["NOPE"])


def test_an_expired_token_is_renewed(sandbox: Sandbox, robinhood: RobinhoodProvider) -> None:
    robinhood.fetch_chain(question("AAPL"))
    sandbox.fault("expired_token", provider="robinhood")
    robinhood.fetch_chain(question("AAPL"))
    assert sandbox.requests("robinhood")["by_path"]["login"] == 2


@pytest.mark.parametrize(
    ("fault", "paths", "error"),
    [
        ("rate_limited", ["marketdata"], RateLimited),
        ("rate_limited", ["login"], RateLimited),
        ("not_entitled", ["marketdata"], AuthError),
    ],
)
def test_faults_are_told_apart(
    sandbox: Sandbox, robinhood: RobinhoodProvider, fault: str, paths: list[str], error: type[FetchError]
) -> None:
    sandbox.fault(fault, provider="robinhood", paths=paths)
    with pytest.raises(error):
        robinhood.fetch_chain(question("AAPL"))


def test_a_partial_list_is_no_list(sandbox: Sandbox, robinhood: RobinhoodProvider) -> None:
    sandbox.fault("partial_page", provider="robinhood")
    with pytest.raises(VendorFault):
        robinhood.fetch_chain(question("AAPL"))


@pytest.fixture
def at_the_terminal(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.environment_of("robinhood").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPTSYNC_HOME", str(tmp_path))
    monkeypatch.setattr(robinhood_approval, "POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("at_the_terminal")
def test_a_run_is_told_to_have_the_device_approved_and_after_that_login_runs(
    sandbox: Sandbox, robinhood: RobinhoodProvider, run: Run
) -> None:
    sandbox.require_verification("device_approval")
    with pytest.raises(AuthError, match="optsync robinhood login"):
        robinhood.fetch_chain(question("AAPL"))
    sandbox.approve_device()
    assert run("robinhood", "login").exit_code == 0
    assert robinhood.fetch_chain(question("AAPL")).contracts


@pytest.mark.usefixtures("at_the_terminal")
def test_a_code_sent_as_sms_is_typed(sandbox: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.require_verification("sms")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{ROBINHOOD_SMS_CODE}\n"))
    assert run("robinhood", "login").exit_code == 0
