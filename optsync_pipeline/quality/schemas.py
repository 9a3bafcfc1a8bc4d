"""What a sound row looks like: the schemas of option_chains and stock_premiums, with the unit of each column.

They hold whatever the database's constraints hold and say it by name, so that a bad row is refused here and not by
PostgreSQL. Whether a sound row's quote is sellable is judged in rules.py, which also explains every rule's name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from optsync_pipeline.quality.rules import RULES

OPTION_TYPES = ("put", "call")
KEY = ["symbol", "expiration_date", "strike_price", "option_type"]
_BIGINT_END = 2.0**63


def _number(
    description: str, rule: str, sound: Callable[[pd.Series], pd.Series], *, required: bool = False
) -> pa.Column:
    """A column of finite numbers. One check decides about null as well, so that each failure carries its rule."""

    def passes(values: pd.Series) -> pd.Series:
        return (sound(values) & (values.abs() < np.inf)) | (values.isna() & (not required))

    return pa.Column(
        float, pa.Check(passes, ignore_na=False, error=rule), nullable=True, coerce=True, description=description
    )


def _present(description: str, rule: str, sound: Callable[[pd.Series], pd.Series] = pd.Series.notna) -> pa.Column:
    return pa.Column(None, pa.Check(sound, ignore_na=False, error=rule), nullable=True, description=description)


def _is_count(values: pd.Series) -> pd.Series:
    return (values >= 0) & (values < _BIGINT_END) & (values % 1 == 0)


_CONTRACT_COLUMNS = {
    "contract_symbol": _present("OCC symbol, without padding", "unreadable_contract_symbol"),
    "symbol": pa.Column(None, nullable=True, description="our key of the stock (BRK.B)"),
    "strike_price": _number("dollars per share, above 0", "missing_strike", lambda v: v > 0, required=True),
    "expiration_date": _present("the last trading day", "missing_expiration"),
    "option_type": _present("put or call", "unknown_option_type", lambda v: v.isin(OPTION_TYPES)),
    "volume": _number("contracts this session; null: unknown", "invalid_count", _is_count),
    "open_interest": _number("contracts; null: unknown", "invalid_count", _is_count),
    "quoted_at": _present("when the vendor's quote of the stock was made", "missing_quote_time"),
    "data_provider": pa.Column(None, nullable=True, description="who quoted it"),
}

CHAIN_SCHEMA = pa.DataFrameSchema(
    {
        **_CONTRACT_COLUMNS,
        "bid": _number("dollars per share; 0: no bid; null: none given", "negative_quote", lambda v: v >= 0),
        "ask": _number("dollars per share; 0: no ask; null: none given", "negative_quote", lambda v: v >= 0),
        "last_price": _number("dollars per share, of the last trade", "negative_quote", lambda v: v >= 0),
        "implied_volatility": _number("the vendor's own, a fraction", "invalid_implied_volatility", lambda v: v >= 0),
        "delta": _number("the vendor's own, a fraction", "invalid_greeks", lambda v: v.between(-1, 1)),
        **{
            greek: _number("the vendor's own, in its units", "invalid_greeks", pd.Series.notna)
            for greek in ("gamma", "theta", "vega", "rho")
        },
    },
    name="option_chains",
    description="Every standard contract of the chosen expirations as the vendor quoted it.",
)

_FETCHED_SCHEMA = CHAIN_SCHEMA.add_columns(
    {
        "underlying_price": _number("dollars", "missing_underlying_price", lambda v: v > 0, required=True),
        "dividend_yield": _number("a fraction a year", "invalid_dividend_yield", lambda v: v >= 0, required=True),
    }
)
_NUMBERS = [name for name, column in _FETCHED_SCHEMA.columns.items() if column.dtype is not None]


def split_by_schema(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the sound rows of a chunk and the refused ones, those with `rule` and `detail` added.

    frame: ContractQuote's fields, symbol, data_provider, quoted_at, underlying_price, dividend_yield, dte. Sound rows
    come back with float columns (NaN for null), volume and open_interest as Int64. The whole chunk is validated at
    once: pandera takes 3 ms a frame, whatever its size. A row that breaks several rules is refused under one.
    """
    frame = frame.reset_index(drop=True)
    # A column that is all None or holds a text arrives as objects; what is no number counts as not given.
    checked = frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype(float) for name in _NUMBERS})
    rule = pd.Series("", index=frame.index, dtype=object)
    detail = rule.copy()
    try:
        _FETCHED_SCHEMA.validate(checked, lazy=True, inplace=True)
    except SchemaErrors as errors:
        first = _first_failures(errors.failure_cases)
        rule.update(first["check"])
        detail.update(pd.Series(_tell(frame, first["column"]), index=first.index, dtype=object))
    twice = checked[rule == ""].duplicated(KEY).loc[lambda found: found].index
    rule[twice] = "duplicate_contract"
    detail[twice] = "the same expiration, strike and type came before it"
    refused = rule != ""
    sound = checked[~refused].astype({"volume": "Int64", "open_interest": "Int64"})
    # rejected_quotes is keyed by the contract symbol, also where that is what is missing.
    named = frame.loc[refused, "contract_symbol"].fillna("")
    return sound, frame[refused].assign(contract_symbol=named, rule=rule[refused], detail=detail[refused])


def _first_failures(failures: pd.DataFrame) -> pd.DataFrame:
    """One failure a row of the validated frame, under the rule that RULES names first; indexed as that frame is."""
    order = failures["check"].map({name: place for place, name in enumerate(RULES)})
    return failures.assign(order=order).sort_values("order", kind="stable").drop_duplicates("index").set_index("index")


def _tell(frame: pd.DataFrame, columns: pd.Series) -> list[str]:
    """Say what each row (the index of `columns`) holds in its offending column."""
    given: list[tuple[object, Any]] = [(name, frame.at[row, name]) for row, name in columns.items()]
    return [f"no {name}" if pd.isna(value) else f"{name} = {value}" for name, value in given]


def _recomputed(name: str, expected: Callable[[pd.DataFrame], pd.Series], formula: str) -> pa.Check:
    """A check that a stored column still follows from its row, within rounding."""

    def agrees(rows: pd.DataFrame) -> pd.Series:
        close = np.isclose(rows[name], expected(rows), rtol=1e-6, atol=1e-9)
        return pd.Series(close, index=rows.index)

    return pa.Check(agrees, ignore_na=False, error=f"{name} is {formula}")


def _outlay(rows: pd.DataFrame) -> pd.Series:
    """Dollars per share that the seller puts up: the strike for a put, the stock's price for a call."""
    return rows["strike_price"].where(rows["option_type"] == "put", rows["underlying_price"])


def _delta_fits_type(rows: pd.DataFrame) -> pd.Series:
    return rows["delta"].where(rows["option_type"] == "call", -rows["delta"]).between(0, 1)


def _required(description: str, sound: Callable[[pd.Series], pd.Series]) -> pa.Column:
    return _number(description, description, sound, required=True)


PREMIUM_SCHEMA = pa.DataFrameSchema(
    {
        **_CONTRACT_COLUMNS,
        "dte": _required("calendar days to expiration, at least 1", lambda v: v >= 1),
        "underlying_price": _required("dollars, above 0", lambda v: v > 0),
        "bid": _required("dollars per share, above 0", lambda v: v > 0),
        "ask": _required("dollars per share, above 0", lambda v: v > 0),
        "premium": _required("dollars per contract, above 0", lambda v: v > 0),
        "collateral": _required("dollars per contract, above 0", lambda v: v > 0),
        "break_even": _required("dollars per share", pd.Series.notna),
        "monthly_return": _required("percent of the outlay in 30 days, above 0", lambda v: v > 0),
        "annual_return": _required("percent of the outlay in 365 days, above 0", lambda v: v > 0),
        "probability_of_profit": _required("a fraction from 0 to 1", lambda v: v.between(0, 1)),
        "spread_pct": _required("percent of the mid, from 0 to 200", lambda v: v.between(0, 200)),
        "implied_volatility": _required("a fraction from 0.01 to 5", lambda v: v.between(0.01, 5)),
        "delta": _required("a fraction from -1 to 1", lambda v: v.between(-1, 1)),
        "greeks_source": _present(
            "vendor or black_scholes",
            "greeks_source is vendor or black_scholes",
            lambda v: v.isin(("vendor", "black_scholes")),
        ),
    },
    checks=[
        pa.Check(lambda rows: rows["ask"] >= rows["bid"], ignore_na=False, error="ask is not below bid"),
        pa.Check(_delta_fits_type, ignore_na=False, error="delta is -1 to 0 for a put, 0 to 1 for a call"),
        _recomputed("premium", lambda rows: 100 * rows["bid"], "100 x bid"),
        _recomputed("collateral", lambda rows: 100 * _outlay(rows), "100 x strike (put) or stock price (call)"),
        _recomputed("break_even", lambda rows: _outlay(rows) - rows["bid"], "strike (put) or stock price (call) - bid"),
        _recomputed(
            "monthly_return",
            lambda rows: 100 * rows["bid"] / _outlay(rows) * 30 / rows["dte"],
            "100 x bid / outlay x 30 / dte",
        ),
        _recomputed(
            "annual_return",
            lambda rows: 100 * rows["bid"] / _outlay(rows) * 365 / rows["dte"],
            "100 x bid / outlay x 365 / dte",
        ),
        _recomputed(
            "spread_pct",
            lambda rows: 100 * (rows["ask"] - rows["bid"]) / ((rows["ask"] + rows["bid"]) / 2),
            "100 x (ask - bid) / mid",
        ),
    ],
    name="stock_premiums",
    description="The sellable contracts with what their seller collects; recomputed from each row's own quote.",
)
