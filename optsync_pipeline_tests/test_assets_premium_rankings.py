"""The ranking as an asset: what it takes from the settings, which syncs it covers, what the UI shows of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from optsync_pipeline.assets.premium_rankings import ranking_limits, ranking_metadata
from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.options.ranking import RankingLimits
from optsync_pipeline.resources import PipelineResource, SyncConfig
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.rankings import read_rankings
from optsync_pipeline.storage.sync_log import jobs_to_rank
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench, pipeline_of

SYMBOLS = ["AAPL", "BRK.B", "MSFT"]


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        bench = Bench(database_url, database, instance, SYMBOLS)
        bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))
        yield bench


def test_a_ranking_covers_the_syncs_before_it(bench: Bench) -> None:
    assert bench.job()["ranked_at"] is None

    bench.rank()

    assert bench.job()["ranked_at"] == OPEN_MARKET


def test_metadata_tells_how_many_are_ranked_and_shows_the_best(bench: Bench) -> None:
    (event,) = bench.rank().asset_materializations_for_node("premium_rankings")
    shown = {name: value.value for name, value in event.metadata.items()}

    assert shown["cash_secured_put_count"] == 3
    assert shown["covered_call_best"] == "AAPL"
    table = str(shown["cash_secured_put_top"]).splitlines()
    assert len(table) == 2 + 3
    assert table[2].startswith("| 1 | AAPL | 2026-08-14 | 95 |")


def test_an_empty_ranking_says_that_it_is_empty() -> None:
    metadata = ranking_metadata([])

    assert {name: value.value for name, value in metadata.items()} == {
        "cash_secured_put_count": 0,
        "covered_call_count": 0,
    }


def rank_with(bench: Bench, pipeline: PipelineResource) -> tuple[dict[str, object], dg.AssetCheckEvaluation]:
    """Rank with another clock or other settings; return the metadata of the ranking, and what its check says."""
    definitions = build_definitions(pipeline.settings, pipeline)
    result = definitions.resolve_job_def("rank_premiums").execute_in_process(
        instance=bench.instance, raise_on_error=False
    )
    (event,) = result.asset_materializations_for_node("premium_rankings")
    (check,) = [found for found in result.get_asset_check_evaluations() if found.check_name == "ranking_sorted"]
    return {name: value.value for name, value in event.metadata.items()}, check


def test_without_a_fresh_premium_the_old_ranking_stays_is_not_told_as_new_and_fails_its_check(
    bench: Bench, database_url: str
) -> None:
    bench.rank()
    before = read_rankings(bench.database)
    next_day = pipeline_of(database_url, bench.vendor, now=OPEN_MARKET + timedelta(days=1))

    metadata, check = rank_with(bench, next_day)

    assert read_rankings(bench.database) == before
    assert metadata["cash_secured_put_count"] == 0
    assert "since the latest session opened (2026-07-17 13:30 UTC): the old ranking stays" in str(
        metadata["nothing_fresh"]
    )
    assert not check.passed
    assert "the ranking is of 2026-07-16 15:00 UTC" in str(check.description)


def test_a_sync_that_left_nothing_fresh_does_not_wait_for_a_ranking_for_ever(bench: Bench, database_url: str) -> None:
    next_day = pipeline_of(database_url, bench.vendor, now=OPEN_MARKET + timedelta(days=1))

    metadata, _ = rank_with(bench, next_day)

    assert f"Syncs marked as ranked all the same: {bench.job()['job_id']}." in str(metadata["nothing_fresh"])
    assert jobs_to_rank(bench.database) == []


def test_limits_that_nothing_keeps_empty_the_ranking_and_fail_its_check(bench: Bench) -> None:
    bench.rank()
    strict = replace(
        bench.pipeline, settings=bench.pipeline.settings.model_copy(update={"min_open_interest": 1_000_000})
    )

    metadata, check = rank_with(bench, strict)

    assert read_rankings(bench.database) == []
    assert metadata == {"cash_secured_put_count": 0, "covered_call_count": 0}
    assert not check.passed
    assert check.description == "the ranking is empty"


def test_the_limits_are_those_of_the_settings() -> None:
    settings = load_settings(
        env_file=None,
        min_abs_delta=0.2,
        max_abs_delta=0.3,
        max_spread_pct=5,
        min_open_interest=7,
        min_otm_pct=2,
    )

    assert ranking_limits(settings) == RankingLimits(0.2, 0.3, 5, 7, 2)
