"""One symbol whose rows the database refuses, in whole or in part: what it takes is kept, the rest is told.

A refused contract goes to rejected_quotes with the rule `database_refused` and PostgreSQL's message, and so does its
premium. A symbol whose stock_data row is refused, or of whose contracts none is taken, ends as failed with db_error and
keeps its old rows.
"""

import logging
from typing import Any

import pandas as pd
import psycopg2.extensions

from optsync_pipeline.storage.chunk_rows import ChunkRows, Row, clear_for, write_results
from optsync_pipeline.storage.copying import copy_sound_rows
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import ROW_REFUSALS

RULE = "database_refused"
_KEY = ["expiration_date", "strike_price", "option_type"]

log = logging.getLogger(__name__)


class _SymbolRefusedError(Exception):
    """Nothing of the symbol can be stored. Carries PostgreSQL's message."""


def write_sound_rows(database: Database, rows: ChunkRows) -> list[Row]:
    """Write one symbol's rows without those that are refused; return these, and correct the symbol's result."""
    (result,) = rows.results
    try:
        refused, corrected = database.run_transaction(lambda cursor: _write_what_is_sound(cursor, rows, dict(result)))
    except _SymbolRefusedError as error:
        message = str(error)
        refused, corrected = database.run_transaction(lambda cursor: _write_failure(cursor, rows, result, message))
    result.update(corrected)
    if refused:  # a chunk can be refused for what its parts are not
        log.warning("%s: the database refused %d rows: %s", result["symbol"], len(refused), refused[0]["detail"])
    return refused


def _write_what_is_sound(cursor: psycopg2.extensions.cursor, rows: ChunkRows, result: Row) -> tuple[list[Row], Row]:
    clear_for(cursor, rows)
    stock = copy_sound_rows(cursor, "stock_data", rows.stock_data, ROW_REFUSALS)
    if stock:
        raise _SymbolRefusedError(next(iter(stock.values())))
    prices = copy_sound_rows(cursor, "stock_prices", rows.stock_prices, ROW_REFUSALS)
    chains = copy_sound_rows(cursor, "option_chains", rows.option_chains, ROW_REFUSALS)
    if chains and len(chains) == len(rows.option_chains):
        raise _SymbolRefusedError(next(iter(chains.values())))
    sellable = _without(rows.stock_premiums, rows.option_chains.iloc[list(chains)])
    premiums = copy_sound_rows(cursor, "stock_premiums", sellable, ROW_REFUSALS)
    refused = [
        *(_refused_row(rows, row, row["symbol"], text) for row, text in _picked(rows.stock_prices, prices)),
        *(_refused_row(rows, row, row["contract_symbol"], text) for row, text in _picked(rows.option_chains, chains)),
        *(_refused_row(rows, row, row["contract_symbol"], text) for row, text in _picked(sellable, premiums)),
    ]
    result["options_inserted"] = len(rows.option_chains) - len(chains)
    result["premiums_inserted"] = len(sellable) - len(premiums)
    return _finish(cursor, rows, result, refused)


def _write_failure(
    cursor: psycopg2.extensions.cursor, rows: ChunkRows, result: Row, message: str
) -> tuple[list[Row], Row]:
    nothing = {name: getattr(rows, name).iloc[:0] for name in ("stock_data", "stock_prices")}
    kept = ChunkRows(
        job_id=rows.job_id,
        **nothing,
        option_chains=rows.option_chains.iloc[:0],
        stock_premiums=rows.stock_premiums.iloc[:0],
        rejected_quotes=rows.rejected_quotes,
        results=rows.results,
        answers={},
        prices_only=rows.prices_only,
    )
    clear_for(cursor, kept)
    failed = {
        "status": "failed",
        "error_type": "db_error",
        "error_message": f"the database refused its rows: {message}",
    }
    emptied = {"options_inserted": 0, "premiums_inserted": 0}
    stock = {"symbol": result["symbol"], "data_provider": result["data_provider"], "seen_at": result["completed_at"]}
    refused = [_refused_row(rows, stock, result["symbol"], message)]
    return _finish(cursor, kept, result | failed | emptied, refused)


def _finish(
    cursor: psycopg2.extensions.cursor, rows: ChunkRows, result: Row, refused: list[Row]
) -> tuple[list[Row], Row]:
    rejected = pd.concat([rows.rejected_quotes, pd.DataFrame(refused, columns=list(rows.rejected_quotes.columns))])
    rejected = rejected.drop_duplicates(["symbol", "contract_symbol", "rule"], ignore_index=True)
    unwritable = copy_sound_rows(cursor, "rejected_quotes", rejected, ROW_REFUSALS)
    # A row that tells of a refusal and is refused itself: its text is at fault, so PostgreSQL's takes its place.
    described = [
        {**row, "contract_symbol": ascii(row["contract_symbol"]), "detail": text, "data_provider": "unknown"}
        for row, text in _picked(rejected, unwritable)
    ]
    copy_sound_rows(cursor, "rejected_quotes", pd.DataFrame(described, columns=list(rejected.columns)), ())
    result["options_rejected"] = len(rejected)
    written = ChunkRows(
        **{name: getattr(rows, name) for name in ChunkRows.__slots__ if name != "results"}, results=[result]
    )
    write_results(cursor, written)
    return [*refused, *described], result


def _without(premiums: pd.DataFrame, refused: pd.DataFrame) -> pd.DataFrame:
    """Return the premiums whose contract was not refused."""
    gone = set(refused[_KEY].itertuples(index=False, name=None))
    return premiums[[key not in gone for key in premiums[_KEY].itertuples(index=False, name=None)]]


def _picked(frame: pd.DataFrame, texts: dict[int, str]) -> list[tuple[dict[str, Any], str]]:
    return [({str(name): value for name, value in frame.iloc[at].items()}, text) for at, text in texts.items()]


def _refused_row(rows: ChunkRows, row: dict[str, Any], contract_symbol: Any, message: str) -> Row:
    seen_at = row.get("last_updated", row.get("updated_at", row.get("seen_at")))
    return {
        "job_id": rows.job_id,
        "symbol": row["symbol"],
        "contract_symbol": contract_symbol,
        "rule": RULE,
        "detail": message,
        "data_provider": row["data_provider"],
        "seen_at": seen_at,
    }
