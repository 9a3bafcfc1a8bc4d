"""Incremental syncs: only while the exchange trades, only what is out of date, never what another run has in hand."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig, sync_run_config
from optsync_pipeline.schedules.incremental import incremental_sync, watched_sync
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench, ScriptedVendor, pipeline_of
from optsync_pipeline_tests.ticks import SYMBOLS, bench, configs, reason, requests, schedule_tick

__all__ = ["bench"]


def watch(bench: Bench, *symbols: str) -> None:
    """Put symbols on a watchlist."""
    bench.database.execute("INSERT INTO tv_watchlists VALUES ('mine', 'manual', now())")
    for symbol in symbols:
        bench.database.execute("INSERT INTO tv_watchlist_symbols VALUES ('mine', %s, 'manual', now())", (symbol,))


def synced(bench: Bench, *symbols: str) -> None:
    assert bench.sync(SyncConfig(symbols=list(symbols), sync_type="symbols")).success


def later(minutes: float) -> datetime:
    return OPEN_MARKET + timedelta(minutes=minutes)


def test_what_was_never_synced_is_asked_for_in_one_run(bench: Bench) -> None:
    answer = schedule_tick(incremental_sync, bench, OPEN_MARKET)

    (config,) = configs(answer)
    assert config == {"symbols": SYMBOLS, "sync_type": "stale"}
    assert requests(answer)[0].tags["optsync/unattended"] == "incremental_sync"


def test_only_watched_stocks_are_asked_for_by_the_schedule_of_these(bench: Bench) -> None:
    watch(bench, "MSFT")
    answer = schedule_tick(watched_sync, bench, OPEN_MARKET)

    assert [config["symbols"] for config in configs(answer)] == [["MSFT"]]
    assert requests(answer)[0].tags["dagster/priority"] == "1"


@pytest.mark.parametrize("schedule", [watched_sync, incremental_sync], ids=lambda schedule: schedule.name)
def test_what_is_fresh_is_not_asked_for(schedule: dg.ScheduleDefinition, bench: Bench) -> None:
    watch(bench, *SYMBOLS)
    synced(bench, *SYMBOLS)

    assert "is out of date" in reason(schedule_tick(schedule, bench, later(4)))


def test_after_five_minutes_the_prices_alone_are_asked_for_in_bulk(bench: Bench) -> None:
    synced(bench, *SYMBOLS)
    answer = schedule_tick(incremental_sync, bench, later(6))

    assert configs(answer) == [{"symbols": SYMBOLS, "sync_type": "stale", "prices_only": True}]
    assert requests(answer)[0].asset_selection == [dg.AssetKey("stock_prices")]


def test_after_an_hour_the_chains_are_asked_for_and_bring_the_prices(bench: Bench) -> None:
    synced(bench, "AAPL")
    bench.database.execute("UPDATE sync_stock_results SET started_at = started_at - interval '57 minutes'")
    synced(bench, "BRK.B", "MSFT")
    answer = schedule_tick(incremental_sync, bench, later(6))

    chains, prices = configs(answer)
    assert (chains["symbols"], prices["symbols"]) == (["AAPL"], ["BRK.B", "MSFT"])


def test_without_a_provider_that_tells_prices_in_bulk_there_are_no_syncs_of_prices(bench: Bench) -> None:
    synced(bench, *SYMBOLS)

    assert "out of date" in reason(schedule_tick(incremental_sync, bench, later(6), providers=("cboe",)))


@pytest.mark.parametrize(
    "due",
    [
        datetime(2026, 7, 16, 13, 25, tzinfo=UTC),  # five minutes before the open
        datetime(2026, 7, 16, 20, 0, tzinfo=UTC),  # the close
        datetime(2026, 11, 26, 16, 0, tzinfo=UTC),  # Thanksgiving
        datetime(2026, 11, 27, 18, 30, tzinfo=UTC),  # half an hour after an early close
    ],
)
def test_while_the_exchange_does_not_trade_nothing_is_asked_for(due: datetime, bench: Bench) -> None:
    watch(bench, "AAPL")

    assert "does not trade" in reason(schedule_tick(watched_sync, bench, due))


def test_symbols_of_a_running_sync_are_not_asked_for_again(bench: Bench) -> None:
    lock = sync_log.open_job(
        bench.database,
        sync_type="all",
        symbols=["AAPL", "MSFT"],
        run_id="elsewhere",
        concurrency_level=1,
        target_dtes=(30,),
        now=OPEN_MARKET,
    )

    assert [config["symbols"] for config in configs(schedule_tick(incremental_sync, bench, later(5)))] == [["BRK.B"]]
    lock.release()


def test_symbols_of_a_run_that_has_not_begun_are_not_asked_for_again(bench: Bench) -> None:
    first = schedule_tick(incremental_sync, bench, OPEN_MARKET)
    bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"), run_config=requests(first)[0].run_config
    )

    assert "a sync is already asking for" in reason(schedule_tick(incremental_sync, bench, later(15)))


def test_a_price_is_not_asked_for_while_a_sync_of_prices_waits(bench: Bench) -> None:
    synced(bench, *SYMBOLS)
    config = SyncConfig(symbols=SYMBOLS, sync_type="stale", prices_only=True)
    bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"), run_config=sync_run_config(config)
    )

    assert "already asking" in reason(schedule_tick(incremental_sync, bench, later(6)))


def test_a_database_that_is_down_fails_the_tick() -> None:
    nowhere = pipeline_of("postgresql://nobody@127.0.0.1:1/none", ScriptedVendor())
    with (
        dg.build_schedule_context(scheduled_execution_time=OPEN_MARKET, resources={"pipeline": nowhere}) as context,
        pytest.raises(DatabaseUnavailable),
    ):
        watched_sync(context)


def test_ticks_are_every_five_and_every_fifteen_minutes_of_weekdays() -> None:
    assert (watched_sync.cron_schedule, incremental_sync.cron_schedule) == ("*/5 9-15 * * 1-5", "*/15 9-15 * * 1-5")
    assert watched_sync.execution_timezone == "America/New_York"
