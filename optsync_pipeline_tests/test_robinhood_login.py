"""The token: made once, kept privately, shared, renewed when rejected; a refused login is remembered."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from optsync_pipeline.providers.base import AuthError, FetchError, RateLimited
from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
from optsync_pipeline.providers.robinhood_login import Credentials
from optsync_pipeline.providers.robinhood_session import RobinhoodSession
from optsync_pipeline.providers.robinhood_tokens import Refusal, Token, TokenFolder
from optsync_pipeline_tests.robinhood_talk import (
    CREDENTIALS,
    LOGIN,
    NOW,
    PASSWORD,
    QUOTES,
    USERNAME,
    Robinhood,
    Stock,
    stored,
)
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, scripted_market

CODE_AT_NOW = "187124"  # of JBSWY3DPEHPK3PXP, by RFC 6238
REFUSED = Reply({"detail": "Unable to log in with provided credentials."}, 400)
THROTTLED = Reply({"detail": "throttled"}, 429)


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def vendor(market: ScriptedMarket) -> Robinhood:
    return Robinhood(market, Stock("AAPL"))


class Runs:
    """Runs of a home: each has an account of its own, as a process has."""

    def __init__(self, vendor: Robinhood, home: Path) -> None:
        self.vendor, self.home, self.now = vendor, home, NOW

    def __call__(self, credentials: Credentials = CREDENTIALS) -> RobinhoodSession:
        url = self.vendor.market.robinhood_url
        account = RobinhoodAccount(
            credentials, self.home, stand_in_url=url, timeout=(2.0, 10.0), clock=lambda: self.now
        )
        return RobinhoodSession(account)


@pytest.fixture
def run(vendor: Robinhood, tmp_path: Path) -> Runs:
    return Runs(vendor, tmp_path)


def quote(session: RobinhoodSession) -> object:
    return session.get(QUOTES, "AAPL", symbols="AAPL")["results"][0]["symbol"]


def refuse(session: RobinhoodSession, error: type[FetchError] = AuthError) -> str:
    with pytest.raises(error) as caught:
        quote(session)
    assert caught.value.ends_provider
    return str(caught.value)


class TestAsking:
    def test_the_login_is_the_librarys(self, vendor: Robinhood, run: Runs) -> None:
        quote(run())
        (form,) = vendor.logins
        assert {name: form[name] for name in ("username", "password", "grant_type", "scope")} == {
            "username": USERNAME,
            "password": PASSWORD,
            "grant_type": "password",
            "scope": "internal",
        }
        assert "mfa_code" not in form
        assert vendor.market.hits[0].headers["x-robinhood-api-version"]
        assert vendor.market.hits[1].headers["authorization"] == "Bearer token-1"

    def test_the_code_is_the_authenticator_apps(self, vendor: Robinhood, run: Runs) -> None:
        quote(run(Credentials(USERNAME, SecretStr(PASSWORD), SecretStr("JBSW Y3DP EHPK 3PXP"))))
        assert vendor.logins[0]["mfa_code"] == CODE_AT_NOW

    def test_the_device_stays_the_same(self, vendor: Robinhood, run: Runs) -> None:
        quote(run())
        vendor.tokens.clear()
        quote(run())
        first, second = (form["device_token"] for form in vendor.logins)
        assert first == second == stored(run.home, "device.json")["device_token"]

    def test_many_threads_log_in_once(self, vendor: Robinhood, run: Runs) -> None:
        session = run()
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(lambda _: quote(session), range(32))) == ["AAPL"] * 32
        assert vendor.market.paths.count(LOGIN) == 1

    def test_many_threads_are_refused_once(self, vendor: Robinhood, run: Runs) -> None:
        vendor.market.script[LOGIN] = [REFUSED]
        session = run()
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda _: refuse(session), range(16)))
        assert vendor.market.paths == [LOGIN]

    def test_threads_that_waited_for_a_login_that_broke_do_not_try_one_after_the_other(
        self, vendor: Robinhood, run: Runs
    ) -> None:
        waiting = threading.Barrier(4)
        vendor.market.script[LOGIN] = [Reply("", 503, delay_seconds=0.3)]
        session = run()

        def attempt(_: int) -> str:
            waiting.wait()
            with pytest.raises(FetchError) as caught:
                quote(session)
            return caught.value.error_type

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(attempt, range(4))) == ["provider_error"] * 4
        assert vendor.market.paths == [LOGIN]

    def test_of_several_processes_one_logs_in(self, vendor: Robinhood, run: Runs) -> None:
        answer = vendor._login
        vendor.market.script[LOGIN] = lambda hit: _slowly(answer, hit)
        program = (
            "import sys; from pathlib import Path; from pydantic import SecretStr\n"
            "from optsync_pipeline.providers.robinhood_account import RobinhoodAccount\n"
            "from optsync_pipeline.providers.robinhood_login import Credentials\n"
            f"credentials = Credentials({USERNAME!r}, SecretStr({PASSWORD!r}))\n"
            "account = RobinhoodAccount(credentials, Path(sys.argv[1]), stand_in_url=sys.argv[2])\n"
            "print(account.token().access_token)"
        )
        command = [sys.executable, "-c", program, str(run.home), vendor.market.robinhood_url]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.communicate()[0] for process in processes] == ["token-1\n"] * 3
        assert len(vendor.logins) == 1


def _slowly(answer: Callable[[Hit], Reply], hit: Hit) -> Reply:
    told = answer(hit)
    return Reply(told.body, delay_seconds=0.3)


class TestKeeping:
    def test_a_later_run_uses_the_token_without_asking_whether_it_is_good(self, vendor: Robinhood, run: Runs) -> None:
        quote(run())
        vendor.market.hits.clear()
        quote(run())
        assert vendor.market.paths == [QUOTES]

    def test_the_files_are_private_whatever_the_umask(self, run: Runs) -> None:
        before = os.umask(0)
        try:
            quote(run())
        finally:
            os.umask(before)
        for folder in (run.home / "robinhood", run.home / "robinhood" / "stand_in"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = list((run.home / "robinhood" / "stand_in").iterdir())
        assert sorted(file.name for file in files) == ["device.json", "login.lock", "token.json"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_a_file_is_private_before_it_holds_anything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        modes = []
        sync = os.fsync

        def look(descriptor: int) -> None:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", look)
        TokenFolder(tmp_path, USERNAME).write_token(Token("secret"))
        assert modes == [0o600]

    def test_the_librarys_own_folder_is_never_touched(
        self, run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "person"))
        quote(run())
        assert not (tmp_path / "person").exists()
        assert not list(tmp_path.rglob("*.pickle"))

    def test_a_rejected_login_leaves_the_token_as_it_was(self, vendor: Robinhood, run: Runs) -> None:
        quote(run())
        file = run.home / "robinhood" / "stand_in" / "token.json"
        before = file.read_bytes()
        vendor.tokens.clear()
        vendor.market.script[LOGIN] = [REFUSED]
        refuse(run())
        assert file.read_bytes() == before
        vendor.tokens.add("token-1")
        assert quote(run()) == "AAPL"

    def test_the_real_token_never_goes_to_a_stand_in(self, vendor: Robinhood, run: Runs) -> None:
        TokenFolder(run.home, USERNAME).write_token(Token("the-real-one"))
        quote(run())
        assert "the-real-one" not in str([hit.headers for hit in vendor.market.hits])
        assert TokenFolder(run.home, USERNAME).read_token() == Token("the-real-one")

    def test_nor_does_one_stand_ins_token_go_to_another_or_one_accounts_to_another(self, tmp_path: Path) -> None:
        TokenFolder(tmp_path, USERNAME, stand_in_url="http://127.0.0.1:1/x").write_token(Token("one"))
        assert TokenFolder(tmp_path, USERNAME, stand_in_url="http://127.0.0.1:2/x").read_token() is None
        assert TokenFolder(tmp_path, "other@example.com", stand_in_url="http://127.0.0.1:1/x").read_token() is None

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"access_token": 7}'])
    def test_a_spoiled_file_is_as_good_as_none(self, vendor: Robinhood, run: Runs, content: str) -> None:
        quote(run())
        (run.home / "robinhood" / "stand_in" / "token.json").write_text(content)
        assert quote(run()) == "AAPL"
        assert len(vendor.logins) == 2

    def test_a_folder_that_cannot_be_used_is_said_by_name(self, vendor: Robinhood, run: Runs) -> None:
        (run.home / "robinhood").write_text("a file in its place")
        assert str(run.home / "robinhood") in refuse(run())
        assert vendor.market.hits == []

    def test_a_token_is_not_in_what_is_printed_of_it(self) -> None:
        assert "secret" not in repr(Token("secret", refresh_token="secret"))
        assert PASSWORD not in repr(CREDENTIALS)


class TestRenewal:
    def test_a_rejected_token_is_renewed_once_by_one_thread(self, vendor: Robinhood, run: Runs) -> None:
        session = run()
        quote(session)
        vendor.tokens.clear()
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: quote(session), range(16))) == ["AAPL"] * 16
        assert len(vendor.logins) == 2
        assert stored(run.home, "token.json")["access_token"] == "token-2"  # pragma: allowlist secret

    def test_a_token_that_another_process_renewed_is_taken_over(self, vendor: Robinhood, run: Runs) -> None:
        one, other = run(), run()
        quote(one)
        quote(other)
        vendor.tokens.clear()
        quote(one)
        quote(other)
        assert len(vendor.logins) == 2

    def test_a_new_token_that_is_rejected_too_is_not_followed_by_a_third(self, vendor: Robinhood, run: Runs) -> None:
        session = run()
        quote(session)
        vendor.market.script[QUOTES] = [Reply({}, 401)]
        assert "that it has just given" in refuse(session)
        refuse(run())
        assert len(vendor.logins) == 2


class TestRefusals:
    def test_a_refused_login_is_not_tried_again_for_an_hour(self, vendor: Robinhood, run: Runs) -> None:
        vendor.market.script[LOGIN] = [REFUSED]
        assert "not tried again before 2026-07-16 16:30 UTC" in refuse(run())
        told = refuse(run())
        assert "before 2026-07-16 16:30 UTC" in told
        assert "optsync robinhood login" in told
        assert len(vendor.market.hits) == 1
        run.now += timedelta(hours=1)
        refuse(run())
        assert len(vendor.market.hits) == 2

    def test_after_a_429_no_login_is_tried_for_twelve_hours(self, vendor: Robinhood, run: Runs) -> None:
        vendor.market.script[LOGIN] = [THROTTLED]
        assert "before 2026-07-17 03:30 UTC" in refuse(run(), RateLimited)
        run.now += timedelta(hours=11)
        refuse(run())
        assert len(vendor.market.hits) == 1

    def test_or_for_longer_where_robinhood_says_so(self, vendor: Robinhood, run: Runs) -> None:
        vendor.market.script[LOGIN] = [Reply("", 429, {"Retry-After": "86400"})]
        assert "before 2026-07-17 15:30 UTC" in refuse(run(), RateLimited)

    def test_what_may_heal_is_not_remembered(self, vendor: Robinhood, run: Runs) -> None:
        login = vendor._login
        vendor.market.script[LOGIN] = [Reply("", 503)]
        with pytest.raises(FetchError):
            quote(run())
        vendor.market.script[LOGIN] = login
        assert quote(run()) == "AAPL"

    def test_a_token_in_hand_is_used_whatever_the_last_login_said(self, vendor: Robinhood, run: Runs) -> None:
        quote(run())
        folder = TokenFolder(run.home, USERNAME, stand_in_url=vendor.market.robinhood_url)
        folder.write_refusal(Refusal(datetime(2026, 8, 1, tzinfo=UTC), "throttled"))
        assert quote(run()) == "AAPL"

    def test_a_login_clears_the_refusal_before_it(self, vendor: Robinhood, run: Runs) -> None:
        folder = TokenFolder(run.home, USERNAME, stand_in_url=vendor.market.robinhood_url)
        folder.write_refusal(Refusal(NOW - timedelta(hours=1), "wrong password"))
        quote(run())
        assert not (folder.path / "refusal.json").exists()

    def test_a_login_under_way_elsewhere_is_not_waited_for_without_end(self, tmp_path: Path) -> None:
        folder = TokenFolder(tmp_path, USERNAME)
        with folder.locked(), pytest.raises(AuthError, match="another process is logging in"), folder.locked(0.2):
            pass


def test_the_token_file_is_json_that_names_whom_it_is_for(run: Runs, vendor: Robinhood) -> None:
    quote(run())
    told = json.loads((run.home / "robinhood" / "stand_in" / "token.json").read_text())
    assert (told["address"], told["username"]) == (vendor.market.robinhood_url, USERNAME)
