"""Each check of what the tables hold passes on sound rows and fails on broken ones.

The tables' own constraints forbid most of what these checks look for, so the tests drop the constraint first: what a
check is for is the day on which one is missing.
"""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial

import dagster as dg
import pytest

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.storage.chunk_rows import write_results
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.table_checks import premiums_in_parts
from optsync_pipeline_tests.chunks import make_chunk, open_job
from optsync_pipeline_tests.scripted_vendor import ScriptedVendor, pipeline_of, settings_of

NOW = datetime(2026, 7, 16, 15, 0, tzinfo=UTC)

# Design's check value: S 100, K 95, 30 days, bid 1.60.
PREMIUM = {
    "symbol": "AAPL",
    "expiration_date": "2026-08-15",
    "strike_price": 95.0,
    "option_type": "put",
    "contract_symbol": "AAPL260815P00095000",
    "dte": 30,
    "underlying_price": 100.0,
    "bid": 1.60,
    "ask": 1.70,
    "premium": 160.0,
    "delta": -0.2762,
    "implied_volatility": 0.35,
    "greeks_source": "black_scholes",
    "open_interest": 500,
    "spread_pct": 100 * 0.10 / 1.65,
    "break_even": 93.40,
    "collateral": 9500.0,
    "monthly_return": 160 / 95,
    "annual_return": 160 / 95 * 365 / 30,
    "probability_of_profit": 0.7464,
    "quoted_at": NOW,
    "data_provider": "yahoo",
    "updated_at": NOW,
}
_NOT_RANKED = ("greeks_source", "updated_at")
RANKED = {name: value for name, value in PREMIUM.items() if name not in _NOT_RANKED} | {
    "strategy": "cash_secured_put",
    "rank": 1,
    "ranked_at": NOW,
}


def insert(database: Database, table: str, row: dict[str, object]) -> None:
    names = ", ".join(row)
    values = ", ".join(f"%({name})s" for name in row)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 - names from this file


@pytest.fixture(autouse=True)
def stocks(database: Database) -> None:
    database.execute("INSERT INTO stocks (symbol) VALUES ('AAPL'), ('MSFT')")


@pytest.fixture
def evaluate(database_url: str) -> Callable[[str, str], dg.AssetCheckEvaluation]:
    """Run one check as Dagster runs it, alone, and return what it says."""
    vendor = ScriptedVendor()
    definitions = build_definitions(settings_of(database_url), pipeline_of(database_url, vendor))

    def run(asset: str, name: str) -> dg.AssetCheckEvaluation:
        job = dg.define_asset_job(
            "one_check", selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), name))
        )
        one = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("one_check")
        with dg.DagsterInstance.ephemeral() as instance:
            (found,) = one.execute_in_process(instance=instance, raise_on_error=False).get_asset_check_evaluations()
        return found

    return run


Evaluate = Callable[[str, str], dg.AssetCheckEvaluation]


def test_a_sound_premium_passes_the_schema(database: Database, evaluate: Evaluate) -> None:
    insert(database, "stock_premiums", PREMIUM)

    found = evaluate("stock_premiums", "premium_schema")

    assert found.passed
    assert found.blocking
    assert found.metadata["rows"].value == 1


def test_a_return_that_does_not_follow_from_its_quote_fails_the_schema(database: Database, evaluate: Evaluate) -> None:
    insert(database, "stock_premiums", PREMIUM | {"monthly_return": 40.0})

    found = evaluate("stock_premiums", "premium_schema")

    assert not found.passed
    assert "monthly_return" in str(found.description)
    assert "AAPL260815P00095000" in str(found.metadata["first_contract_by_rule"].value)


def test_a_premium_out_of_range_fails_the_schema(database: Database, evaluate: Evaluate) -> None:
    database.execute("ALTER TABLE stock_premiums DROP CONSTRAINT stock_premiums_probability_of_profit_check")
    insert(database, "stock_premiums", PREMIUM | {"probability_of_profit": 1.5})

    found = evaluate("stock_premiums", "premium_schema")

    assert not found.passed
    assert "a fraction from 0 to 1" in str(found.description)


def test_an_empty_premium_table_keeps_the_schema(evaluate: Evaluate) -> None:
    assert evaluate("stock_premiums", "premium_schema").passed


def test_the_table_is_read_in_parts_that_hold_every_row_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for strike in range(80, 87):
        insert(database, "stock_premiums", PREMIUM | {"strike_price": strike})
    monkeypatch.setattr("optsync_pipeline.storage.table_checks.PART_BYTES", 1000)

    parts = [list(part["strike_price"]) for part in premiums_in_parts(database)]

    assert len(parts) > 1
    assert all(len(part) <= 4 for part in parts)
    assert sorted(strike for part in parts for strike in part) == list(range(80, 87))


def test_a_part_holds_what_the_table_holds(database: Database) -> None:
    insert(database, "stock_premiums", PREMIUM | {"volume": None, "break_even": float("nan")})

    (part,) = premiums_in_parts(database)

    (row,) = part.to_dict("records")
    assert math.isnan(row.pop("volume"))
    assert math.isnan(row.pop("break_even"))
    assert row == {
        name: value for name, value in PREMIUM.items() if name not in ("volume", "break_even", "updated_at")
    } | {"expiration_date": date(2026, 8, 15)}


def test_a_number_that_is_none_fails_the_schema(database: Database, evaluate: Evaluate) -> None:
    insert(database, "stock_premiums", PREMIUM | {"break_even": float("inf"), "volume": 0})

    assert not evaluate("stock_premiums", "premium_schema").passed


def test_two_sided_quotes_pass(database: Database, evaluate: Evaluate) -> None:
    insert(database, "stock_premiums", PREMIUM)

    assert evaluate("stock_premiums", "quotes_two_sided").passed


@pytest.mark.parametrize(
    ("quote", "constraint", "counted"),
    [
        ({"bid": 0.0}, "stock_premiums_bid_check", "zero_quotes"),
        ({"bid": 1.60, "ask": 1.50}, "stock_premiums_check", "crossed_quotes"),
    ],
)
def test_a_zero_or_crossed_quote_fails(
    quote: dict[str, float], constraint: str, counted: str, database: Database, evaluate: Evaluate
) -> None:
    database.execute(f"ALTER TABLE stock_premiums DROP CONSTRAINT {constraint}")
    insert(database, "stock_premiums", PREMIUM)
    insert(database, "stock_premiums", PREMIUM | {"symbol": "MSFT"} | quote)

    found = evaluate("stock_premiums", "quotes_two_sided")

    assert not found.passed
    assert found.metadata[counted].value == 1


def test_a_ranking_in_order_passes(database: Database, evaluate: Evaluate) -> None:
    insert(database, "premium_rankings", RANKED)
    insert(database, "premium_rankings", RANKED | {"symbol": "MSFT", "rank": 2, "monthly_return": 1.0})

    assert evaluate("premium_rankings", "ranking_sorted").passed


def test_an_empty_ranking_fails(evaluate: Evaluate) -> None:
    found = evaluate("premium_rankings", "ranking_sorted")

    assert not found.passed
    assert found.description == "the ranking is empty"


def test_a_ranking_from_before_the_latest_session_fails(database: Database, evaluate: Evaluate) -> None:
    insert(database, "premium_rankings", RANKED | {"ranked_at": datetime(2026, 7, 16, 13, 29, tzinfo=UTC)})

    found = evaluate("premium_rankings", "ranking_sorted")

    assert not found.passed
    assert "of 2026-07-16 13:29 UTC, before the latest session opened at 2026-07-16 13:30 UTC" in str(found.description)


@pytest.mark.parametrize(
    ("second", "fault"),
    [({"rank": 3, "monthly_return": 1.0}, "ranks"), ({"rank": 2, "monthly_return": 9.0}, "not sorted")],
)
def test_a_ranking_with_a_gap_or_out_of_order_fails(
    second: dict[str, float], fault: str, database: Database, evaluate: Evaluate
) -> None:
    insert(database, "premium_rankings", RANKED)
    insert(database, "premium_rankings", RANKED | {"symbol": "MSFT"} | second)

    found = evaluate("premium_rankings", "ranking_sorted")

    assert not found.passed
    assert fault in str(found.description)


def quoted(database: Database, symbol: str, at: datetime) -> None:
    row = {"symbol": symbol, "current_price": 100, "quoted_at": at, "data_provider": "yahoo", "last_updated": at}
    insert(database, "stock_data", row)


def test_quotes_of_the_latest_finished_session_are_not_old(database: Database, evaluate: Evaluate) -> None:
    quoted(database, "AAPL", NOW)
    quoted(database, "MSFT", datetime(2026, 7, 15, 13, 30, tzinfo=UTC))  # Thursday is not over, so Wednesday counts

    found = evaluate("stock_prices", "quote_age")

    assert found.passed
    assert found.metadata["outdated"].value == 0
    assert found.metadata["oldest_quote_hours"].value == 25.5
    assert found.metadata["median_quote_hours"].value == 12.75


def test_quotes_from_before_the_latest_finished_session_are_a_warning(database: Database, evaluate: Evaluate) -> None:
    quoted(database, "AAPL", NOW)
    quoted(database, "MSFT", datetime(2026, 7, 15, 13, 29, tzinfo=UTC))

    found = evaluate("stock_prices", "quote_age")

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == (
        "1 of 2 stocks (50.0 %) have no quote since the session of 2026-07-15 opened; 0 were never quoted"
    )


def test_a_stock_that_was_never_quoted_is_outdated_unless_it_has_nothing_to_quote(
    database: Database, evaluate: Evaluate
) -> None:
    quoted(database, "AAPL", NOW)

    found = evaluate("stock_prices", "quote_age")
    database.execute("UPDATE stocks SET answer = 'no_options' WHERE symbol = 'MSFT'")
    after = evaluate("stock_prices", "quote_age")

    assert (found.passed, found.metadata["never_quoted"].value) == (False, 1)
    assert after.passed


def test_the_rows_of_a_sync_are_those_of_the_log(database: Database, evaluate: Evaluate) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    write_chunk(database, make_chunk(job_id, ["AAPL", "MSFT"]))

    found = evaluate("option_chains", "rows_logged")

    assert found.passed
    assert found.description == "stocks that differ: 0"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM option_chains WHERE strike_price = 90", "AAPL (sync 1): 2 of 4 contracts, 3 of 3 premiums"),
        ("DELETE FROM stock_premiums", "AAPL (sync 1): 4 of 4 contracts, 0 of 3 premiums"),
        ("DELETE FROM sync_jobs", "AAPL (sync unknown): 4 of 0 contracts, 3 of 0 premiums"),
    ],
)
def test_rows_that_no_sync_wrote_or_that_somebody_deleted_fail(
    change: str, told: str, database: Database, evaluate: Evaluate
) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL"]), ["AAPL"]))
    database.execute(change)

    found = evaluate("option_chains", "rows_logged")

    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.description == f"stocks that differ: 1; {told}"


def test_a_later_failure_or_prices_alone_leave_the_rows_as_logged(database: Database, evaluate: Evaluate) -> None:
    write_chunk(database, make_chunk(open_job(database, ["AAPL"]), ["AAPL"]))
    failed = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    failed.results[0] |= {"status": "failed", "options_inserted": 0, "premiums_inserted": 0}
    prices = make_chunk(open_job(database, ["AAPL"], prices_only=True), ["AAPL"])
    prices.results[0] |= {"options_inserted": 0, "premiums_inserted": 0}
    for chunk in (failed, prices):
        database.run_transaction(partial(write_results, rows=chunk))

    assert evaluate("option_chains", "rows_logged").passed
