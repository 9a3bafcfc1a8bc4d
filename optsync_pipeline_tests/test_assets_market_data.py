"""The sync's step under Dagster: what it is about, what it tells of each symbol, and how it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import (
    Bench,
    fails,
    lists_nothing,
)

ASSETS = ("stock_prices", "option_chains", "stock_premiums")
SYMBOLS = ["AAPL", "BRK.B", "MSFT", "NVDA"]


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def materialized(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str | None], dg.AssetMaterialization]:
    """Return the materialisations of a run by asset and partition."""
    found = [
        event.step_materialization_data.materialization
        for event in result.filter_events(lambda event: event.event_type_value == "ASSET_MATERIALIZATION")
    ]
    return {(event.asset_key.to_user_string(), event.partition): event for event in found}


def failure(result: dg.ExecuteInProcessResult) -> dg.Failure:
    """Return what the step's author says that it failed of."""
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    assert event.step_failure_data.user_failure_data is not None
    data = event.step_failure_data.user_failure_data
    return dg.Failure(description=data.description, metadata=data.metadata)


# -- which symbols -----------------------------------------------------------------------------------------------------


def test_a_bulk_run_syncs_the_symbols_of_its_config_however_they_are_spelt(bench: Bench) -> None:
    result = bench.sync(SyncConfig(symbols=["aapl", "BRK/B", "AAPL"], sync_type="symbols"))

    assert result.success
    assert {partition for _, partition in materialized(result)} == {"AAPL", "BRK.B"}


def test_a_run_with_a_partition_syncs_that_symbol(bench: Bench) -> None:
    result = bench.sync(partition="MSFT")

    assert result.success
    assert set(materialized(result)) == {(asset, "MSFT") for asset in ASSETS}


def test_a_run_over_a_range_syncs_the_symbols_between(bench: Bench) -> None:
    tags = {"dagster/asset_partition_range_start": "BRK.B", "dagster/asset_partition_range_end": "NVDA"}

    assert bench.sync(tags=tags).success
    assert bench.states() == dict.fromkeys(("BRK.B", "MSFT", "NVDA"), "MATERIALIZED")


def test_a_run_without_symbols_says_what_to_give(bench: Bench) -> None:
    result = bench.sync()

    assert not result.success
    assert "--partition AAPL" in str(failure(result).description)
    assert '"symbols": ["AAPL"]' in str(failure(result).description)


def test_a_symbol_that_cannot_be_one_is_named(bench: Bench) -> None:
    result = bench.sync(SyncConfig(symbols=["AA PL"], sync_type="symbols"))

    assert not result.success
    assert "'AA PL'" in str(failure(result).description)


def test_a_symbol_that_is_no_stock_of_ours_is_named_and_the_others_are_synced(bench: Bench) -> None:
    result = bench.sync(SyncConfig(symbols=["AAPL", "GONE"], sync_type="symbols"))

    assert not result.success
    assert bench.states() == {"AAPL": "MATERIALIZED"}
    ((kind, names),) = failure(result).metadata.items()
    assert "optsync stocks add" in kind
    assert names.value == "GONE"
    assert set(bench.vendor.asked) == {"AAPL"}


def test_a_partition_that_is_no_stock_of_ours_is_failed_without_a_job(bench: Bench) -> None:
    bench.instance.add_dynamic_partitions("symbol", ["GONE"])

    bench.sync(partition="GONE")

    assert bench.states() == {"GONE": "FAILED"}
    assert bench.database.fetch_all("SELECT job_id FROM sync_jobs") == []


def test_a_subset_of_the_assets_tells_of_those_alone(bench: Bench) -> None:
    result = bench.sync(partition="AAPL", assets=("option_chains",))

    assert result.success
    assert set(materialized(result)) == {("option_chains", "AAPL")}
    found = {evaluation.check_name for evaluation in result.get_asset_check_evaluations()}
    assert found == {"chain_schema", "chain_complete", "refused_share", "rows_logged"}


# -- what is told ------------------------------------------------------------------------------------------------------


def test_each_symbol_carries_its_figures(bench: Bench) -> None:
    event = materialized(bench.sync(partition="AAPL"))["stock_premiums", "AAPL"]

    figures = {name: value.value for name, value in event.metadata.items()}
    assert figures.pop("duration_seconds") >= 0  # type: ignore[operator]
    assert figures.pop("quote_time") == pytest.approx(1784214000)
    assert figures == {
        "status": "success",
        "contracts": 14,
        "rejected": 0,
        "premiums": 14,
        "requests": 1,
        "provider": "yahoo",
        "expirations": "2026-08-14",
        "price": 100.0,
    }


def test_a_bulk_run_with_failures_materialises_all_others_and_names_the_failed_by_kind(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")

    result = bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))

    assert not result.success
    assert bench.states() == dict.fromkeys(("AAPL", "BRK.B", "NVDA"), "MATERIALIZED")
    assert failure(result).description == "1 symbol failed, the others are done: MSFT"
    assert {kind: text.value for kind, text in failure(result).metadata.items()} == {"api_timeout": "MSFT"}


def test_symbol_failures_do_not_repeat_the_step(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")

    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))

    assert set(bench.vendor.asked.values()) == {1}


def test_a_single_partition_that_fails_is_failed_also_where_it_was_good_before(bench: Bench) -> None:
    bench.sync(partition="MSFT")
    bench.vendor.faults["MSFT"] = fails("MSFT")

    bench.sync(SyncConfig(tries=1), partition="MSFT")

    assert [bench.states(asset) for asset in ASSETS] == [{"MSFT": "FAILED"}] * 3


def test_a_stock_without_options_is_up_to_date_and_says_why_it_has_no_rows(bench: Bench) -> None:
    bench.vendor.faults["NVDA"] = lists_nothing("NVDA")

    result = bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))

    assert result.success
    metadata = materialized(result)["option_chains", "NVDA"].metadata
    assert metadata["status"].value == "skipped"
    assert metadata["reason"].value == "no_options: NVDA has no listed options"


# -- continuing --------------------------------------------------------------------------------------------------------


def test_a_reexecuted_run_asks_only_for_what_is_not_done_and_tells_of_all(bench: Bench, database: Database) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    config = SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)
    first = bench.sync(config)
    bench.vendor.faults.clear()
    bench.vendor.asked.clear()

    again = bench.sync(config, tags={"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id})

    assert again.success
    assert dict(bench.vendor.asked) == {"MSFT": 1}
    assert {partition for _, partition in materialized(again)} == set(SYMBOLS)
    assert [row["status"] for row in database.fetch_all("SELECT status FROM sync_jobs")] == ["completed"]


def test_a_continued_job_does_not_ask_a_symbol_that_is_no_stock_of_ours_any_more(
    bench: Bench, database: Database
) -> None:
    bench.vendor.faults |= {"MSFT": fails("MSFT"), "NVDA": fails("NVDA")}
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))
    bench.vendor.faults.clear()
    bench.vendor.asked.clear()
    stocks.deactivate(database, ["NVDA"], datetime.now(UTC))

    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", job_id=bench.job()["job_id"]))

    assert dict(bench.vendor.asked) == {"MSFT": 1}


def test_a_failed_symbol_is_asked_again_within_its_job(bench: Bench, database: Database) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))
    (job,) = database.fetch_all("SELECT job_id FROM sync_jobs")
    bench.vendor.faults.clear()

    result = bench.sync(SyncConfig(job_id=job["job_id"], tries=1), partition="MSFT")

    assert result.success
    assert bench.states()["MSFT"] == "MATERIALIZED"
    assert database.fetch_all("SELECT failed_stocks, successful_stocks FROM sync_jobs") == [
        {"failed_stocks": 0, "successful_stocks": 4}
    ]


# -- ends --------------------------------------------------------------------------------------------------------------


def test_sigterm_ends_the_step_commits_what_came_and_is_no_retry(bench: Bench, database: Database) -> None:
    bench.vendor.hold.clear()
    before = signal.getsignal(signal.SIGINT)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    threading.Timer(1.5, bench.vendor.hold.set).start()

    result = bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))

    assert not result.success
    assert [row["status"] for row in database.fetch_all("SELECT status FROM sync_jobs")] == ["cancelled"]
    assert not result.filter_events(lambda event: event.event_type_value == "STEP_UP_FOR_RETRY")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_chain_that_came_short_says_so_in_its_stocks_metadata(bench: Bench) -> None:
    bench.sync(partition="AAPL")
    bench.vendor.strikes["AAPL"] = 4

    (event, *_) = bench.sync(partition="AAPL").asset_materializations_for_node("market_data")

    assert "yahoo's chain lacked 3 of 7 strikes" in str(event.metadata["chain_note"].value)
