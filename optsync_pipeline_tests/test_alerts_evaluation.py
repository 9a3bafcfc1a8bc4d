"""Rounds of alerts against a real service on loopback: one message an incident, its end, floods, services that fail."""

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from optsync_pipeline.alerts.evaluation import Round, go_round
from optsync_pipeline.alerts.messages import LONGEST_TEXT
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import alerts
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.alerting import (
    START,
    TOKEN,
    Inbox,
    alert_settings,
    end_job,
    open_inbox,
    set_result,
    well,
    with_failures,
)

BEFORE = START - timedelta(hours=1)
ONLY_SUCCESS = "sync_finished,too_long,api_errors,write_errors,many_retries,breaker_open,login_needed,symbols_given_up"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as opened:
        yield opened


@pytest.fixture
def settings(database: Database, database_url: str, inbox: Inbox) -> Settings:
    """Settings with one service and the rule low_success, under watch since an hour before."""
    alerts.start_watch(database, BEFORE)
    return alert_settings(database_url, inbox.url, alert_rules_off=ONLY_SUCCESS)


def with_url(settings: Settings, *urls: str, **changes: Any) -> Settings:
    url = settings.database_url
    assert url is not None
    return alert_settings(url.get_secret_value(), *urls, **({"alert_rules_off": ONLY_SUCCESS} | changes))


def rows(database: Database) -> list[dict[str, Any]]:
    return sorted(alerts.latest(database), key=lambda row: int(row["alert_id"]))


def round_at(database: Database, settings: Settings, now: datetime = START, *, may_wait: bool = True) -> Round:
    return go_round(database, settings, now, may_wait=may_wait, deadline_seconds=2)


# -- one message an incident -------------------------------------------------------------------------------------------


def test_an_incident_is_told_once_and_its_end_once(database: Database, settings: Settings, inbox: Inbox) -> None:
    first = end_job(database, with_failures(10, 5))
    assert round_at(database, settings) == Round(told=1)
    end_job(database, with_failures(10, 6), ended=START + MINUTE)
    assert round_at(database, settings, START + MINUTE) == Round()
    last = end_job(database, well(10), ended=START + 2 * MINUTE)
    assert round_at(database, settings, START + 2 * MINUTE) == Round(told=1)
    assert round_at(database, settings, START + 3 * MINUTE) == Round()

    title = f"50 % of symbols done in sync job {first} (all)"
    assert inbox.titles == [title, f"resolved: {title}"]
    assert [message["type"] for message in inbox.messages] == ["warning", "success"]
    assert "- api_timeout 5: S000, S001, S002 and 2 more" in inbox.messages[0]["message"]
    assert f"Sync job {last} (all)" in inbox.messages[1]["message"]
    (row,) = rows(database)
    assert row["delivered_at"] == START
    assert row["resolution_delivered_at"] == START + 2 * MINUTE


def test_an_incident_that_comes_back_is_told_again(database: Database, settings: Settings, inbox: Inbox) -> None:
    for minute, results in enumerate((with_failures(9, 5), well(9), with_failures(9, 5))):
        end_job(database, results, ended=START + minute * MINUTE)
        round_at(database, settings, START + minute * MINUTE)
    assert len(inbox.messages) == 3


def test_an_incident_that_ended_before_it_was_told_is_one_message(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    job_id = end_job(database, with_failures(10, 1))
    inbox.answers = [500]
    round_at(database, settings)
    set_result(database, job_id, "S000")
    database.execute("UPDATE sync_jobs SET completed_at = completed_at + interval '1 minute'")
    assert round_at(database, settings, START + 2 * MINUTE) == Round(told=1)
    (title,) = inbox.titles
    assert title.startswith("over already: 90 % of symbols done")
    assert round_at(database, settings, START + 9 * MINUTE) == Round()


def test_two_processes_that_look_at_once_send_one_message(database: Database, settings: Settings, inbox: Inbox) -> None:
    end_job(database, with_failures(10, 5))
    together = threading.Barrier(4)

    def look() -> None:
        together.wait()
        round_at(database, settings)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inbox.messages) == 1
    assert len(rows(database)) == 1


def test_what_ended_before_the_first_look_is_not_told(database: Database, database_url: str, inbox: Inbox) -> None:
    settings = alert_settings(database_url, inbox.url)
    end_job(database, with_failures(10, 5), ended=START - MINUTE)
    assert round_at(database, settings) == Round()
    end_job(database, well(10), ended=START + MINUTE)
    round_at(database, settings, START + MINUTE)
    (title,) = inbox.titles
    assert title.endswith("completed: 10 ok, 0 failed")
    assert inbox.messages[0]["type"] == "info"


def test_without_a_service_nothing_is_looked_for(database: Database, database_url: str) -> None:
    end_job(database, with_failures(10, 5))
    assert round_at(database, alert_settings(database_url)) == Round()
    assert rows(database) == []


# -- floods ------------------------------------------------------------------------------------------------------------


def end_bad_jobs(database: Database, kinds: tuple[str, ...], ended: datetime = START) -> None:
    for kind in kinds:
        end_job(database, with_failures(10, 5), sync_type=kind, ended=ended)


def test_many_incidents_at_once_are_one_message(database: Database, settings: Settings, inbox: Inbox) -> None:
    end_bad_jobs(database, ("all", "symbols", "stale", "failed"))
    assert round_at(database, settings) == Round(told=4)
    (message,) = inbox.messages
    assert inbox.titles == ["4 alerts at once"]
    for kind in ("all", "symbols", "stale", "failed"):
        assert f"({kind}): 50 % of the symbols are done; at least 95 % are wanted." in message["message"]
    assert message["message"].splitlines()[-1] == "More: optsync alerts list"


def test_three_incidents_are_three_messages(database: Database, settings: Settings, inbox: Inbox) -> None:
    end_bad_jobs(database, ("all", "symbols", "stale"))
    round_at(database, settings)
    assert len(inbox.messages) == 3


def test_a_flood_does_not_outgrow_what_services_take(database: Database, settings: Settings, inbox: Inbox) -> None:
    everything = with_url(settings, inbox.url, alert_rules_off="", alert_summary_types="all,stale,symbols,failed")
    for kind in ("all", "symbols", "stale", "failed", "watchlist"):
        end_job(database, with_failures(100, 60), sync_type=kind, seconds=3600)
    round_at(database, everything)
    (message,) = inbox.messages
    assert len(message["message"]) <= LONGEST_TEXT
    assert message["message"].splitlines()[-1] == "More: optsync alerts list"


def test_in_a_short_time_further_incidents_wait_and_are_one_message(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    end_bad_jobs(database, ("all", "symbols", "stale", "failed", "watchlist"))
    round_at(database, settings)
    later = START + 2 * MINUTE
    for kind in ("all", "symbols", "stale", "failed"):
        end_job(database, well(10), sync_type=kind, ended=later)
    assert round_at(database, settings, later) == Round(waits=True)
    assert round_at(database, settings, later + 9 * MINUTE, may_wait=True).told == 4
    assert inbox.titles == ["5 alerts at once", "4 alerts at once"]


def test_who_looks_once_only_does_not_wait(database: Database, settings: Settings, inbox: Inbox) -> None:
    end_bad_jobs(database, ("all", "symbols", "stale", "failed", "watchlist"))
    round_at(database, settings)
    end_job(database, well(10), ended=START + MINUTE)
    assert round_at(database, settings, START + MINUTE, may_wait=False) == Round(told=1)


# -- services that fail ------------------------------------------------------------------------------------------------


def test_what_a_service_did_not_take_is_tried_again_later_and_later(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    end_job(database, with_failures(10, 5))
    inbox.answers = [500, 503]
    assert round_at(database, settings).errors == ("1 json: refused with status 500",)
    assert round_at(database, settings, START + MINUTE / 2) == Round()
    assert round_at(database, settings, START + MINUTE).untold == 1
    assert rows(database)[0]["delivery_error"] == "1 json: refused with status 503"
    assert round_at(database, settings, START + 2 * MINUTE) == Round()
    assert round_at(database, settings, START + 3 * MINUTE) == Round(told=1)
    assert rows(database)[0]["delivery_error"] is None
    assert len(inbox.messages) == 1


def test_a_service_that_stays_dead_is_given_up_and_its_incident_ends_untold(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    end_job(database, with_failures(10, 5))
    inbox.answers = [500] * 99
    assert round_at(database, settings).untold == 1
    database.execute("UPDATE alerts_sent SET delivery_attempts = %s - 1", (alerts.MAX_ATTEMPTS,))
    assert round_at(database, settings, START + timedelta(hours=1)).untold == 1
    inbox.answers = []
    assert round_at(database, settings, START + timedelta(hours=8)) == Round()
    end_job(database, well(10), ended=START + timedelta(hours=9))
    assert round_at(database, settings, START + timedelta(hours=9)) == Round()
    assert inbox.messages == []


def test_a_service_that_took_it_is_not_told_again_because_another_did_not(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    with open_inbox() as second:
        both = with_url(settings, inbox.url, second.url)
        end_job(database, with_failures(10, 5))
        inbox.answers = [500]
        assert round_at(database, both).errors == ("1 json: refused with status 500",)
        assert round_at(database, both, START + MINUTE) == Round(told=1)
        assert len(inbox.messages) == len(second.messages) == 1


def test_one_dead_service_of_two_is_given_up_and_the_other_learns_of_the_end(
    database: Database, settings: Settings, inbox: Inbox
) -> None:
    both = with_url(settings, "json://127.0.0.1:1/", inbox.url)
    end_job(database, with_failures(10, 5))
    round_at(database, both)
    database.execute("UPDATE alerts_sent SET delivery_attempts = %s - 1", (alerts.MAX_ATTEMPTS,))
    round_at(database, both, START + timedelta(hours=1))
    (row,) = rows(database)
    assert row["delivery_error"] == "1 json: no connection"
    assert row["delivered_at"] is not None
    end_job(database, well(10), ended=START + timedelta(hours=9))
    round_at(database, both, START + timedelta(hours=9))
    assert [title.startswith("resolved: ") for title in inbox.titles] == [False, True]


def test_a_service_that_hangs_is_left_after_the_deadline(database: Database, settings: Settings, inbox: Inbox) -> None:
    inbox.drip = True
    end_job(database, with_failures(10, 5))
    assert round_at(database, settings).errors == ("1 json: no answer within 2 s",)


def test_no_token_reaches_logs_tables_or_errors(
    database: Database, settings: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    urls = [f"json://127.0.0.1:1/{TOKEN}", f"tgram://{TOKEN}", f"nonsense://{TOKEN}", f"json://u:{TOKEN}@127.0.0.1:1/"]
    end_job(database, with_failures(10, 5))
    failed = round_at(database, with_url(settings, *urls))
    assert [error.partition(": ")[0] for error in failed.errors] == ["1 json", "2 tgram", "3 nonsense", "4 json"]
    table = str(database.fetch_all("SELECT * FROM alerts_sent"))
    assert "4 json: no connection" in table
    assert TOKEN not in str(failed) + table + caplog.text + str(capfd.readouterr()) + repr(settings)
