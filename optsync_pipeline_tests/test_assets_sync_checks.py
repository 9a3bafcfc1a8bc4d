"""The checks of a sync, evaluated by its own step: the share of symbols that are done, and the schema of the chains."""

from collections.abc import Iterator

import dagster as dg
import pytest

from optsync_pipeline.assets.source_checks import Turn
from optsync_pipeline.assets.sync_checks import MARKET_RULES, REFUSED_PCT_LIMITS, check_evaluations
from optsync_pipeline.quality.rules import RULES
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, SyncConfig
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_report import JobReport, ShortChain
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


def test_a_chain_that_came_short_is_a_warning_that_names_its_stock(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))
    bench.vendor.strikes["MSFT"] = 4

    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all")))["chain_complete"]

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "chains that came short: 1; 1 as short when asked once more: MSFT"
    assert found.metadata["agreed"].value == 1
    assert found.metadata["chains"].value == {
        "MSFT": "yahoo's chain lacked 3 of 7 strikes; asked once more, yahoo lacks as much: yahoo's is kept"
    }


def test_chains_that_stay_as_they_are_are_complete(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))

    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all")))["chain_complete"]

    assert found.passed
    assert found.description == "chains that came short: 0"


def test_of_many_short_chains_twenty_are_named() -> None:
    short = [ShortChain(f"S{number}", "mended", "short") for number in range(25)]

    found = next(
        one
        for one in check_evaluations(JobReport(JobTally({"success": 25}, 0, {}), short_chains=short), Turn(None, 0.0))
        if one.check_name == "chain_complete"
    )

    assert str(found.description).endswith("S19 and 5 more")
    assert len(found.metadata["chains"].value) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", sorted(REFUSED_PCT_LIMITS))
def test_more_contracts_under_a_rule_than_a_market_has_are_a_warning(rule: str) -> None:
    limit = REFUSED_PCT_LIMITS[rule]

    at_limit = judge(JobTally({"success": 1}, 1000, {rule: int(10 * limit)}), "refused_share")
    above = judge(JobTally({"success": 1}, 1000, {rule: int(10 * limit) + 1}), "refused_share")

    assert at_limit.passed
    assert (above.passed, above.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert above.description == f"{rule} {limit + 0.1:g} %, more than {limit:g} %"
    assert above.metadata[f"{rule}_pct"].value == limit + 0.1


def test_unsellable_contracts_of_a_sync_are_counted_against_those_it_fetched(bench: Bench) -> None:
    bench.vendor.crossed_contracts.update(SYMBOLS)

    found = checks(bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all")))["refused_share"]

    assert not found.passed
    assert found.description == "crossed_quote 7.14 %, more than 2 %"  # 1 of the 14 of each stock


def observations(bench: Bench) -> list[dict[str, object]]:
    """Return the metadata of each observation of sync_jobs, the oldest first."""
    records = bench.instance.fetch_observations(dg.AssetKey("sync_jobs"), limit=10, ascending=True).records
    found = [record.asset_observation for record in records]
    return [{name: value.value for name, value in one.metadata.items()} for one in found if one is not None]


def test_each_sync_leaves_one_observation_with_its_figures(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))

    first, second = observations(bench)

    assert first == {
        "symbols": 4,
        "success_share_pct": 100.0,
        "failed": 0,
        "contracts": 56,
        "requests": 4,
        "duration_seconds": 0.0,  # the clock stands still
        "symbols_per_second": 0.0,
        "short_chains": 0,
        "unusual_prices": 0,
    }
    assert (second["success_share_pct"], second["failed"], second["contracts"]) == (75.0, 1, 42)


def test_a_symbol_that_is_asked_again_is_no_sync_of_its_own(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1))

    bench.sync(SyncConfig(job_id=bench.job()["job_id"], tries=1), partition="MSFT")

    assert len(observations(bench)) == 1
