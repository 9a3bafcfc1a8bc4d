"""The daily sync: on which days, of what, and what it says when it does not run."""

from datetime import UTC, date, datetime, time

import dagster as dg
import pytest

from optsync_pipeline.calendar import NEW_YORK
from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.schedules import build_daily_market_sync, closed_because
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline_tests.scripted_vendor import ScriptedVendor, pipeline_of, settings_of


def tick(day: str, database_url: str) -> dg.RunRequest | dg.SkipReason:
    """Evaluate the schedule as the daemon does at half past four in New York on that day."""
    schedule = build_daily_market_sync(time(16, 30))
    due = datetime.combine(date.fromisoformat(day), time(16, 30), NEW_YORK).astimezone(UTC)
    context = dg.build_schedule_context(
        scheduled_execution_time=due, resources={"pipeline": pipeline_of(database_url, ScriptedVendor())}
    )
    answer = schedule(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


@pytest.fixture
def universe_url(database_url: str, database: Database) -> str:
    """A database with three stocks, one of them retired."""
    database.execute(
        "INSERT INTO stocks (symbol, market_cap, is_active) "
        "VALUES ('AAPL', 2, true), ('MSFT', 1, true), ('OLD', 3, false)"
    )
    return database_url


def test_a_trading_day_syncs_all_active_stocks_in_bulk(universe_url: str) -> None:
    request = tick("2026-07-16", universe_url)

    assert isinstance(request, dg.RunRequest)
    assert request.run_config == {"ops": {"market_data": {"config": {"symbols": ["AAPL", "MSFT"], "sync_type": "all"}}}}
    assert request.partition_key is None


def test_the_day_after_thanksgiving_closes_early_and_is_synced_all_the_same(universe_url: str) -> None:
    assert isinstance(tick("2026-11-27", universe_url), dg.RunRequest)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-07-18", "Saturday"),
        ("2026-11-26", "Thanksgiving"),
        ("2026-06-19", "Juneteenth"),
        ("2025-01-09", "unscheduled"),  # the day of mourning for President Carter
    ],
)
def test_a_closed_day_is_skipped_by_name(day: str, reason: str, universe_url: str) -> None:
    answer = tick(day, universe_url)

    assert isinstance(answer, dg.SkipReason)
    assert reason in str(answer.skip_message)


def test_without_stocks_it_says_how_to_add_some(database_url: str) -> None:
    answer = tick("2026-07-16", database_url)

    assert isinstance(answer, dg.SkipReason)
    assert "optsync stocks add" in str(answer.skip_message)


def test_a_database_that_is_down_fails_the_tick_so_that_the_daemon_repeats_it() -> None:
    with pytest.raises(DatabaseUnavailable):
        tick("2026-07-16", "postgresql://nobody@127.0.0.1:1/none")


def test_the_setting_gives_the_hour_in_new_york() -> None:
    settings = settings_of("postgresql://nobody@127.0.0.1:1/none").model_copy(update={"daily_sync_time": time(17, 5)})
    schedule = build_definitions(settings).get_repository_def().get_schedule_def("daily_market_sync")

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 17 * * *", "America/New_York")


def test_a_weekend_is_called_by_its_day() -> None:
    assert closed_because(date(2026, 7, 19)) == "Sunday"
