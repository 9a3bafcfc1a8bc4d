"""Another asking of the few symbols that failed: of which, when, and how often."""

from typing import Any

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.sensors.failed_symbols import failed_symbols_sensor
from optsync_pipeline.storage import job_watch, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench, fails
from optsync_pipeline_tests.ticks import SYMBOLS, bench, reason, requests, tick

__all__ = ["bench"]

IN_BULK = SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)


def test_each_failed_symbol_of_a_bulk_sync_gets_a_run_with_its_partition(bench: Bench) -> None:
    bench.vendor.faults |= {"AAPL": fails("AAPL"), "MSFT": fails("MSFT")}
    bench.sync(IN_BULK)
    job_id = bench.job()["job_id"]

    asked = requests(tick(failed_symbols_sensor, bench))

    assert [request.partition_key for request in asked] == ["AAPL", "MSFT"]
    assert asked[0].run_config == {
        "ops": {"market_data": {"config": {"job_id": job_id, "target_dtes": [30], "tries": 1}}}
    }
    assert (asked[0].tags["optsync/job_id"], asked[0].tags["optsync/round"]) == (str(job_id), "1")


def test_failed_symbols_are_asked_again_in_three_rounds_and_no_more(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)
    job_id = bench.job()["job_id"]

    told = [tick(failed_symbols_sensor, bench, minutes_later=minute) for minute in range(120)]

    asked = [request for answer in told if isinstance(answer, dg.SensorResult) for request in requests(answer)]
    assert [request.run_key for request in asked] == [f"{job_id}:MSFT:{number}" for number in (1, 2, 3)]
    assert bench.job()["reask_rounds"] == 3


def test_a_symbol_that_healed_is_not_in_the_next_round(bench: Bench) -> None:
    bench.vendor.faults |= {"AAPL": fails("AAPL"), "MSFT": fails("MSFT")}
    bench.sync(IN_BULK)
    first = requests(tick(failed_symbols_sensor, bench, minutes_later=1))
    del bench.vendor.faults["AAPL"]
    for request in first:
        bench.sync(SyncConfig(**request.run_config["ops"]["market_data"]["config"]), partition=request.partition_key)

    assert [request.partition_key for request in requests(tick(failed_symbols_sensor, bench, 6))] == ["MSFT"]
    assert bench.states() == {"AAPL": "MATERIALIZED", "BRK.B": "MATERIALIZED", "MSFT": "FAILED"}


def test_a_round_whose_runs_have_not_ended_is_waited_for(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)
    bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"),
        tags={"optsync/job_id": str(bench.job()["job_id"])},
    )

    assert "still running" in reason(tick(failed_symbols_sensor, bench))
    assert bench.job()["reask_rounds"] == 0


def test_a_sync_that_ended_just_now_is_left_to_the_command_that_started_it(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    assert isinstance(tick(failed_symbols_sensor, bench, minutes_later=0), dg.SkipReason)


def test_a_failed_partition_is_not_asked_again(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(tries=1), partition="MSFT")

    assert isinstance(tick(failed_symbols_sensor, bench), dg.SkipReason)


def test_more_than_fifty_failed_symbols_are_one_fault_and_not_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_pipeline.sensors.failed_symbols.MAX_REASKED_SYMBOLS", 2)
    bench.vendor.faults |= {symbol: fails(symbol) for symbol in SYMBOLS}
    bench.sync(IN_BULK)

    assert "at most 2 of them" in reason(tick(failed_symbols_sensor, bench))


def test_failed_symbols_that_somebody_else_asks_again_are_left_to_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)
    find_due = job_watch.next_reask

    def claimed_meanwhile(database: Database, **params: Any) -> job_watch.Reask | None:
        found = find_due(database, **params)
        assert sync_log.claim_reask(database, bench.job()["job_id"], OPEN_MARKET)
        return found

    monkeypatch.setattr(job_watch, "next_reask", claimed_meanwhile)

    assert "somebody else" in reason(tick(failed_symbols_sensor, bench))


def test_a_symbol_without_a_partition_gets_one_first(bench: Bench) -> None:
    bench.instance.delete_dynamic_partition("symbol", "MSFT")
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    answer = tick(failed_symbols_sensor, bench)

    assert isinstance(answer, dg.SensorResult)
    assert [list(add.partition_keys) for add in answer.dynamic_partitions_requests or []] == [["MSFT"]]
