"""Each rule: that it fires, that it does not just below its threshold, and when what it found is over."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from optsync_pipeline.alert_settings import ALERT_RULES
from optsync_pipeline.alerts.evaluation import NEWS_AGE
from optsync_pipeline.alerts.rules import RULES, fresh_since, judge
from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage import alerts
from optsync_pipeline.storage.alerts import News, Verdict
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.alerting import START, alert_settings, end_job, set_result, symbols, well, with_failures
from optsync_pipeline_tests.chunks import make_chunk, open_job

Look = Callable[..., list[Verdict]]


@pytest.fixture
def look(database: Database, database_url: str) -> Look:
    """Return what a rule says of the database now."""
    alerts.start_watch(database, START - timedelta(hours=2))

    def judge_now(rule: str, *, now: datetime = START, **settings: Any) -> list[Verdict]:
        chosen = alert_settings(database_url, **settings)
        found: list[Verdict] = []

        def keep(news: News) -> list[Verdict]:
            found[:] = [verdict for verdict in judge(news, chosen) if verdict.rule == rule]
            return found

        alerts.judge_news(
            database,
            keep,
            now=now,
            oldest_end=now - NEWS_AGE,
            late_seconds=60 * chosen.alert_max_minutes,
            fresh_since=fresh_since(now, chosen.alert_stale_sessions),
        )
        return found

    return judge_now


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [verdict.kind for verdict in verdicts]


def open_titles(database: Database) -> list[str]:
    return [row["title"] for row in alerts.latest(database) if row["resolved_at"] is None]


def test_every_name_of_the_settings_has_its_rule() -> None:
    assert tuple(rule.name for rule in RULES) == ALERT_RULES


def test_the_operations_page_has_every_rule_with_its_setting() -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    for rule in RULES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{rule.name}` |")]
        assert rule.setting is None or f"`{rule.setting}`" in row


# -- what a job's results say ------------------------------------------------------------------------------------------


def retried(count: int, retries: int) -> dict[str, dict[str, Any]]:
    """Return results of so many requests, so many of them retries that helped."""
    return well(count - 2 * retries) | {f"R{number:03}": {"requests": 2, "retry_count": 1} for number in range(retries)}


@pytest.mark.parametrize(
    ("rule", "bad", "just_well"),
    [
        ("low_success", with_failures(100, 6), with_failures(100, 5)),
        ("api_errors", with_failures(100, 11), with_failures(100, 10)),
        ("api_errors", retried(100, 11), retried(100, 10)),
        ("many_retries", retried(100, 21), retried(100, 20)),
        ("write_errors", with_failures(100, 2, "db_error"), with_failures(100, 1, "db_error")),
    ],
)
def test_a_share_beyond_its_threshold_opens_an_incident_and_one_at_it_ends_it(
    rule: str, bad: Mapping[str, Any], just_well: Mapping[str, Any], look: Look, database: Database
) -> None:
    bad_job = end_job(database, bad)
    (found,) = look(rule)
    assert (found.kind, found.incident, found.job_id) == ("opens", "all", bad_job)
    assert f"sync job {bad_job} (all)" in found.title
    assert f"More: optsync status {bad_job}" in found.body

    end_job(database, just_well)
    assert kinds(look(rule)) == ["ends"]


@pytest.mark.parametrize(
    ("rule", "setting", "value"),
    [
        ("low_success", "alert_min_success_pct", 94),
        ("api_errors", "alert_max_api_error_pct", 6),
        ("write_errors", "alert_max_write_error_pct", 6),
    ],
)
def test_a_threshold_is_the_settings(rule: str, setting: str, value: float, look: Look, database: Database) -> None:
    end_job(database, with_failures(100, 6, "db_error"))
    assert kinds(look(rule, **{setting: value})) == ["ends"]


def test_the_threshold_of_retries_is_the_settings(look: Look, database: Database) -> None:
    end_job(database, retried(100, 21))
    assert kinds(look("many_retries", alert_max_retry_pct=21)) == ["ends"]


def test_a_skipped_symbol_is_done(look: Look, database: Database) -> None:
    skipped = {"status": "skipped", "error_type": "no_options"}
    end_job(database, well(50) | {symbol: skipped for symbol in symbols(20)})
    assert kinds(look("low_success")) == ["ends"]


def test_that_a_stock_has_no_options_is_no_failed_request(look: Look, database: Database) -> None:
    skipped = {"status": "skipped", "error_type": "no_options"}
    end_job(database, dict.fromkeys(symbols(20), skipped))
    assert kinds(look("api_errors")) == ["ends"]


def test_a_row_that_the_database_refused_counts_though_its_symbol_was_written(look: Look, database: Database) -> None:
    job_id = end_job(database, well(50))
    database.execute(
        "INSERT INTO rejected_quotes (job_id, symbol, contract_symbol, rule, data_provider, seen_at)"
        " VALUES (%s, 'S001', 'S001260821P00100000', 'database_refused', 'yahoo', now())",
        (job_id,),
    )
    assert kinds(look("write_errors")) == ["opens"]


def test_the_text_has_job_figures_and_the_five_most_frequent_errors_with_symbols(
    look: Look, database: Database
) -> None:
    kinds_of_errors = ["api_timeout"] * 7 + ["network_error"] * 5 + ["rate_limited"] * 4
    kinds_of_errors += ["auth_error"] * 3 + ["invalid_data"] * 2 + ["stale_data"]
    failed = {symbol: {"error_type": kind} for symbol, kind in zip(symbols(22), kinds_of_errors, strict=True)}
    job_id = end_job(database, well(100) | failed, seconds=543)

    (found,) = look("low_success")

    assert found.body.splitlines() == [
        "78 % of the symbols are done; at least 95 % are wanted.",
        f"Sync job {job_id} (all): completed in 9 min 3 s; 78 ok, 22 failed, 0 skipped of 100 symbols",
        "100 requests, 0 retries: yahoo 100",
        "Most frequent errors:",
        "- api_timeout 7: S000, S001, S002 and 4 more",
        "- network_error 5: S007, S008, S009 and 2 more",
        "- rate_limited 4: S012, S013, S014 and 1 more",
        "- auth_error 3: S016, S017, S018",
        "- invalid_data 2: S019, S020",
        f"More: optsync status {job_id}",
    ]


def test_a_cancelled_sync_is_not_judged(look: Look, database: Database) -> None:
    end_job(database, with_failures(10, 5), status="cancelled")
    assert look("low_success") == []


def test_kinds_of_syncs_are_judged_apart(look: Look, database: Database) -> None:
    end_job(database, with_failures(10, 5))
    end_job(database, well(10), sync_type="stale")
    assert [(found.incident, found.kind) for found in look("low_success")] == [("all", "opens"), ("stale", "ends")]


def test_a_sync_is_judged_again_after_its_symbols_were_asked_again(look: Look, database: Database) -> None:
    job_id = end_job(database, with_failures(10, 1))
    assert kinds(look("low_success")) == ["opens"]
    assert look("low_success") == []
    set_result(database, job_id, "S000")
    database.execute("UPDATE sync_jobs SET completed_at = completed_at + interval '1 minute'")
    assert kinds(look("low_success")) == ["ends"]


def test_a_sync_that_ended_before_the_watch_is_not_judged(look: Look, database: Database) -> None:
    end_job(database, with_failures(10, 5), ended=START - timedelta(hours=3))
    assert look("low_success") == []


def test_a_sync_that_ended_more_than_a_day_ago_is_no_news(look: Look, database: Database) -> None:
    end_job(database, with_failures(10, 5))
    assert look("low_success", now=START + timedelta(hours=24, seconds=1)) == []


# -- how long ----------------------------------------------------------------------------------------------------------


def test_a_sync_that_took_longer_opens_an_incident_and_one_of_just_that_long_ends_it(
    look: Look, database: Database
) -> None:
    end_job(database, well(3), seconds=601)
    assert kinds(look("too_long")) == ["opens"]
    end_job(database, well(3), seconds=600)
    assert kinds(look("too_long")) == ["ends"]


def test_a_sync_that_is_still_running_is_told_once_it_is_late(look: Look, database: Database) -> None:
    open_job(database, ["AAPL"], now=START)
    assert look("too_long", now=START + timedelta(minutes=10)) == []
    (found,) = look("too_long", now=START + timedelta(minutes=10, seconds=1))
    assert found.kind == "opens"
    assert "It is not done after 10 min 1 s; 10 min are allowed." in found.body
    assert look("too_long", now=START + timedelta(minutes=11), alert_max_minutes=12) == []


# -- the summary -------------------------------------------------------------------------------------------------------


def test_a_finished_sync_is_told_once(look: Look, database: Database) -> None:
    job_id = end_job(database, with_failures(10, 1))
    (found,) = look("sync_finished")
    assert (found.kind, found.title) == ("tells", f"sync job {job_id} (all) completed: 9 ok, 1 failed")
    database.execute("UPDATE sync_jobs SET completed_at = completed_at + interval '1 minute'")
    look("sync_finished")
    assert [row["rule"] for row in alerts.latest(database)].count("sync_finished") == 1


def test_only_syncs_of_the_chosen_kinds_are_summed_up(look: Look, database: Database) -> None:
    end_job(database, well(3), sync_type="stale")
    assert look("sync_finished") == []
    end_job(database, well(3), sync_type="stale")
    assert kinds(look("sync_finished", alert_summary_types="stale")) == ["tells"]


def test_a_rule_that_is_off_says_nothing(look: Look, database: Database) -> None:
    end_job(database, with_failures(10, 5))
    assert look("low_success", alert_rules_off="low_success, sync_finished") == []


# -- symbols given up --------------------------------------------------------------------------------------------------


def give_up(database: Database, job_id: int, rounds: int) -> None:
    database.execute(
        "UPDATE sync_jobs SET reask_rounds = %s, reask_done_at = completed_at WHERE job_id = %s", (rounds, job_id)
    )
    database.execute(
        "UPDATE sync_stock_results AS result SET completed_at = job.completed_at FROM sync_jobs AS job"
        " WHERE job.job_id = result.job_id"
    )


def test_symbols_that_fail_after_three_rounds_are_given_up(look: Look, database: Database) -> None:
    job_id = end_job(database, with_failures(100, 2))
    give_up(database, job_id, 2)
    assert look("symbols_given_up") == []
    give_up(database, job_id, 3)
    database.execute("UPDATE sync_jobs SET completed_at = completed_at + interval '1 minute'")
    (found,) = look("symbols_given_up")
    assert found.body.startswith("2 symbols stay failed: asked again 3 times.")
    assert "- api_timeout 2: S000, S001" in found.body


def test_nobody_is_given_up_while_the_last_round_has_not_asked_all_of_them(look: Look, database: Database) -> None:
    job_id = end_job(database, with_failures(100, 2))
    give_up(database, job_id, 3)
    database.execute("UPDATE sync_stock_results SET completed_at = completed_at - interval '1 h' WHERE symbol = 'S001'")
    assert look("symbols_given_up") == []


def test_more_than_fifty_failed_symbols_are_given_up_at_once(look: Look, database: Database) -> None:
    end_job(database, with_failures(100, 50))
    assert look("symbols_given_up") == []
    end_job(database, with_failures(100, 51))
    assert kinds(look("symbols_given_up")) == ["opens"]


def test_given_up_symbols_are_over_when_each_was_done_since(look: Look, database: Database) -> None:
    give_up(database, end_job(database, with_failures(9, 2)), 3)
    look("symbols_given_up")
    end_job(database, {"S000": {}}, sync_type="symbols")
    assert look("symbols_given_up") == []
    end_job(database, {"S001": {}}, sync_type="symbols")
    assert kinds(look("symbols_given_up")) == ["ends"]
    assert not [title for title in open_titles(database) if "given up" in title]


def test_a_stock_that_is_not_synced_any_more_is_not_missed(look: Look, database: Database) -> None:
    give_up(database, end_job(database, with_failures(9, 1)), 3)
    look("symbols_given_up")
    database.execute("UPDATE stocks SET is_active = false WHERE symbol = 'S000'")
    assert kinds(look("symbols_given_up")) == ["ends"]


# -- providers ---------------------------------------------------------------------------------------------------------


def set_provider(database: Database, name: str, *, state: str = "closed", failures: int = 0, error: str = "") -> None:
    database.execute(
        "INSERT INTO api_rate_limits (provider, max_requests_per_minute, max_requests_per_hour,"
        " current_requests_per_minute, circuit_state, consecutive_failures, last_error, last_error_at, last_good_at)"
        " VALUES (%(name)s, 1, 1, 1, %(state)s, %(failures)s, %(error)s, now(),"
        " CASE WHEN %(failures)s = 0 THEN now() END) ON CONFLICT (provider) DO UPDATE"
        " SET circuit_state = %(state)s, consecutive_failures = %(failures)s, last_error = %(error)s,"
        " last_error_at = excluded.last_error_at, last_good_at = excluded.last_good_at",
        {"name": name, "state": state, "failures": failures, "error": error},
    )


def test_an_open_breaker_is_an_incident_until_it_is_closed(look: Look, database: Database) -> None:
    set_provider(database, "yahoo", failures=19, error="network_error: gone")
    assert kinds(look("breaker_open")) == ["ends"]
    set_provider(database, "yahoo", state="open", failures=20, error="network_error: gone")
    (found,) = look("breaker_open")
    assert (found.kind, found.incident) == ("opens", "yahoo")
    assert "yahoo failed 20 times in a row" in found.body
    assert "Last error: network_error: gone" in found.body
    set_provider(database, "yahoo", state="half_open", failures=20)
    look("breaker_open")
    assert open_titles(database) == ["breaker of yahoo opened"]
    set_provider(database, "yahoo")
    look("breaker_open")
    assert open_titles(database) == []


@pytest.mark.parametrize(
    ("provider", "command"),
    [("robinhood", "optsync robinhood login"), ("polygon", "OPTSYNC_POLYGON_API_KEY")],
)
def test_a_refused_login_is_an_incident_until_the_provider_answers(
    provider: str, command: str, look: Look, database: Database
) -> None:
    set_provider(database, provider, failures=1, error="auth_error: a code is asked for")
    (found,) = look("login_needed")
    assert (found.kind, found.incident) == ("opens", provider)
    assert command in found.body
    set_provider(database, provider, failures=2, error="network_error: gone")
    assert look("login_needed") == []
    set_provider(database, provider, failures=0, error="network_error: gone")
    assert kinds(look("login_needed")) == ["ends"]


def test_another_failure_needs_no_login(look: Look, database: Database) -> None:
    set_provider(database, "robinhood", failures=3, error="provider_error: status 500")
    set_provider(database, "yahoo", failures=3, error="auth_error: status 401")
    assert look("login_needed") == []


# -- the age of the data -----------------------------------------------------------------------------------------------

MONDAY_CLOSE = datetime(2026, 7, 20, 20, 0, tzinfo=UTC)


def set_quotes(database: Database, quoted_at: datetime) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    write_chunk(database, chunk)
    database.execute("UPDATE stock_data SET quoted_at = %s", (quoted_at,))


@pytest.mark.parametrize(
    ("now", "sessions", "expected"),
    [
        (MONDAY_CLOSE - timedelta(minutes=1), 1, "ends"),  # Thursday's close, Friday's is the latest finished one
        (MONDAY_CLOSE, 1, "opens"),  # Friday and Monday have closed since
        (MONDAY_CLOSE, 2, "ends"),
        (MONDAY_CLOSE + timedelta(days=1), 2, "opens"),
    ],
)
def test_data_are_stale_by_trading_days(
    now: datetime, sessions: int, expected: str, look: Look, database: Database
) -> None:
    set_quotes(database, START - timedelta(minutes=15))  # Thursday's last quotes, as a delayed vendor has them
    assert kinds(look("data_stale", now=now, alert_stale_sessions=sessions)) == [expected]


def test_quotes_from_the_middle_of_a_session_are_not_of_its_close(look: Look, database: Database) -> None:
    set_quotes(database, START - timedelta(hours=3))
    (found,) = look("data_stale", now=START + timedelta(days=1))
    assert found.kind == "opens"
    assert "of 2026-07-16 13:00 New York" in found.body
    assert "1 of 1 stocks" in found.body


def test_removed_stocks_and_no_data_at_all_are_not_stale(look: Look, database: Database) -> None:
    assert look("data_stale") == []
    set_quotes(database, START - timedelta(days=30))
    database.execute("UPDATE stocks SET is_active = false")
    assert look("data_stale") == []
