"""The two jobs, run on a real database: order, what blocks what, and what each check's last word is."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import AssetCheckKey, AssetKey

from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import Bench, fails

SYMBOLS = ["AAPL", "BRK.B", "MSFT"]

OF_THE_SYNC = {
    "symbols_synced", "price_plausible", "provider_share", "chain_schema", "chain_complete", "refused_share",
}  # fmt: skip
OF_THE_TABLES = {"quote_age", "rows_logged", "premium_schema", "quotes_two_sided", "ranking_sorted"}
# Without a history of prices, whether they are likely is unknown, which is no pass.
SOUND = dict.fromkeys(OF_THE_SYNC | OF_THE_TABLES, "SUCCEEDED") | {"price_plausible": "FAILED"}


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        bench = Bench(database_url, database, instance, SYMBOLS)
        bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))
        yield bench


def last_words(bench: Bench) -> dict[str, str]:
    """Return what Dagster shows as the latest state of each check."""
    keys = list(bench.definitions.resolve_asset_graph().asset_check_keys)
    records = bench.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {key.name: record.status.value for key, record in records.items()}


def ranked(bench: Bench) -> list[tuple[str, int, str]]:
    """Return the ranking as (strategy, rank, symbol)."""
    rows = bench.database.fetch_all("SELECT strategy, rank, symbol FROM premium_rankings ORDER BY strategy, rank")
    return [(row["strategy"], row["rank"], row["symbol"]) for row in rows]


def break_a_premium(bench: Bench) -> None:
    """Make a row that no longer follows from its own quote."""
    bench.database.execute("UPDATE stock_premiums SET monthly_return = 99 WHERE symbol = 'MSFT'")


def test_the_ranking_follows_the_schema_check_and_its_own_check_sees_it(bench: Bench) -> None:
    result = bench.rank()

    assert result.success
    finished = [e.step_key for e in result.all_events if e.is_step_success]
    assert finished.index("stock_premiums_premium_schema") < finished.index("premium_rankings")
    # Before this run there was no ranking, so a check that came first would have found it empty.
    assert last_words(bench)["ranking_sorted"] == "SUCCEEDED"
    assert [row[1:] for row in ranked(bench)] == [(1, "AAPL"), (2, "BRK.B"), (3, "MSFT")] * 2


def test_a_failed_premium_schema_stops_the_ranking_and_the_old_one_stays(bench: Bench) -> None:
    bench.rank()
    before = ranked(bench)
    break_a_premium(bench)

    result = bench.rank()

    assert not result.success
    assert ranked(bench) == before
    assert last_words(bench)["premium_schema"] == "FAILED"


def test_a_stopped_ranking_leaves_no_check_skipped(bench: Bench) -> None:
    bench.rank()
    break_a_premium(bench)

    bench.rank()

    assert last_words(bench) == SOUND | {"premium_schema": "FAILED"}


def test_a_partition_with_all_checks_of_its_assets_leaves_none_skipped(bench: Bench) -> None:
    """As `dagster asset materialize --partition` runs it: all checks of the selected assets come along."""
    bench.rank()
    bench.vendor.faults["AAPL"] = fails("AAPL")
    job = bench.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={AssetKey("stock_prices"), AssetKey("option_chains"), AssetKey("stock_premiums")}
    )

    job.execute_in_process(
        instance=bench.instance,
        partition_key="AAPL",
        run_config={"ops": {"market_data": {"config": {"tries": 1}}}},
        raise_on_error=False,
    )

    assert last_words(bench) == SOUND | {"symbols_synced": "FAILED"}


def test_the_sync_job_does_not_run_the_checks_of_the_tables(bench: Bench) -> None:
    assert set(last_words(bench)) == OF_THE_SYNC
    assert AssetCheckKey(AssetKey("stock_premiums"), "premium_schema").name not in last_words(bench)
