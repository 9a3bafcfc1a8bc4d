"""What a person asked for with `optsync refresh`: one run at once, ahead of what is queued."""

from datetime import timedelta

import pytest

from optsync_pipeline.resources import SyncConfig, sync_run_config
from optsync_pipeline.sensors import refresh as refresh_room
from optsync_pipeline.sensors.refresh import TAGS, refresh_sensor
from optsync_pipeline.storage import refresh_requests
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench
from optsync_pipeline_tests.ticks import bench, configs, reason, requests, tick

__all__ = ["bench"]


def ask(bench: Bench, *symbols: str) -> None:
    """Ask for refreshes as `optsync refresh` does, a minute after the bench's time."""
    refresh_requests.request_refresh(bench.database, symbols, OPEN_MARKET + timedelta(minutes=1), "ann@desk")


def queue(bench: Bench, config: SyncConfig, tags: dict[str, str] | None = None) -> None:
    """Ask Dagster for a sync that has not started yet."""
    bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"),
        run_config=sync_run_config(config),
        tags=tags,
    )


def test_without_a_request_nothing_is_asked_for(bench: Bench) -> None:
    assert "optsync refresh SYMBOL" in reason(tick(refresh_sensor, bench))


def test_all_requests_are_one_run_that_goes_before_every_other(bench: Bench) -> None:
    ask(bench, "MSFT", "AAPL")

    (request,) = requests(tick(refresh_sensor, bench))

    assert request.run_config == {
        "ops": {"market_data": {"config": {"symbols": ["MSFT", "AAPL"], "sync_type": "refresh"}}}
    }
    assert request.tags["dagster/priority"] == "10"
    assert "optsync/unattended" not in request.tags  # no limit but the pool's
    assert "nobody asked" in reason(tick(refresh_sensor, bench))


def test_it_looks_every_ten_seconds() -> None:
    assert refresh_sensor.minimum_interval_seconds == 10


def test_a_symbol_that_waits_in_the_queued_full_sync_is_asked_for_all_the_same(bench: Bench) -> None:
    queue(bench, SyncConfig(symbols=["AAPL"], sync_type="all"))
    ask(bench, "AAPL")

    assert configs(tick(refresh_sensor, bench))[0]["symbols"] == ["AAPL"]


def test_a_symbol_that_waits_in_a_queued_refresh_is_left_to_that(bench: Bench) -> None:
    queue(bench, SyncConfig(symbols=["AAPL"], sync_type="refresh"), TAGS)
    ask(bench, "AAPL", "MSFT")

    assert configs(tick(refresh_sensor, bench))[0]["symbols"] == ["MSFT"]


def test_more_symbols_than_one_run_takes_are_the_next_ticks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_room, "MAX_SYMBOLS", 2)
    ask(bench, "AAPL", "BRK.B", "MSFT")

    first, second = tick(refresh_sensor, bench, 5), tick(refresh_sensor, bench, 5.2)

    assert [configs(answer)[0]["symbols"] for answer in (first, second)] == [["AAPL", "BRK.B"], ["MSFT"]]
    assert requests(first)[0].run_key != requests(second)[0].run_key


def test_the_run_that_it_asks_for_syncs_and_is_logged_as_a_refresh(bench: Bench) -> None:
    ask(bench, "AAPL")
    (config,) = configs(tick(refresh_sensor, bench))

    assert bench.sync(SyncConfig(**config)).success
    assert (bench.job()["sync_type"], bench.job()["successful_stocks"]) == ("refresh", 1)
