"""When Dagster calls the assets stale: not over any closed days of the calendar, and soon after."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import dagster as dg
import exchange_calendars
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time
from dagster._time import get_current_datetime

from optsync_pipeline.assets.freshness import FRESHNESS, LONGEST_PAUSE
from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import Bench

ASSETS = ("stock_prices", "option_chains", "stock_premiums", "premium_rankings")


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, ["AAPL"])


def state(bench: Bench, asset: str, at: datetime) -> FreshnessState:
    """Return what Dagster's daemon would say of an asset at a time."""
    node = bench.definitions.resolve_asset_graph().get(dg.AssetKey(asset))
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(FRESHNESS)]()
    with freeze_time(at):
        return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(bench.instance), node))


def test_daily_syncs_are_never_further_apart_than_the_pause_that_is_allowed() -> None:
    sessions = exchange_calendars.get_calendar("XNYS", start="2015-01-01", end="2030-12-31").sessions
    assert max(after - before for before, after in pairwise(sessions)) == LONGEST_PAUSE


def test_each_asset_of_the_market_has_the_policy(bench: Bench) -> None:
    graph = bench.definitions.resolve_asset_graph()
    assert [graph.get(dg.AssetKey(asset)).freshness_policy for asset in ASSETS] == [FRESHNESS] * 4


@pytest.mark.parametrize("asset", ASSETS)
def test_an_asset_is_fresh_over_a_long_weekend_and_stale_when_the_next_sync_is_missing(
    bench: Bench, asset: str
) -> None:
    now = get_current_datetime()
    assert state(bench, asset, now) == FreshnessState.UNKNOWN

    bench.sync(SyncConfig(symbols=["AAPL"], sync_type="all"))
    bench.rank()

    assert state(bench, asset, now + LONGEST_PAUSE + timedelta(hours=7)) == FreshnessState.PASS
    assert state(bench, asset, now + LONGEST_PAUSE + timedelta(hours=9)) == FreshnessState.FAIL
