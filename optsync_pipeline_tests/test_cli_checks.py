"""`optsync checks`: the latest report of every check, and the exit code that a script reads."""

import pytest

from optsync_pipeline.cli.app import App
from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.commands import Run, run, settings_of_test
from optsync_pipeline_tests.scripted_vendor import Bench

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")

SYMBOLS = ["AAPL", "MSFT"]


def sync_and_rank(database: Database, database_url: str, *, broken: bool = False) -> None:
    """Sync two stocks and rank, on the instance that the commands read; broken: a contract is out of range."""
    with App(settings=load_settings(env_file=None)).open_instance() as instance:
        bench = Bench(database_url, database, instance, SYMBOLS)
        bench.vendor.broken_contracts.update(SYMBOLS if broken else ())
        bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))
        bench.rank()


def test_before_any_run_it_says_so(run: Run) -> None:
    ended = run("checks")
    assert ended.exit_code == 3
    assert ended.out == ""
    assert "no check has run yet: `optsync sync` runs those of the sync" in ended.err


def test_every_check_is_shown_by_asset_and_warnings_end_well(run: Run, database: Database, database_url: str) -> None:
    sync_and_rank(database, database_url)

    ended = run("checks")

    assert ended.exit_code == 0
    headings, *lines = ended.out.splitlines()
    assert headings.split() == ["asset", "check", "state", "when", "what", "it", "found"]
    assert [line.split()[:3] for line in lines] == [
        ["stock_prices", "price_plausible", "warning"],
        ["stock_prices", "provider_share", "passed"],
        ["stock_prices", "quote_age", "passed"],
        ["stock_prices", "symbols_synced", "passed"],
        ["option_chains", "chain_complete", "passed"],
        ["option_chains", "chain_schema", "passed"],
        ["option_chains", "refused_share", "passed"],
        ["option_chains", "rows_logged", "passed"],
        ["stock_premiums", "premium_schema", "passed"],
        ["stock_premiums", "quotes_two_sided", "passed"],
        ["premium_rankings", "ranking_sorted", "passed"],
    ]
    assert lines[0].endswith("not enough history: 2 stocks have fewer than 21 closes")


def test_a_failed_error_ends_with_1_and_failed_shows_only_what_did_not_pass(
    run: Run, database: Database, database_url: str
) -> None:
    sync_and_rank(database, database_url, broken=True)

    ended = run("checks", "--failed")

    assert ended.exit_code == 1
    assert [line.split()[:3] for line in ended.out.splitlines()[1:]] == [
        ["stock_prices", "price_plausible", "warning"],
        ["option_chains", "chain_schema", "failed"],
    ]


def test_programs_get_what_each_check_means(run: Run, database: Database, database_url: str) -> None:
    sync_and_rank(database, database_url)

    told = {report["check"]: report for report in run("checks", "--json").json}

    share = told["symbols_synced"]
    assert (share["asset"], share["state"], share["severity"]) == ("stock_prices", "passed", "ERROR")
    assert share["description"] == "2 of 2 symbols (100.0%)"
    assert share["meaning"].startswith("At least 95% of the sync's symbols are done")
    assert share["at"].endswith("+00:00")


def test_checks_that_never_ran_are_told_beside_those_that_did(run: Run, database: Database, database_url: str) -> None:
    with App(settings=load_settings(env_file=None)).open_instance() as instance:
        Bench(database_url, database, instance, SYMBOLS).sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))

    told = {report["check"]: report["state"] for report in run("checks", "--json").json}

    assert told["symbols_synced"] == "passed"
    assert told["ranking_sorted"] == "never ran"
