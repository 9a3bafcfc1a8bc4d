"""Frames into tables by COPY: what a value becomes on the way. Which rows, and in which transaction: market_tables.

A missing value (None, NaN, NaT) becomes NULL. Rendered by pyarrow: 8,000 rows of option_chains take 21 ms, 89 ms with
pandas' to_csv and 84 ms row by row.
"""

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd
import psycopg2.extensions
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

_QUOTE_KEY = ("symbol", "expiration_date", "strike_price", "option_type", "contract_symbol")
COLUMNS: dict[str, tuple[str, ...]] = {
    "stock_data": (
        "symbol", "current_price", "previous_close", "volume", "market_state", "dividend_yield", "listed_expirations",
        "expirations_provider", "quoted_at", "data_provider", "last_updated",
    ),
    "stock_prices": (
        "symbol", "price_date", "open", "high", "low", "close", "volume", "is_final", "data_provider", "updated_at",
    ),
    "option_chains": (
        *_QUOTE_KEY, "bid", "ask", "last_price", "volume", "open_interest", "implied_volatility", "delta", "gamma",
        "theta", "vega", "rho", "quoted_at", "data_provider", "last_updated",
    ),
    "stock_premiums": (
        *_QUOTE_KEY, "dte", "underlying_price", "bid", "ask", "premium", "delta", "implied_volatility",
        "greeks_source", "volume", "open_interest", "spread_pct", "break_even", "collateral", "monthly_return",
        "annual_return", "probability_of_profit", "quoted_at", "data_provider", "updated_at",
    ),
    "rejected_quotes": ("job_id", "symbol", "contract_symbol", "rule", "detail", "data_provider", "seen_at"),
}  # fmt: skip
_INTEGERS = frozenset({"volume", "open_interest", "dte", "job_id"})
_ARRAYS = frozenset({"listed_expirations"})


def render(table: str, frame: pd.DataFrame) -> bytes:
    """Return a frame's rows as COPY's CSV. Columns that the table lacks are left out."""
    if frame.empty:
        return b""
    arrays = [_column(name, frame[name]) for name in COLUMNS[table]]
    buffer = pa.BufferOutputStream()
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    # Combined: of an empty first chunk, which frames that were put together have, pyarrow 26 writes memory as it was.
    rows = pa.table(arrays, names=list(COLUMNS[table])).combine_chunks()
    pa_csv.write_csv(rows, buffer, options)
    return bytes(buffer.getvalue())


def copy_rendered(cursor: psycopg2.extensions.cursor, table: str, rendered: bytes) -> None:
    """Add rendered rows to a table."""
    if rendered:
        copy = f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN (FORMAT csv)"
        cursor.copy_expert(copy, io.BytesIO(rendered), size=1 << 20)


def copy_sound_rows(
    cursor: psycopg2.extensions.cursor, table: str, frame: pd.DataFrame, refusals: tuple[type[psycopg2.Error], ...]
) -> dict[int, str]:
    """Add the rows that the database takes; return PostgreSQL's message for each other one, by its position."""
    return _copy_or_split(cursor, table, frame, range(len(frame)), refusals)


def _copy_or_split(
    cursor: psycopg2.extensions.cursor,
    table: str,
    frame: pd.DataFrame,
    positions: Sequence[int],
    refusals: tuple[type[psycopg2.Error], ...],
) -> dict[int, str]:
    if not positions:
        return {}
    cursor.execute("SAVEPOINT sound_rows")
    try:
        copy_rendered(cursor, table, render(table, frame.iloc[positions[0] : positions[-1] + 1]))
    except refusals as error:
        cursor.execute("ROLLBACK TO SAVEPOINT sound_rows")
        if len(positions) == 1:
            return {positions[0]: error.diag.message_primary or str(error)}
    else:
        cursor.execute("RELEASE SAVEPOINT sound_rows")
        return {}
    half = len(positions) // 2
    refused = _copy_or_split(cursor, table, frame, positions[:half], refusals)
    return refused | _copy_or_split(cursor, table, frame, positions[half:], refusals)


def _column(name: str, values: "pd.Series[Any]") -> pa.Array:
    if name in _ARRAYS:
        return pa.array(["{" + ",".join(map(str, items)) + "}" for items in values])
    try:
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            # Handed over as it is, a column with a time zone is turned into Python objects one by one.
            return pc.assume_timezone(pa.array(values.dt.tz_convert(None).to_numpy(), from_pandas=True), "UTC")
        column = pa.array(values, from_pandas=True)
        return pc.cast(column, pa.int64()) if name in _INTEGERS else column
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        # A value of a wrong kind: as text PostgreSQL can judge it, and refuse that row alone.
        texts = [None if pd.isna(value) else str(value).encode(errors="replace").decode() for value in values]
        return pa.array(texts, pa.string())
