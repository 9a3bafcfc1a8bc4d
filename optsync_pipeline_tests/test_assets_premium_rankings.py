"""The ranking as an asset: what it takes from the settings, which syncs it covers, what the UI shows of it."""

from collections.abc import Iterator

import dagster as dg
import pytest

from optsync_pipeline.assets.premium_rankings import ranking_limits, ranking_metadata
from optsync_pipeline.options.ranking import RankingLimits
from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench

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
