"""A chunk's rows into the market tables: all of it in one transaction, or, where rows are refused, all but those.

    stock_data, option_chains, stock_premiums   replaced for the symbols that have new rows
    stock_prices                                replaced by symbol and date
    rejected_quotes, sync_stock_results         replaced for the job's symbols

A reader sees a symbol's old rows or its new ones, never half. A chunk that the database refuses is split by symbol, and
a symbol by row (refused_rows.py). A database that is unreachable, full or read-only is no refusal: StorageError.
"""

import psycopg2.extensions

from optsync_pipeline.storage.chunk_rows import ChunkRows, Row, clear_for, write_results
from optsync_pipeline.storage.copying import COLUMNS, copy_rendered, render
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import ROW_REFUSALS
from optsync_pipeline.storage.refused_rows import write_sound_rows

__all__ = ["ChunkRows", "write_chunk"]


def write_chunk(database: Database, rows: ChunkRows) -> list[Row]:
    """Write a chunk; return the refused rows as rows of rejected_quotes.

    Where rows are refused, `rows.results` is corrected in place: counts, or failed with db_error.
    """
    rendered = {table: render(table, getattr(rows, table)) for table in COLUMNS}

    def write(cursor: psycopg2.extensions.cursor) -> None:
        clear_for(cursor, rows)
        for table, text in rendered.items():
            copy_rendered(cursor, table, text)
        write_results(cursor, rows)

    try:
        database.run_transaction(write)
    except ROW_REFUSALS:
        symbols = sorted(result["symbol"] for result in rows.results)
        if len(symbols) <= 1:
            return write_sound_rows(database, rows)
    else:
        return []
    half = len(symbols) // 2
    return [row for part in (symbols[:half], symbols[half:]) for row in write_chunk(database, rows.of(set(part)))]
