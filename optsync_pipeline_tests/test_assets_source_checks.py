"""Whether a sync's sources may be trusted: are its prices likely, did its first provider serve."""

from collections.abc import Iterator

import dagster as dg
import pytest

from optsync_pipeline.assets.source_checks import Turn, provider_share, turn_of
from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_progress import ProviderShare
from optsync_pipeline.storage.job_report import JobReport
from optsync_pipeline.storage.table_checks import JobTally
from optsync_pipeline_tests.scripted_vendor import Bench, QuotingVendor, ScriptedVendor, fails
from optsync_pipeline_tests.test_price_moves import HISTORY, add_closes

SYMBOLS = ["AAPL", "MSFT", *(f"S{number}" for number in range(18))]


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def check(bench: Bench, name: str, symbols: list[str] = SYMBOLS) -> dg.AssetCheckEvaluation:
    """Sync the stocks and return what a check says of it."""
    result = bench.sync(SyncConfig(symbols=symbols, sync_type="all", tries=1))
    return next(found for found in result.get_asset_check_evaluations() if found.check_name == name)


def test_without_any_history_the_prices_do_not_pass(bench: Bench) -> None:
    found = check(bench, "price_plausible")

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "not enough history: 20 stocks have fewer than 21 closes"
    assert (found.metadata["checked"].value, found.metadata["not_enough_history"].value) == (0, 20)


def test_likely_prices_pass_and_stocks_without_history_are_counted(bench: Bench) -> None:
    add_closes(bench.database, "AAPL", HISTORY)

    found = check(bench, "price_plausible", ["AAPL", "MSFT"])

    assert found.passed
    assert found.description == (
        "prices checked: 1, unusual: 0, of these confirmed: 0; not enough history: 1 stock has fewer than 21 closes"
    )


def test_an_unusual_price_that_nobody_confirms_is_a_warning_that_names_it(bench: Bench) -> None:
    add_closes(bench.database, "AAPL", HISTORY)
    bench.vendor.prices["AAPL"] = 110.0

    found = check(bench, "price_plausible", ["AAPL", "MSFT"])

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "unusual: 1, of these confirmed: 0; AAPL 110 $, 10." in str(found.description)
    assert "no second provider quoted it" in str(found.description)


def test_an_unusual_price_that_a_second_provider_confirms_passes(bench: Bench) -> None:
    first, second = ScriptedVendor(name="cboe"), QuotingVendor(name="yahoo")
    first.prices["AAPL"] = second.prices["AAPL"] = 110.0
    bench.ask_of(first, second)
    add_closes(bench.database, "AAPL", HISTORY)

    found = check(bench, "price_plausible", ["AAPL", "MSFT"])

    assert found.passed
    assert (found.metadata["unusual"].value, found.metadata["confirmed"].value) == (1, 1)


def test_an_unusual_price_that_a_second_provider_contradicts_fails(bench: Bench) -> None:
    first, second = ScriptedVendor(name="cboe"), QuotingVendor(name="yahoo")
    first.prices["AAPL"] = 25.0
    bench.ask_of(first, second)
    add_closes(bench.database, "AAPL", HISTORY)

    found = check(bench, "price_plausible", ["AAPL"])

    assert not found.passed
    assert found.metadata["contradicted"].value == 1


def test_a_first_provider_that_serves_less_than_half_is_a_warning(bench: Bench) -> None:
    first, second = ScriptedVendor({symbol: fails(symbol) for symbol in SYMBOLS[:11]}), ScriptedVendor(name="cboe")
    bench.ask_of(first, second)

    found = check(bench, "provider_share")

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "cboe 55 %, yahoo 45 %; yahoo, which comes first, served less than 50 %"
    assert found.metadata["yahoo_pct"].value == 45.0


def test_a_first_provider_that_serves_half_passes(bench: Bench) -> None:
    first, second = ScriptedVendor({symbol: fails(symbol) for symbol in SYMBOLS[:10]}), ScriptedVendor(name="cboe")
    bench.ask_of(first, second)

    assert check(bench, "provider_share").passed


def report(left_out: dict[str, str] | None = None, **served: int) -> JobReport:
    """Return a job of which each provider served so many symbols."""
    shares = [ProviderShare(name, count, count, count, {}) for name, count in served.items()]
    return JobReport(JobTally({"success": 1}, 0, {}), shares=shares, left_out=left_out or {})


def test_few_symbols_are_no_share() -> None:
    found = provider_share(report(yahoo=0, cboe=19), Turn("yahoo", 1.0))

    assert found.passed
    assert "19 symbols served, too few to judge a share by" in str(found.description)


def test_a_first_provider_that_could_not_be_used_is_told_and_not_judged() -> None:
    found = provider_share(report({"yahoo": "blocked"}, yahoo=1, cboe=99), Turn("yahoo", 1.0))

    assert found.passed
    assert found.description == "yahoo 1 %, cboe 99 %; yahoo was left out: blocked"


def test_with_spillover_a_provider_is_to_serve_what_its_limit_gives_it() -> None:
    settings = load_settings(env_file=None, yahoo_requests_per_minute=25, cboe_requests_per_minute=75)
    turn = turn_of(("yahoo", "cboe"), settings)

    assert turn == Turn("yahoo", 0.25)
    assert provider_share(report(yahoo=13, cboe=87), turn).passed
    assert not provider_share(report(yahoo=12, cboe=88), turn).passed


def test_without_spillover_the_first_is_to_serve_all() -> None:
    assert turn_of(("yahoo", "cboe"), load_settings(env_file=None, spillover=False)) == Turn("yahoo", 1.0)
    assert turn_of((), load_settings(env_file=None)) == Turn(None, 0.0)
