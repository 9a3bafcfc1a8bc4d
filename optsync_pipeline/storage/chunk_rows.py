"""The rows of one chunk, and the statements around their COPY: lock, clear, results."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
import psycopg2.extensions
from psycopg2.extras import Json, execute_values

from optsync_pipeline.storage.queries import sql_text

Row = dict[str, Any]

_RESULT_COLUMNS = (
    "job_id", "symbol", "status", "started_at", "completed_at", "duration_ms", "options_fetched", "options_inserted",
    "options_rejected", "premiums_inserted", "current_price", "expirations", "quoted_at", "error_type",
    "error_message", "retry_count", "requests", "data_provider", "attempts", "strikes", "chain_doubt", "chain_note",
)  # fmt: skip


@dataclass(slots=True)
class ChunkRows:
    """The rows of one chunk. Frames have at least their table's columns; results are rows of sync_stock_results.

    answers: what was found of each symbol: None for a chain, else no_options or delisted; without a symbol of which
    that was not asked, or not answered. A symbol without a row in stock_data keeps its old market rows.
    prices_only: chains and premiums stay what they are.
    """

    job_id: int
    stock_data: pd.DataFrame
    stock_prices: pd.DataFrame
    option_chains: pd.DataFrame
    stock_premiums: pd.DataFrame
    rejected_quotes: pd.DataFrame
    results: list[Row]
    answers: dict[str, str | None]
    prices_only: bool = False

    def of(self, symbols: Collection[str]) -> "ChunkRows":
        """Return the part of some symbols; the results are the same dicts."""
        frames = {
            field.name: frame[frame["symbol"].isin(list(symbols))]
            for field in fields(self)
            if isinstance(frame := getattr(self, field.name), pd.DataFrame)
        }
        return ChunkRows(
            job_id=self.job_id,
            **frames,
            results=[result for result in self.results if result["symbol"] in symbols],
            answers={symbol: answer for symbol, answer in self.answers.items() if symbol in symbols},
            prices_only=self.prices_only,
        )


def clear_for(cursor: psycopg2.extensions.cursor, rows: ChunkRows) -> None:
    """Lock the chunk's symbols in their order, so that two syncs of the same ones queue up; delete what is replaced."""
    symbols = [result["symbol"] for result in rows.results]
    cursor.execute(sql_text("lock_symbols"), {"symbols": symbols})
    renewed = rows.stock_data["symbol"].tolist()
    for table in ("stock_data",) if rows.prices_only else ("stock_data", "option_chains", "stock_premiums"):
        cursor.execute(f"DELETE FROM {table} WHERE symbol = ANY(%s)", (renewed,))  # noqa: S608 - a name of ours
    prices = {"symbols": rows.stock_prices["symbol"].tolist(), "dates": rows.stock_prices["price_date"].tolist()}
    cursor.execute(sql_text("delete_stock_prices"), prices)
    cursor.execute("DELETE FROM rejected_quotes WHERE job_id = %s AND symbol = ANY(%s)", (rows.job_id, symbols))


def write_results(cursor: psycopg2.extensions.cursor, rows: ChunkRows) -> None:
    """Write what became of the symbols, and what was found of them."""
    values = [tuple(_result_value(rows.job_id, result, name) for name in _RESULT_COLUMNS) for result in rows.results]
    execute_values(cursor, sql_text("upsert_sync_results"), values, page_size=1000)
    times = {result["symbol"]: result["completed_at"] for result in rows.results}
    asked = {result["symbol"]: {told["provider"] for told in result["attempts"]} for result in rows.results}
    found = {
        "symbols": list(rows.answers),
        "answers": list(rows.answers.values()),
        "answered_at": [times[symbol] for symbol in rows.answers],
        "answered_by": [",".join(asked[symbol]) for symbol in rows.answers],
    }
    cursor.execute(sql_text("update_answers"), found)


def _result_value(job_id: int, result: Row, name: str) -> Any:
    if name == "job_id":
        return job_id
    value = result[name]
    if name == "attempts":
        return Json(value)
    # PostgreSQL's text has no NUL, and what is said of a refused row may.
    return value.replace("\0", "") if isinstance(value, str) else value
