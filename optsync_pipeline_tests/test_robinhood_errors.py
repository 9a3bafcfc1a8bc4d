"""Every way in which Robinhood, or the wire to it, can fail, at every place of a symbol's requests."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from optsync_pipeline.providers.base import (
    ApiTimeout,
    AuthError,
    FetchError,
    InvalidReply,
    NetworkError,
    RateLimited,
    VendorFault,
)
from optsync_pipeline.providers.robinhood import RobinhoodProvider
from optsync_pipeline.providers.robinhood_login import Credentials
from optsync_pipeline.providers.transport import gated
from optsync_pipeline_tests.robinhood_talk import (
    CONTRACTS,
    CREDENTIALS,
    HTML,
    INSTRUMENTS,
    LOGIN,
    MARKETDATA,
    QUOTES,
    REAL,
    Robinhood,
    Stock,
    ask,
    assert_tells_no_secret,
    chain_path,
    fail,
    provider_of,
    stored,
)
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, scripted_market

DATA_PATHS = [QUOTES, INSTRUMENTS, chain_path("AAPL"), CONTRACTS, MARKETDATA]
FAULTS: list[tuple[Reply, type[FetchError]]] = [
    (Reply({"detail": "no"}, 403), AuthError),
    (Reply({"detail": "slow down"}, 429, {"Retry-After": "7"}), RateLimited),
    (Reply({"detail": "Not found."}, 404), VendorFault),
    (Reply(HTML, 500), VendorFault),
    (Reply(HTML, 503), VendorFault),
    (Reply(HTML), InvalidReply),
    (Reply('{"results": [{"symbol": "AA'), InvalidReply),
    (Reply("[]"), InvalidReply),
    (Reply({"results": None, "next": None}), InvalidReply),
    (Reply({"detail": "hm"}, 400), InvalidReply),
    (Reply("", 302, {"Location": "https://elsewhere.example/"}), InvalidReply),
    (Reply("x" * 5000, cut_off=True), NetworkError),
]


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def vendor(market: ScriptedMarket) -> Robinhood:
    return Robinhood(market, Stock("AAPL"))


@pytest.fixture
def robinhood(vendor: Robinhood, tmp_path: Path) -> Iterator[RobinhoodProvider]:
    provider = provider_of(vendor.market, tmp_path)
    yield provider
    provider.close()


@pytest.mark.parametrize("path", DATA_PATHS)
@pytest.mark.parametrize(("reply", "error"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_failing_request_fails_the_chain_with_its_own_kind(
    vendor: Robinhood, robinhood: RobinhoodProvider, path: str, reply: Reply, error: type[FetchError]
) -> None:
    vendor.answer(path, reply)
    failure = fail(robinhood, error)
    assert failure.error_type == error.error_type
    assert failure.requests == 2 + DATA_PATHS.index(path)
    assert not failure.ends_provider


def test_retry_after_is_read(vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
    vendor.answer(MARKETDATA, Reply("", 429, {"Retry-After": "7"}))
    assert fail(robinhood, RateLimited).retry_after_seconds == 7


@pytest.mark.parametrize("path", [LOGIN, *DATA_PATHS])
def test_no_reply_in_time_is_a_timeout(vendor: Robinhood, tmp_path: Path, path: str) -> None:
    robinhood = provider_of(vendor.market, tmp_path, timeout=(0.3, 0.3))
    vendor.market.script[path] = [Reply("{}", delay_seconds=0.9)]
    if path != LOGIN:
        vendor.answer(path, Reply("{}", delay_seconds=0.9))
    fail(robinhood, ApiTimeout)


def test_a_body_that_drips_is_a_timeout(vendor: Robinhood, tmp_path: Path) -> None:
    robinhood = provider_of(vendor.market, tmp_path, timeout=(0.3, 0.3))
    vendor.answer(MARKETDATA, Reply("x" * 200, drip=True))
    fail(robinhood, ApiTimeout)


def test_no_connection_is_a_network_error(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/robinhood"
        robinhood = RobinhoodProvider(CREDENTIALS, home=tmp_path, stand_in_url=url)
        assert "refused" in str(fail(robinhood, NetworkError))


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (Reply(HTML, 503), VendorFault),
        (Reply("", 429), RateLimited),
        (Reply(HTML), InvalidReply),
        (Reply({"detail": "no results here"}), InvalidReply),
        (Reply("x" * 5000, cut_off=True), NetworkError),
    ],
)
def test_a_failing_second_page_fails_the_chain_and_nothing_is_kept_of_the_first(
    vendor: Robinhood, robinhood: RobinhoodProvider, second: Reply, error: type[FetchError]
) -> None:
    vendor.page_size = 4
    pages = vendor._contracts
    vendor.answer(CONTRACTS, lambda hit: second if "cursor" in hit.query else pages(hit))
    fail(robinhood, error)
    vendor.answer(CONTRACTS, pages)
    assert len(ask(robinhood).contracts) == 6


@pytest.mark.parametrize("following", ["https://elsewhere.example/x", "http://api.robinhood.com/x", "/x", 7, ""])
def test_a_next_page_elsewhere_is_not_followed(vendor: Robinhood, robinhood: RobinhoodProvider, following: Any) -> None:
    vendor.answer(CONTRACTS, Reply({"results": [], "next": following}))
    fail(robinhood, InvalidReply)
    assert vendor.data_paths.count(CONTRACTS) == 1


def test_pages_that_lead_in_a_circle_end(vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
    vendor.answer(CONTRACTS, Reply({"results": [], "next": f"{REAL}{CONTRACTS}?cursor=1"}))
    assert "do not end" in str(fail(robinhood, InvalidReply))


class TestLogin:
    @pytest.mark.parametrize(
        ("reply", "error", "ends"),
        [
            (Reply({"detail": "Unable to log in with provided credentials."}, 400), AuthError, True),
            (Reply({"detail": "no"}, 401), AuthError, True),
            (Reply({"detail": "no"}, 403), AuthError, True),
            (Reply(HTML, 403), AuthError, True),
            (Reply({"mfa_required": True, "mfa_type": "app"}), AuthError, True),
            (Reply({"verification_workflow": {"id": "abc"}}, 403), AuthError, True),
            (Reply({"detail": "throttled"}, 429), RateLimited, True),
            (Reply(HTML, 500), VendorFault, False),
            (Reply(HTML, 404), VendorFault, False),
            (Reply(HTML), InvalidReply, False),
            (Reply('{"access_tok'), InvalidReply, False),
            (Reply({"token_type": "Bearer"}), InvalidReply, False),
            (Reply({"access_token": "a\r\nb"}), InvalidReply, False),
            (Reply("[]"), InvalidReply, False),
            (Reply("", 302, {"Location": "https://elsewhere.example/"}), InvalidReply, False),
            (Reply("x" * 5000, cut_off=True), NetworkError, False),
        ],
    )
    def test_each_refusal_has_its_kind_and_only_one_for_good_ends_the_provider(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, reply: Reply, error: type[FetchError], ends: bool
    ) -> None:
        vendor.market.script[LOGIN] = [reply]
        failure = fail(robinhood, error)
        assert (failure.error_type, failure.ends_provider) == (error.error_type, ends)
        assert failure.requests == len(vendor.market.hits) == 1

    def test_a_demanded_approval_says_what_to_do(self, vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
        vendor.market.script[LOGIN] = [Reply({"verification_workflow": {"id": "abc"}}, 403)]
        told = str(fail(robinhood, AuthError))
        assert "approve the request in the Robinhood app" in told
        assert "optsync robinhood login" in told

    def test_nothing_is_asked_printed_or_waited_for(
        self,
        vendor: Robinhood,
        robinhood: RobinhoodProvider,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def never(*_: Any) -> Any:
            raise AssertionError("somebody is asked")

        for name in ("builtins.input", "getpass.getpass"):
            monkeypatch.setattr(name, never)
        monkeypatch.setattr("robin_stocks.robinhood.authentication.time", None)
        vendor.market.script[LOGIN] = [Reply({"verification_workflow": {"id": "abc"}}, 403)]
        fail(robinhood, AuthError)
        assert capfd.readouterr() == ("", "")

    def test_what_the_gate_raises_comes_through_the_librarys_login(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        class RunIsStopped(Exception):
            pass

        @contextmanager
        def shut() -> Iterator[None]:
            raise RunIsStopped
            yield

        with gated(shut), pytest.raises(RunIsStopped):
            ask(robinhood)
        assert vendor.market.hits == []
        assert ask(robinhood).contracts

    def test_a_bad_authenticator_secret_is_said_before_anything_is_sent(
        self, vendor: Robinhood, tmp_path: Path
    ) -> None:
        bad = Credentials(CREDENTIALS.username, CREDENTIALS.password, SecretStr("not base32!"))
        failure = fail(provider_of(vendor.market, tmp_path, credentials=bad), AuthError)
        assert "OPTSYNC_ROBINHOOD_MFA_SECRET" in str(failure)
        assert "not base32!" not in str(failure)
        assert failure.ends_provider
        assert vendor.market.hits == []

    def test_a_token_that_is_rejected_at_once_ends_the_provider(
        self, vendor: Robinhood, robinhood: RobinhoodProvider
    ) -> None:
        vendor.market.script[QUOTES] = [Reply({"detail": "no"}, 401)]
        assert fail(robinhood, AuthError).ends_provider
        assert vendor.market.paths == [LOGIN, QUOTES]

    def test_what_went_wrong_tells_no_secret_in_the_file_either(
        self, vendor: Robinhood, robinhood: RobinhoodProvider, tmp_path: Path
    ) -> None:
        vendor.market.script[LOGIN] = [Reply({"detail": "no"}, 400)]
        fail(robinhood, AuthError)
        assert_tells_no_secret(stored(tmp_path, "refusal.json")["reason"])


def test_a_redirect_takes_neither_password_nor_token_elsewhere(vendor: Robinhood, robinhood: RobinhoodProvider) -> None:
    def elsewhere(hit: Hit) -> Reply:
        return Reply("", 307, {"Location": "https://elsewhere.example/oauth2/"})

    vendor.market.script[LOGIN] = elsewhere
    fail(robinhood, InvalidReply)
    assert [hit.host for hit in vendor.market.hits] == ["api.robinhood.com"]
