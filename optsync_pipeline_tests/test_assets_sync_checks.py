"""The checks of a sync, evaluated by its own step: the share of symbols that are done, and the schema of the chains."""

from collections.abc import Iterator

import dagster as dg
import pytest

from optsync_pipeline.assets.source_checks import Turn
from optsync_pipeline.assets.sync_checks import MARKET_RULES, check_evaluations
from optsync_pipeline.quality.rules import RULES
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, SyncConfig
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_report import JobReport
from optsync_pipeline.storage.table_checks import JobTally
from optsync_pipeline_tests.scripted_vendor import Bench, fails

SYMBOLS = ["AAPL", "BRK.B", "MSFT", "NVDA"]


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Return the evaluations of a run by the check's name."""
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def judge(tally: JobTally, name: str) -> dg.AssetCheckEvaluation:
    """Return what one check says of counts."""
    found = check_evaluations(JobReport(tally), Turn("yahoo", 1.0))
    return next(evaluation for evaluation in found if evaluation.check_name == name)


def test_a_sound_sync_passes_its_checks(bench: Bench) -> None:
    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all")))

    assert {name: evaluation.passed for name, evaluation in found.items()} == {
        "symbols_synced": True,
        "price_plausible": False,  # no history yet: nothing is known, and so nothing passes
        "provider_share": True,
        "chain_schema": True,
        "chain_complete": True,
        "refused_share": True,
    }


def test_too_many_failed_symbols_fail_the_share(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")

    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)))["symbols_synced"]

    assert not found.passed
    assert found.description == "3 of 4 symbols (75.0%)"


def test_a_symbol_healed_by_itself_heals_the_share_of_its_job(bench: Bench, database: Database) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))
    (job,) = database.fetch_all("SELECT job_id FROM sync_jobs")
    bench.vendor.faults.clear()

    found = checks(bench.sync(SyncConfig(job_id=job["job_id"], tries=1), partition="MSFT"))["symbols_synced"]

    assert found.passed
    assert found.description == "4 of 4 symbols (100.0%)"


def test_a_contract_out_of_range_fails_the_chain_schema_by_rule(bench: Bench) -> None:
    bench.vendor.broken_contracts.add("MSFT")

    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all")))["chain_schema"]

    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR  # 1 of 56 contracts is above 1 %
    assert found.metadata["refused_by_rule"].value == {"negative_quote": 1}


def test_more_failed_symbols_than_are_asked_again_fail_the_share_however_small() -> None:
    tally = JobTally({"success": 1150, "failed": MAX_REASKED_SYMBOLS + 1}, contracts_seen=0, refused_by_rule={})

    found = judge(tally, "symbols_synced")

    assert not found.passed
    assert found.description == "1150 of 1201 symbols (95.8%); 51 failed, more than 50: none is asked again"


def test_as_many_failed_symbols_as_are_asked_again_pass_where_the_share_is_kept() -> None:
    tally = JobTally({"success": 1150, "failed": MAX_REASKED_SYMBOLS}, contracts_seen=0, refused_by_rule={})

    assert judge(tally, "symbols_synced").passed


def test_every_fact_of_the_market_is_a_rule() -> None:
    assert set(RULES) >= MARKET_RULES


def test_a_fact_of_the_market_keeps_the_schema() -> None:
    tally = JobTally({"success": 1}, contracts_seen=10, refused_by_rule={"zero_bid": 4, "adjusted_contract": 1})

    assert judge(tally, "chain_schema").passed
