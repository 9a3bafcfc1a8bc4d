"""What Dagster's runs tell: which symbols are about to be synced. Dead runs are tested in test_local_runs.py."""

from typing import Any

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig, sync_run_config
from optsync_pipeline.runs import count_runs, missing_partitions, symbols_taken, symbols_to_come, unattended_tags
from optsync_pipeline.storage import sync_log
from optsync_pipeline_tests.chunks import NOW
from optsync_pipeline_tests.scripted_vendor import Bench
from optsync_pipeline_tests.ticks import SYMBOLS, bench

__all__ = ["bench"]


def waiting(bench: Bench, config: SyncConfig | None = None, **options: Any) -> dg.DagsterRun:
    """Ask Dagster for a sync that has not started."""
    return bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"),
        run_config=sync_run_config(config) if config else {},
        **options,
    )


def to_come(bench: Bench) -> set[str]:
    return symbols_to_come(bench.instance, bench.database)


def opened(bench: Bench, run_id: str | None, *symbols: str) -> sync_log.JobLock:
    return sync_log.open_job(
        bench.database,
        sync_type="all",
        symbols=symbols,
        run_id=run_id,
        concurrency_level=1,
        target_dtes=(30,),
        now=NOW,
    )


def test_without_runs_nothing_is_to_come(bench: Bench) -> None:
    assert to_come(bench) == set()


def test_symbols_of_a_runs_config_are_to_come(bench: Bench) -> None:
    waiting(bench, SyncConfig(symbols=["AAPL", "MSFT"]))

    assert to_come(bench) == {"AAPL", "MSFT"}


def test_a_runs_partition_is_to_come(bench: Bench) -> None:
    waiting(bench, tags={"dagster/partition": "BRK.B"})

    assert to_come(bench) == {"BRK.B"}


def test_a_runs_range_of_partitions_is_to_come_in_the_order_in_which_they_were_added(bench: Bench) -> None:
    bench.instance.add_dynamic_partitions("symbol", ["A", "Z"])
    ends = {"dagster/asset_partition_range_start": "BRK.B", "dagster/asset_partition_range_end": "A"}
    waiting(bench, tags=ends)

    assert to_come(bench) == {"BRK.B", "MSFT", "A"}


def test_a_range_with_a_deleted_end_counts_what_is_left_of_its_ends(bench: Bench) -> None:
    waiting(bench, tags={"dagster/asset_partition_range_start": "AAPL", "dagster/asset_partition_range_end": "MSFT"})
    bench.instance.delete_dynamic_partition("symbol", "AAPL")

    assert to_come(bench) == {"MSFT"}


def test_what_a_job_has_left_is_to_come_where_a_run_goes_on_with_it(bench: Bench) -> None:
    lock = opened(bench, None, *SYMBOLS)
    lock.release()
    waiting(bench, SyncConfig(job_id=lock.job_id))

    assert to_come(bench) == set(SYMBOLS)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
def test_ended_runs_and_rankings_have_nothing_to_come(status: dg.DagsterRunStatus, bench: Bench) -> None:
    waiting(bench, SyncConfig(symbols=["AAPL"]), status=status)
    bench.instance.create_run_for_job(bench.definitions.resolve_job_def("rank_premiums"))

    assert to_come(bench) == set()


def test_a_started_run_counts_until_its_job_is_open_and_its_job_from_then_on(bench: Bench) -> None:
    run = waiting(bench, SyncConfig(symbols=["AAPL", "MSFT"]), status=dg.DagsterRunStatus.STARTED)
    assert symbols_taken(bench.instance, bench.database) == {"AAPL", "MSFT"}
    lock = opened(bench, run.run_id, "AAPL", "MSFT")

    assert to_come(bench) == set()
    assert symbols_taken(bench.instance, bench.database) == {"AAPL", "MSFT"}
    lock.release()
    assert symbols_taken(bench.instance, bench.database) == set()


def test_runs_with_certain_tags_alone_can_be_asked_for(bench: Bench) -> None:
    waiting(bench, SyncConfig(symbols=["AAPL"]), tags={"who": "a person"})
    waiting(bench, SyncConfig(symbols=["MSFT"]))

    assert symbols_to_come(bench.instance, bench.database, {"who": "a person"}) == {"AAPL"}


def test_runs_are_counted_by_their_tags_with_or_without_those_that_ended(bench: Bench) -> None:
    tags = unattended_tags("somebody", 3, shard="1-of-2")
    assert tags == {"optsync/unattended": "somebody", "dagster/priority": "3", "optsync/shard": "1-of-2"}
    waiting(bench, tags=tags)
    waiting(bench, tags=tags, status=dg.DagsterRunStatus.SUCCESS)

    assert count_runs(bench.instance, {"optsync/shard": "1-of-2"}) == 2
    assert count_runs(bench.instance, {"optsync/shard": "1-of-2"}, unfinished=True) == 1


def test_partitions_are_missing_where_a_symbol_has_none(bench: Bench) -> None:
    assert missing_partitions(bench.instance, ["AAPL", "NEW"]) == ["NEW"]
