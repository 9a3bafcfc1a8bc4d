"""The daily sync: on which days and at which hour, of what, in how many runs, and what it says when it does not run."""

from datetime import UTC, date, datetime, time

import dagster as dg
import pytest

from optsync_pipeline.calendar import NEW_YORK
from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.schedules.daily import build_daily_market_sync, closed_because
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline_tests.scripted_vendor import Bench, ScriptedVendor, pipeline_of, settings_of
from optsync_pipeline_tests.ticks import SYMBOLS, bench, configs, reason, requests, schedule_tick

__all__ = ["bench"]


def tick(
    bench: Bench, day: str, at: str = "16:30", setting: str = "16:30", **settings: object
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the schedule with that setting as the daemon does at that hour of New York."""
    due = datetime.combine(date.fromisoformat(day), time.fromisoformat(at), NEW_YORK).astimezone(UTC)
    return schedule_tick(build_daily_market_sync(time.fromisoformat(setting)), bench, due, **settings)


def test_a_trading_day_syncs_all_active_stocks_in_bulk(bench: Bench) -> None:
    bench.database.execute("UPDATE stocks SET is_active = false WHERE symbol = 'MSFT'")
    answer = tick(bench, "2026-07-16")

    assert configs(answer) == [{"symbols": ["AAPL", "BRK.B"], "sync_type": "all"}]
    (request,) = requests(answer)
    assert request.partition_key is None
    assert request.run_key == "2026-07-16:1/1"
    assert request.tags["optsync/unattended"] == "daily_market_sync"


@pytest.mark.parametrize(
    ("day", "setting", "at"),
    [
        ("2026-07-16", "16:30", "16:30"),
        ("2026-07-16", "09:45", "09:45"),
        ("2026-07-16", "13:30", "13:30"),
        ("2026-11-27", "16:30", "13:30"),
        ("2026-11-27", "20:00", "13:30"),
        ("2026-11-27", "12:00", "12:00"),
        ("2026-12-24", "13:30", "13:30"),
    ],
)
def test_the_hour_is_the_set_one_and_on_early_closes_half_an_hour_after_them(
    day: str, setting: str, at: str, bench: Bench
) -> None:
    assert len(requests(tick(bench, day, at=at, setting=setting))) == 1


@pytest.mark.parametrize(
    ("day", "setting", "at", "told"),
    [
        ("2026-07-16", "16:30", "13:30", "does not close early; the day's sync is at 16:30"),
        ("2026-11-27", "16:30", "16:30", "closes early, at 13:00; the day's sync is at 13:30"),
        ("2026-11-27", "12:00", "13:30", "the day's sync is at 12:00"),
    ],
)
def test_the_other_tick_of_a_day_says_when_the_sync_is(
    day: str, setting: str, at: str, told: str, bench: Bench
) -> None:
    assert told in reason(tick(bench, day, at=at, setting=setting))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        ("2026-07-18", "Saturday"),
        ("2026-11-26", "Thanksgiving"),
        ("2026-06-19", "Juneteenth"),
        ("2025-01-09", "unscheduled"),  # the day of mourning for President Carter
    ],
)
@pytest.mark.parametrize("at", ["13:30", "16:30"])
def test_a_closed_day_is_skipped_by_name(day: str, told: str, at: str, bench: Bench) -> None:
    assert told in reason(tick(bench, day, at=at))


def test_shards_take_every_so_many_of_the_order_and_are_runs_of_their_own(bench: Bench) -> None:
    answer = tick(bench, "2026-07-16", sync_shards=2)

    assert [config["symbols"] for config in configs(answer)] == [["AAPL", "MSFT"], ["BRK.B"]]
    assert [request.run_key for request in requests(answer)] == ["2026-07-16:1/2", "2026-07-16:2/2"]
    assert [request.tags["optsync/shard"] for request in requests(answer)] == ["1-of-2", "2-of-2"]


def test_there_are_no_more_shards_than_stocks(bench: Bench) -> None:
    assert len(requests(tick(bench, "2026-07-16", sync_shards=64))) == len(SYMBOLS)


def test_each_shard_is_a_job_and_together_they_sync_every_stock_once(bench: Bench) -> None:
    for config in configs(tick(bench, "2026-07-16", sync_shards=2)):
        assert bench.sync(SyncConfig(**config)).success

    rows = bench.database.fetch_all("SELECT job_id, symbol FROM sync_stock_results ORDER BY symbol")
    assert [row["symbol"] for row in rows] == SYMBOLS
    assert len({row["job_id"] for row in rows}) == 2


def test_what_was_synced_since_the_close_is_passed_over(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=["AAPL"], sync_type="symbols"))
    bench.database.execute("UPDATE sync_stock_results SET started_at = '2026-07-16T20:10Z', completed_at = started_at")

    assert configs(tick(bench, "2026-07-16"))[0]["symbols"] == ["BRK.B", "MSFT"]


def test_what_was_synced_before_the_close_is_synced_again(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=["AAPL"], sync_type="symbols"))
    bench.database.execute("UPDATE sync_stock_results SET started_at = '2026-07-16T19:55Z', completed_at = started_at")

    assert configs(tick(bench, "2026-07-16"))[0]["symbols"] == SYMBOLS


def test_stocks_that_a_waiting_run_will_sync_are_left_to_it(bench: Bench) -> None:
    job = bench.definitions.resolve_job_def("sync_market_data")
    for request in requests(tick(bench, "2026-07-16", sync_shards=2))[:1]:
        bench.instance.create_run_for_job(job, run_config=request.run_config)

    assert [config["symbols"] for config in configs(tick(bench, "2026-07-16"))] == [["BRK.B"]]


def test_without_stocks_it_says_how_to_add_some(bench: Bench) -> None:
    bench.database.execute("UPDATE stocks SET is_active = false")

    assert "optsync stocks add" in reason(tick(bench, "2026-07-16"))


def test_a_database_that_is_down_fails_the_tick_so_that_the_daemon_repeats_it() -> None:
    nowhere = pipeline_of("postgresql://nobody@127.0.0.1:1/none", ScriptedVendor())
    due = datetime(2026, 7, 16, 16, 30, tzinfo=NEW_YORK)
    with (
        dg.build_schedule_context(scheduled_execution_time=due, resources={"pipeline": nowhere}) as context,
        pytest.raises(DatabaseUnavailable),
    ):
        build_daily_market_sync(time(16, 30))(context)


@pytest.mark.parametrize(
    ("setting", "cron"), [(time(17, 5), ["5 17 * * *", "30 13 * * *"]), (time(13, 30), ["30 13 * * *"])]
)
def test_ticks_are_at_the_set_hour_and_after_early_closes_in_new_york(setting: time, cron: list[str]) -> None:
    settings = settings_of("postgresql://nobody@127.0.0.1:1/none", daily_sync_time=setting)
    schedule = build_definitions(settings).get_repository_def().get_schedule_def("daily_market_sync")

    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "America/New_York")


def test_a_weekend_is_called_by_its_day() -> None:
    assert closed_because(date(2026, 7, 19)) == "Sunday"
