"""Which rows are sound: what is refused, under which rule, and that a stored premium follows from its quote."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from optsync_pipeline.options.returns import premium_columns
from optsync_pipeline.quality.rules import RULES
from optsync_pipeline.quality.schemas import CHAIN_SCHEMA, PREMIUM_SCHEMA, split_by_schema

PUT: dict[str, Any] = {
    "contract_symbol": "AAPL260821P00095000", "expiration_date": date(2026, 8, 21), "strike_price": 95.0,
    "option_type": "put", "bid": 1.6, "ask": 1.7, "last_price": 1.65, "volume": 12, "open_interest": 500,
    "implied_volatility": 0.35, "delta": None, "gamma": None, "theta": None, "vega": None, "rho": None,
    "symbol": "AAPL", "data_provider": "yahoo", "quoted_at": pd.Timestamp("2026-07-16T15:30Z"),
    "underlying_price": 100.0, "dividend_yield": 0.0, "dte": 36,
}  # fmt: skip


def chain(*changes: dict[str, Any]) -> pd.DataFrame:
    """Rows of one chain, a dollar of strike apart, each with its changes."""
    return pd.DataFrame([{**PUT, "strike_price": 95.0 + place, **change} for place, change in enumerate(changes)])


def premiums(**changes: Any) -> pd.DataFrame:
    """A put and a call as stock_premiums holds them."""
    rows = pd.concat([chain({}), chain({"option_type": "call", "strike_price": 105.0})], ignore_index=True)
    number = {
        name: rows[name].to_numpy(dtype=float)
        for name in ("bid", "ask", "dte", "dividend_yield", "underlying_price", "strike_price", "implied_volatility")
    }
    columns = premium_columns(
        is_put=(rows["option_type"] == "put").to_numpy(),
        spot=number["underlying_price"],
        strike=number["strike_price"],
        sigma=number["implied_volatility"],
        vendor_delta=np.full(2, np.nan),
        rate=0.04,
        **{name: number[name] for name in ("bid", "ask", "dte", "dividend_yield")},
    )
    return rows.assign(**columns, greeks_source="black_scholes").assign(**changes)


def test_sound_rows_pass_as_numbers_with_nothing_refused() -> None:
    sound, refused = split_by_schema(chain({}, {}))
    assert len(sound) == 2
    assert refused.empty
    assert (sound["delta"].dtype, sound["volume"].dtype) == (np.dtype(float), pd.Int64Dtype())


@pytest.mark.parametrize(
    ("change", "rule", "detail"),
    [
        ({"strike_price": None}, "missing_strike", "no strike_price"),
        ({"strike_price": 0.0}, "missing_strike", "strike_price = 0.0"),
        ({"strike_price": -5.0}, "missing_strike", "strike_price = -5.0"),
        ({"strike_price": np.inf}, "missing_strike", "strike_price = inf"),
        ({"strike_price": "a lot"}, "missing_strike", "strike_price = a lot"),
        ({"bid": -0.01}, "negative_quote", "bid = -0.01"),
        ({"ask": -1.0}, "negative_quote", "ask = -1.0"),
        ({"ask": np.inf}, "negative_quote", "ask = inf"),
        ({"last_price": -1.0}, "negative_quote", "last_price = -1.0"),
        ({"volume": -1}, "invalid_count", "volume = -1"),
        ({"open_interest": 1e19}, "invalid_count", "open_interest = 1e+19"),
        ({"open_interest": 0.5}, "invalid_count", "open_interest = 0.5"),
        ({"implied_volatility": -0.2}, "invalid_implied_volatility", "implied_volatility = -0.2"),
        ({"delta": -1.01}, "invalid_greeks", "delta = -1.01"),
        ({"vega": np.inf}, "invalid_greeks", "vega = inf"),
        ({"option_type": "future"}, "unknown_option_type", "option_type = future"),
        ({"contract_symbol": None}, "unreadable_contract_symbol", "no contract_symbol"),
        ({"expiration_date": None}, "missing_expiration", "no expiration_date"),
        ({"quoted_at": None}, "missing_quote_time", "no quoted_at"),
        ({"underlying_price": 0.0}, "missing_underlying_price", "underlying_price = 0.0"),
        ({"dividend_yield": -0.1}, "invalid_dividend_yield", "dividend_yield = -0.1"),
    ],
)
def test_a_row_that_the_database_would_refuse_is_refused_by_name(
    change: dict[str, Any], rule: str, detail: str
) -> None:
    sound, refused = split_by_schema(chain({}, change, {}))
    assert len(sound) == 2
    assert refused[["rule", "detail"]].to_numpy().tolist() == [[rule, detail]]
    assert rule in RULES


@pytest.mark.parametrize(
    "column", ["bid", "ask", "last_price", "volume", "open_interest", "implied_volatility", "delta"]
)
@pytest.mark.parametrize("unknown", [None, np.nan])
def test_a_value_that_the_vendor_does_not_give_is_no_fault(column: str, unknown: float | None) -> None:
    sound, refused = split_by_schema(chain({column: unknown}, {}))
    assert refused.empty
    assert sound[column].isna().tolist() == [True, column == "delta"]


def test_a_zero_or_crossed_quote_is_stored_as_it_was_quoted() -> None:
    sound, _ = split_by_schema(chain({"bid": 0.0, "ask": 0.0}, {"bid": 2.0, "ask": 1.0}))
    assert len(sound) == 2


def test_of_two_contracts_with_one_key_the_later_is_a_duplicate() -> None:
    sound, refused = split_by_schema(chain({"bid": 1.0}, {"bid": 1.1, "strike_price": 95.0}))
    assert sound["bid"].tolist() == [1.0]
    assert refused["rule"].tolist() == ["duplicate_contract"]


def test_a_contract_is_no_duplicate_of_a_refused_one() -> None:
    sound, refused = split_by_schema(chain({"bid": -1.0}, {"bid": 1.1, "strike_price": 95.0}))
    assert sound["bid"].tolist() == [1.1]
    assert refused["rule"].tolist() == ["negative_quote"]


def test_the_same_strike_of_another_stock_is_no_duplicate() -> None:
    _, refused = split_by_schema(chain({}, {"strike_price": 95.0, "symbol": "MSFT"}))
    assert refused.empty


def test_a_row_with_several_faults_is_refused_once() -> None:
    _, refused = split_by_schema(chain({"strike_price": None, "bid": -1.0, "delta": 9.0}))
    assert refused["rule"].tolist() == ["missing_strike"]


def test_a_refused_row_without_a_contract_symbol_can_still_be_logged() -> None:
    _, refused = split_by_schema(chain({"contract_symbol": None}))
    assert refused["contract_symbol"].tolist() == [""]


def test_an_empty_chunk_has_neither_sound_nor_refused_rows() -> None:
    sound, refused = split_by_schema(chain({}).iloc[:0])
    assert sound.empty
    assert refused.empty
    assert {"rule", "detail"} <= set(refused.columns)


def test_ten_thousand_rows_are_validated_at_once() -> None:
    row = chain({})
    frame = row.loc[row.index.repeat(10_000)].assign(strike_price=np.arange(1.0, 10_001))
    sound, refused = split_by_schema(frame)
    assert (len(sound), len(refused)) == (10_000, 0)


def test_the_chain_schema_accepts_a_stored_table_without_what_only_a_fetch_has() -> None:
    stored = chain({}).drop(columns=["underlying_price", "dividend_yield", "dte"])
    CHAIN_SCHEMA.validate(stored, lazy=True)


def test_premiums_as_they_are_computed_pass() -> None:
    PREMIUM_SCHEMA.validate(premiums(), lazy=True)


def test_an_empty_premium_table_passes() -> None:
    PREMIUM_SCHEMA.validate(premiums().iloc[:0], lazy=True)


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"premium": [160.0, 161.0]}, "premium is 100 x bid"),
        ({"collateral": 9500.0}, "collateral is 100 x strike (put) or stock price (call)"),
        ({"break_even": 93.4}, "break_even is strike (put) or stock price (call) - bid"),
        ({"monthly_return": 1.4}, "monthly_return is 100 x bid / outlay x 30 / dte"),
        ({"annual_return": 20.0}, "annual_return is 100 x bid / outlay x 365 / dte"),
        ({"spread_pct": 6.0}, "spread_pct is 100 x (ask - bid) / mid"),
        ({"delta": 0.3}, "delta is -1 to 0 for a put, 0 to 1 for a call"),
        ({"ask": 1.5}, "ask is not below bid"),
        ({"bid": 0.0}, "dollars per share, above 0"),
        ({"dte": 0}, "calendar days to expiration, at least 1"),
        ({"implied_volatility": 7.0}, "a fraction from 0.01 to 5"),
        ({"implied_volatility": np.nan}, "a fraction from 0.01 to 5"),
        ({"probability_of_profit": 1.2}, "a fraction from 0 to 1"),
        ({"greeks_source": "guess"}, "greeks_source is vendor or black_scholes"),
    ],
)
def test_a_premium_that_does_not_follow_from_its_quote_fails(change: dict[str, Any], failure: str) -> None:
    with pytest.raises(SchemaErrors) as failed:
        PREMIUM_SCHEMA.validate(premiums(**change), lazy=True)
    assert failure in set(failed.value.failure_cases["check"])


@pytest.mark.parametrize("schema", [CHAIN_SCHEMA, PREMIUM_SCHEMA], ids=["chains", "premiums"])
def test_every_column_says_what_it_holds(schema: Any) -> None:
    assert all(column.description for column in schema.columns.values())
