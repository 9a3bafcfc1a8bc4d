"""`optsync robinhood`: the first login with a person at the terminal, against a scripted Robinhood."""

import io
import itertools
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optsync_pipeline.cli.app import App
from optsync_pipeline.cli.doctor_checks import check_robinhood
from optsync_pipeline.providers import robinhood_approval
from optsync_pipeline.settings import load_settings
from optsync_pipeline_tests.commands import Run, run
from optsync_pipeline_tests.robinhood_talk import (
    LOGIN,
    MFA_SECRET,
    PASSWORD,
    QUOTES,
    USERNAME,
    Robinhood,
    Stock,
    assert_tells_no_secret,
    provider_of,
    stored,
)
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, scripted_market

__all__ = ["run"]

WORKFLOW = Reply({"verification_workflow": {"id": "workflow-1"}}, 403)
MACHINE, VIEW = "/pathfinder/user_machine/", "/pathfinder/inquiries/inquiry-1/user_view/"
PROMPT, RESPOND = "/push/challenge-1/get_prompts_status/", "/challenge/challenge-1/respond/"
APPROVED = Reply({"type_context": {"result": "workflow_status_approved"}})
PENDING = Reply({"verification_workflow": {"workflow_status": "workflow_status_internal_pending"}})


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def home(market: ScriptedMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = {"HOME": str(tmp_path), "ROBINHOOD_URL": market.robinhood_url}
    settings |= {"ROBINHOOD_USERNAME": USERNAME, "ROBINHOOD_PASSWORD": PASSWORD}
    for name, value in settings.items():
        monkeypatch.setenv(f"OPTSYNC_{name}", value)
    monkeypatch.setattr(robinhood_approval, "POLL_SECONDS", 0.01)
    return tmp_path


@pytest.fixture
def vendor(market: ScriptedMarket, home: Path) -> Robinhood:
    return Robinhood(market, Stock("AAPL"))


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def demand(vendor: Robinhood, kind: str, *views: Reply) -> None:
    """Let the first login be answered with a challenge of this kind, later ones with a token."""
    login, logins = vendor._login, []

    def first_a_workflow(hit: Hit) -> Reply:
        logins.append(hit)
        return WORKFLOW if len(logins) == 1 else login(hit)

    challenge = {"id": "challenge-1", "type": kind, "status": "issued"}
    context = Reply({"context": {"sheriff_challenge": challenge}})
    following = list(views or (APPROVED,))
    vendor.market.script[LOGIN] = first_a_workflow
    vendor.market.script[MACHINE] = [Reply({"id": "inquiry-1"})]
    vendor.market.script[VIEW] = lambda hit: (
        context if hit.method == "GET" else following.pop(0) if len(following) > 1 else following[0]
    )


def want_code(vendor: Robinhood, right: str, refusal: Reply) -> None:
    """Let logins be answered by a question for a code, by `refusal` where it is wrong, by a token where it is right."""
    login = vendor._login

    def answer(hit: Hit) -> Reply:
        if b"mfa_code" not in hit.body:
            return Reply({"mfa_required": True})
        return login(hit) if b"mfa_code=" + right.encode() in hit.body else refusal

    vendor.market.script[LOGIN] = answer


def once_down(vendor: Robinhood, path: str, *faults: Reply) -> None:
    """Let a path fail some times before it answers as it does now."""
    answer, left = vendor.market.script[path], list(faults)

    def first_the_faults(hit: Hit) -> Reply:
        if left:
            return left.pop(0)
        return answer(hit) if callable(answer) else answer.pop(0) if len(answer) > 1 else answer[0]

    vendor.market.script[path] = first_the_faults


def prompts(*statuses: str) -> list[Reply]:
    return [Reply({"challenge_status": status}) for status in statuses]


class TestLogin:
    def test_a_login_without_further_ado_keeps_the_token_for_syncs(
        self, run: Run, vendor: Robinhood, home: Path
    ) -> None:
        ended = run("robinhood", "login")
        assert (ended.exit_code, ended.err) == (0, "")
        assert ended.out.startswith(f"logged in at Robinhood as {USERNAME}; the token is in {home}")
        vendor.market.hits.clear()
        provider_of(vendor.market, home).fetch_quotes(["AAPL"], now=None)  # type: ignore[arg-type]
        assert vendor.market.paths == [QUOTES]

    def test_an_approval_in_the_app_is_waited_for(self, run: Run, vendor: Robinhood, home: Path) -> None:
        demand(vendor, "prompt", PENDING, APPROVED)
        vendor.market.script[PROMPT] = prompts("issued", "issued", "validated")
        ended = run("robinhood", "login")
        assert ended.exit_code == 0
        assert "approve the request" in ended.err
        assert vendor.market.paths == [LOGIN, MACHINE, VIEW, *[PROMPT] * 3, VIEW, VIEW, LOGIN]
        assert stored(home, "token.json")["access_token"] == "token-1"  # pragma: allowlist secret

    def test_the_approval_is_for_the_device_that_logs_in(self, run: Run, vendor: Robinhood, home: Path) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = prompts("validated")
        run("robinhood", "login")
        machine = next(hit for hit in vendor.market.hits if hit.path == MACHINE)
        asked = json.loads(machine.body)
        assert machine.headers["content-type"] == "application/json"
        assert asked["input"] == {"workflow_id": "workflow-1"}
        assert asked["device_id"] == vendor.logins[0]["device_token"] == stored(home, "device.json")["device_token"]

    @pytest.mark.parametrize(("kind", "named"), [("sms", "SMS"), ("email", "e-mail")])
    def test_a_code_that_is_sent_is_asked_for(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch, kind: str, named: str
    ) -> None:
        demand(vendor, kind)
        vendor.market.script[RESPOND] = [Reply({"detail": "wrong"}, 400), Reply({"status": "validated"})]
        type_in(monkeypatch, "111111\n424242\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 0
        assert f"Code that Robinhood sent as {named}" in ended.err
        assert "does not accept this code" in ended.err
        bodies = [hit.body for hit in vendor.market.hits if hit.path == RESPOND]
        assert bodies == [b"response=111111", b"response=424242"]

    def test_three_wrong_codes_end_it(self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch) -> None:
        demand(vendor, "sms")
        vendor.market.script[RESPOND] = [Reply({"detail": "wrong"}, 400)]
        type_in(monkeypatch, "1\n2\n3\n4\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 2
        assert "did not accept the code, 3 times" in ended.err

    def test_a_code_of_the_authenticator_app_is_asked_for_where_no_secret_is_set(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        login = vendor._login
        vendor.market.script[LOGIN] = lambda hit: (
            login(hit) if b"mfa_code=123456" in hit.body else Reply({"mfa_required": True})
        )
        type_in(monkeypatch, "123456\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 0
        assert "Code of your authenticator app" in ended.err

    @pytest.mark.parametrize("refusal", [Reply({"detail": "Invalid code."}, 400), Reply({"mfa_required": True})])
    def test_a_mistyped_code_of_the_authenticator_app_is_asked_for_again(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch, refusal: Reply
    ) -> None:
        want_code(vendor, "123456", refusal)
        type_in(monkeypatch, "123465\n132456\n123456\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 0
        assert ended.err.count("Robinhood does not accept this code") == 2
        assert vendor.market.paths == [LOGIN] * 4

    def test_but_not_more_than_three_times(self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch) -> None:
        want_code(vendor, "123456", Reply({"detail": "Invalid code."}, 400))
        type_in(monkeypatch, "1\n2\n3\n123456\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 2
        assert "did not accept the code of the authenticator app, 3 times" in ended.err
        assert vendor.market.paths == [LOGIN] * 4

    def test_an_approval_that_does_not_come_ends_at_the_deadline(
        self, run: Run, vendor: Robinhood, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = prompts("issued")
        later = iter(range(0, 10_000, 4))
        monkeypatch.setattr(robinhood_approval.Approval.__init__, "__kwdefaults__", {"clock": lambda: next(later)})
        ended = run("robinhood", "login", "--wait", "10")
        assert ended.exit_code == 2
        assert "not approved within 10 s" in ended.err
        assert not (home / "robinhood" / "stand_in" / "token.json").exists()

    @pytest.mark.parametrize("path", [VIEW, PROMPT])
    def test_a_poll_that_fails_by_a_fault_that_may_heal_is_asked_again(
        self, run: Run, vendor: Robinhood, path: str
    ) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = prompts("issued", "validated")
        once_down(vendor, path, Reply("", 503), Reply("x" * 5000, cut_off=True))
        assert run("robinhood", "login").exit_code == 0
        assert vendor.market.paths.count(path) == 4

    def test_a_deadline_that_passes_while_robinhood_is_down_says_so(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = [Reply("", 503)]
        later = iter(range(0, 10_000, 4))
        monkeypatch.setattr(robinhood_approval.Approval.__init__, "__kwdefaults__", {"clock": lambda: next(later)})
        ended = run("robinhood", "login", "--wait", "10")
        assert ended.exit_code == 2
        assert "not approved within 10 s" in ended.err
        assert "status 503" in ended.err

    def test_a_poll_that_is_answered_429_ends_it(self, run: Run, vendor: Robinhood) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = [Reply("", 429)]
        assert run("robinhood", "login").exit_code == 3
        assert vendor.market.paths.count(PROMPT) == 1

    @pytest.mark.parametrize(
        ("path", "status"), [*itertools.product((MACHINE, VIEW, PROMPT), (403, 404)), (RESPOND, 404)]
    )
    def test_an_approval_that_robinhood_does_not_know_any_more_is_to_be_begun_anew(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch, path: str, status: int
    ) -> None:
        demand(vendor, "sms" if path == RESPOND else "prompt")
        vendor.market.script[path] = [Reply({"detail": "no"}, status)]
        type_in(monkeypatch, "424242\n")
        ended = run("robinhood", "login")
        assert ended.exit_code == 2
        assert "begin anew with `optsync robinhood login`" in ended.err
        assert "symbol" not in ended.err

    def test_a_request_denied_in_the_app_ends_it_at_once(self, run: Run, vendor: Robinhood) -> None:
        demand(vendor, "prompt")
        vendor.market.script[PROMPT] = prompts("issued", "denied")
        ended = run("robinhood", "login")
        assert (ended.exit_code, len(ended.err.splitlines())) == (2, 2)
        assert "not approved (denied)" in ended.err

    def test_a_kind_of_verification_that_is_not_known_is_said(self, run: Run, vendor: Robinhood) -> None:
        demand(vendor, "selfie")
        assert "(selfie)" in run("robinhood", "login").err

    @pytest.mark.parametrize(
        ("reply", "exit_code", "told"),
        [
            (Reply({"detail": "no"}, 400), 2, "check OPTSYNC_ROBINHOOD_USERNAME"),
            (Reply("", 429), 3, "not tried again before"),
            (Reply("", 503), 3, "status 503"),
            (Reply("<html>"), 3, "HTML"),
        ],
    )
    def test_a_refusal_is_one_line_without_a_secret(
        self, run: Run, vendor: Robinhood, reply: Reply, exit_code: int, told: str
    ) -> None:
        vendor.market.script[LOGIN] = [reply]
        ended = run("robinhood", "login")
        assert (ended.exit_code, ended.out, len(ended.err.splitlines())) == (exit_code, "", 1)
        assert told in ended.err
        assert_tells_no_secret(ended.err)

    def test_a_person_may_try_at_once_after_a_refused_run(self, run: Run, vendor: Robinhood, home: Path) -> None:
        login = vendor._login
        vendor.market.script[LOGIN] = [Reply({"detail": "no"}, 400)]
        provider = provider_of(vendor.market, home)
        for _ in range(2):
            with pytest.raises(Exception, match="Robinhood"):
                provider.fetch_quotes(["AAPL"], now=None)  # type: ignore[arg-type]
        vendor.market.script[LOGIN] = login
        assert run("robinhood", "login").exit_code == 0
        assert not (home / "robinhood" / "stand_in" / "refusal.json").exists()

    def test_without_credentials_and_terminal_it_names_the_settings(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPTSYNC_ROBINHOOD_PASSWORD")
        type_in(monkeypatch, "")
        ended = run("robinhood", "login")
        assert ended.exit_code == 2
        assert "OPTSYNC_ROBINHOOD_PASSWORD" in ended.err
        assert vendor.market.hits == []

    def test_at_a_terminal_it_asks_for_them_and_does_not_show_the_password(
        self, run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("USERNAME", "PASSWORD"):
            monkeypatch.delenv(f"OPTSYNC_ROBINHOOD_{name}")
        hidden: list[str] = []

        def type_hidden(question: str) -> str:
            hidden.append(question)
            return PASSWORD

        type_in(monkeypatch, f"{USERNAME}\n")
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("click.termui.hidden_prompt_func", type_hidden)
        assert run("robinhood", "login").exit_code == 0
        assert len(hidden) == 1
        assert (vendor.logins[0]["username"], vendor.logins[0]["password"]) == (USERNAME, PASSWORD)


def test_with_the_default_home_the_token_lies_privately_outside_the_checkout(
    run: Run, vendor: Robinhood, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTSYNC_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "states"))
    folder = home / "states" / "optsync" / "robinhood" / "stand_in"
    assert str(folder) in run("robinhood", "login").out
    assert stat.S_IMODE((folder / "token.json").stat().st_mode) == 0o600
    assert run("robinhood", "logout").out == "the token of Robinhood is deleted\n"
    assert not (folder / "token.json").exists()


def test_doctor_says_where_the_token_is(
    run: Run, vendor: Robinhood, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(settings=load_settings(env_file=None))
    assert [finding.message for finding in check_robinhood(app)] == [
        "none yet; a login, of `optsync robinhood login` or a sync, puts it in " + str(home / "robinhood" / "stand_in")
    ]
    run("robinhood", "login")
    assert [finding.message for finding in check_robinhood(app)] == [f"kept in {home / 'robinhood' / 'stand_in'}"]


class TestLogout:
    def test_the_token_is_deleted_and_a_next_login_is_by_the_same_device(
        self, run: Run, vendor: Robinhood, home: Path
    ) -> None:
        run("robinhood", "login")
        assert run("robinhood", "logout").out == "the token of Robinhood is deleted\n"
        assert not (home / "robinhood" / "stand_in" / "token.json").exists()
        assert run("robinhood", "logout").out == "there was no token of Robinhood\n"
        run("robinhood", "login")
        assert vendor.logins[0]["device_token"] == vendor.logins[1]["device_token"]


def test_a_bad_authenticator_secret_is_named(run: Run, vendor: Robinhood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_ROBINHOOD_MFA_SECRET", MFA_SECRET + "0189")
    ended = run("robinhood", "login")
    assert ended.exit_code == 2
    assert "OPTSYNC_ROBINHOOD_MFA_SECRET" in ended.err
    assert_tells_no_secret(ended.err)
