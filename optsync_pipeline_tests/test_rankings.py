"""The ranking: one contract a symbol within the limits, in order, and kept while there is nothing fresh to rank."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd

from optsync_pipeline.options.ranking import RankingLimits
from optsync_pipeline.storage import rankings, stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.chunks import EXPIRATION, NOW, make_chunk, open_job

LIMITS = RankingLimits()


def rank(database: Database, limits: RankingLimits = LIMITS, **changes: Any) -> dict[str, int]:
    arguments = {"fresh_since": NOW - timedelta(hours=2), "now": NOW} | changes
    counts = rankings.replace_rankings(database, limits=limits, **arguments)
    return {str(strategy): count for strategy, count in counts.items()}


def store(database: Database, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Store for each symbol contracts that are ranked unless a row says otherwise; strikes are 95, 94, … at 100."""
    job_id = open_job(database, list(rows))
    chunk = make_chunk(job_id, list(rows), contracts=24)
    chosen = []
    for symbol, wanted in rows.items():
        premiums = chunk.stock_premiums[chunk.stock_premiums["symbol"] == symbol].iloc[: len(wanted)].copy()
        for position, (index, row) in enumerate(zip(premiums.index, wanted, strict=True)):
            told: dict[str, Any] = {
                "option_type": "put", "strike_price": 95.0 - position, "contract_symbol": f"{symbol}#{position}",
                "underlying_price": 100.0, "delta": -0.3, "spread_pct": 5.0, "open_interest": 500.0,
                "monthly_return": 2.0,
            } | row  # fmt: skip
            for name, value in told.items():
                premiums.loc[index, name] = value
        chosen.append(premiums)
    chunk.stock_premiums = pd.concat(chosen)
    write_chunk(database, chunk)


def ranked(database: Database, strategy: Any = "cash_secured_put") -> list[str]:
    return [row["contract_symbol"] for row in rankings.read_rankings(database, strategy)]


def test_each_symbol_is_ranked_by_its_best_contract(database: Database) -> None:
    store(
        database,
        {
            "AAPL": [{"monthly_return": 1.0}, {"monthly_return": 3.0}],
            "MSFT": [{"monthly_return": 2.0}, {"monthly_return": 2.5}],
        },
    )

    assert rank(database) == {"cash_secured_put": 2, "covered_call": 0}
    assert ranked(database) == ["AAPL#1", "MSFT#1"]
    assert [row["rank"] for row in rankings.read_rankings(database)] == [1, 2]


def test_puts_and_calls_are_ranked_apart(database: Database) -> None:
    store(database, {"AAPL": [{}, {"option_type": "call", "strike_price": 105.0, "delta": 0.3}]})

    assert rank(database) == {"cash_secured_put": 1, "covered_call": 1}
    assert ranked(database, "covered_call") == ["AAPL#1"]
    (row,) = rankings.read_rankings(database, "covered_call", limit=1)
    assert (row["expiration_date"], row["option_type"], row["ranked_at"]) == (EXPIRATION, "call", NOW)


def test_a_contract_outside_the_default_limits_is_not_ranked(database: Database) -> None:
    outside: dict[str, dict[str, Any]] = {
        "DELTA.A": {"delta": -0.24},
        "DELTA.B": {"delta": -0.41},
        "SPREAD": {"spread_pct": 10.1},
        "INTEREST": {"open_interest": 99.0},
        "PUT": {"strike_price": 100.5},
        "CALL": {"option_type": "call", "delta": 0.3, "strike_price": 99.5},
        "OLD": {"quoted_at": NOW - timedelta(hours=2, seconds=1)},
        "EXPIRED": {"expiration_date": NOW.date() - timedelta(days=1)},
    }
    store(database, {symbol: [contract] for symbol, contract in outside.items()} | {"GOOD": [{}]})
    rank(database)

    assert [row["symbol"] for row in rankings.read_rankings(database)] == ["GOOD"]


def test_an_unknown_open_interest_is_not_enough_for_any_limit(database: Database) -> None:
    store(database, {"AAPL": [{"open_interest": float("nan")}], "MSFT": [{"open_interest": 0.0}]})
    rank(database, replace(LIMITS, min_open_interest=0))

    assert ranked(database) == ["MSFT#0"]


def test_contracts_must_be_as_far_out_of_the_money_as_asked(database: Database) -> None:
    call: dict[str, Any] = {"option_type": "call", "delta": 0.3}
    rows: dict[str, list[dict[str, Any]]] = {"NEAR": [{"strike_price": 95.5}, call | {"strike_price": 104.5}]}
    store(database, rows | {"FAR": [{"strike_price": 95.0}, call | {"strike_price": 105.0}]})

    assert rank(database, replace(LIMITS, min_otm_pct=5)) == {"cash_secured_put": 1, "covered_call": 1}
    assert ranked(database) == ["FAR#0"]


def test_a_contract_on_every_limit_is_ranked(database: Database) -> None:
    store(
        database,
        {
            "AAPL": [{"delta": -0.25, "spread_pct": 10.0, "open_interest": 100.0, "strike_price": 100.0}],
            "MSFT": [{"delta": -0.40, "quoted_at": NOW - timedelta(hours=2), "expiration_date": NOW.date()}],
        },
    )

    assert rank(database)["cash_secured_put"] == 2


def test_limits_beyond_the_index_work_too(database: Database) -> None:
    store(database, {"AAPL": [{"delta": -0.9, "strike_price": 120.0}], "MSFT": [{"delta": -0.05}]})

    assert (
        rank(database, replace(LIMITS, min_abs_delta=0.0, max_abs_delta=1.0, min_otm_pct=-50))["cash_secured_put"] == 2
    )


def test_ties_go_to_the_higher_open_interest_and_then_to_the_symbol(database: Database) -> None:
    store(
        database,
        {
            "CCC": [{"open_interest": 500.0}, {"open_interest": 600.0}],
            "BBB": [{"open_interest": 700.0}],
            "AAA": [{"open_interest": 600.0}],
        },
    )
    rank(database)

    assert ranked(database) == ["BBB#0", "AAA#0", "CCC#1"]


def test_a_stock_taken_out_of_the_universe_is_not_ranked(database: Database) -> None:
    store(database, {"AAPL": [{}], "MSFT": [{}]})
    stocks.deactivate(database, ["AAPL"], NOW)

    assert rank(database)["cash_secured_put"] == 1


def test_a_new_ranking_replaces_the_old_one_whole(database: Database) -> None:
    store(database, {"AAPL": [{}], "MSFT": [{}]})
    rank(database)
    store(database, {"AAPL": [{"delta": -0.9}]})
    rank(database)

    assert ranked(database) == ["MSFT#0"]


def test_without_any_fresh_quote_the_old_ranking_stays(database: Database) -> None:
    store(database, {"AAPL": [{}]})
    rank(database)

    assert rank(database, fresh_since=NOW + timedelta(hours=1)) == {}
    assert ranked(database) == ["AAPL#0"]


def test_a_fresh_quote_of_a_removed_stock_is_none_to_rank_by(database: Database) -> None:
    store(database, {"AAPL": [{}]})
    rank(database)
    stocks.deactivate(database, ["AAPL"], NOW)

    assert rank(database) == {}


def test_fresh_quotes_that_all_miss_the_limits_empty_the_ranking(database: Database) -> None:
    store(database, {"AAPL": [{}]})
    rank(database)
    store(database, {"AAPL": [{"delta": -0.9}]})

    assert rank(database) == {"cash_secured_put": 0, "covered_call": 0}
    assert ranked(database) == []
