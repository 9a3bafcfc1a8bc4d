"""`optsync alerts`: trying the services, what was told and is open, the rules; and what the doctor says of the URLs."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from optsync_pipeline.alerts.evaluation import go_round
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage import alerts
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.alerting import START, TOKEN, Inbox, end_job, open_inbox, well, with_failures
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """A service, and settings that name it."""
    with open_inbox() as opened:
        monkeypatch.setenv("OPTSYNC_ALERT_URLS", opened.url)
        yield opened


def test_each_service_gets_a_test_message(run: Run, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_inbox() as second:
        monkeypatch.setenv("OPTSYNC_ALERT_URLS", f"{inbox.url}, {second.url}")
        ended = run("alerts", "test")
        assert inbox.titles == second.titles == ["test"]
    assert (ended.exit_code, ended.out) == (0, "1 json: took it\n2 json: took it\n")


def test_a_service_that_does_not_take_it_is_named_without_its_token(
    run: Run, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTSYNC_ALERT_URLS", f"{inbox.url} tgram://{TOKEN}")
    inbox.answers = [401]
    ended = run("alerts", "test")
    assert ended.exit_code == 3
    assert ended.out == "1 json: refused with status 401\n2 tgram: Apprise does not understand this URL\n"
    assert TOKEN not in ended.out + ended.err


def test_without_a_service_it_says_what_to_set(run: Run) -> None:
    ended = run("alerts", "test")
    assert ended.exit_code == 2
    assert "set OPTSYNC_ALERT_URLS" in ended.err


def test_the_list_has_open_incidents_first(run: Run, database: Database, inbox: Inbox) -> None:
    assert "no incident yet" in run("alerts", "list").err
    alerts.start_watch(database, START - timedelta(hours=1))
    settings = load_settings(env_file=None)
    open_job = end_job(database, with_failures(10, 1))
    go_round(database, settings, START, may_wait=False)
    end_job(database, well(10), sync_type="symbols", ended=START + timedelta(minutes=1))
    inbox.answers = [500]
    go_round(database, settings, START + timedelta(minutes=1), may_wait=False)

    listed = run("alerts", "list", "--json").json
    assert [(row["rule"], row["resolved_at"] is None) for row in listed] == [
        ("low_success", True),
        ("sync_finished", False),
        ("sync_finished", False),
    ]
    lines = run("alerts", "list").out.splitlines()
    assert f"90 % of symbols done in sync job {open_job} (all)" in lines[1]
    assert lines[1].endswith("yes")
    assert lines[2].endswith("not yet: 1 json: refused with status 500")
    assert len(run("alerts", "list", "--limit", "1").out.splitlines()) == 2


def test_the_rules_are_shown_with_their_thresholds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_ALERT_RULES_OFF", "sync_finished")
    monkeypatch.setenv("OPTSYNC_ALERT_MAX_MINUTES", "45")
    rules = {row["rule"]: row for row in run("alerts", "rules", "--json").json}
    assert (rules["sync_finished"]["on"], rules["too_long"]["on"]) == (False, True)
    assert rules["too_long"]["threshold"] == "45 min"
    assert rules["too_long"]["setting"] == "OPTSYNC_ALERT_MAX_MINUTES"
    ended = run("alerts", "rules")
    assert "nobody is told: OPTSYNC_ALERT_URLS is empty" in ended.err
    assert any(line.startswith("sync_finished     off") for line in ended.out.splitlines())


def test_the_doctor_says_which_urls_are_understood(run: Run, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_ALERT_URLS", f"{inbox.url} tgram://{TOKEN}")
    ended = run("doctor", "--offline", "--json")
    told = [(row["level"], row["message"]) for row in ended.json if row["subject"] == "alerts"]
    assert told == [
        ("ok", "URL 1 json: understood; `optsync alerts test` tries it"),
        ("fail", "URL 2 tgram: Apprise does not understand it"),
    ]
    assert TOKEN not in ended.out
    assert inbox.messages == []
