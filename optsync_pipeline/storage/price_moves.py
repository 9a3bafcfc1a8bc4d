"""The prices of a sync beside the closes before them, and what a second provider said of the unusual ones.

Which moves are unusual is judged in quality/likely_prices.py; the second provider is asked in sync/price_doubts.py.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import psycopg2.extensions
from psycopg2.extras import execute_values

from optsync_pipeline.quality.likely_prices import Measure, Move, judge_move
from optsync_pipeline.storage.database import Database

Doubt = Literal["confirmed", "contradicted", "unanswered"]


class PriceMove(NamedTuple):
    """A symbol's price in a job and how it moved. doubt, note: what a second provider said; None where none was asked.

    deviations: how many standard deviations its return lies from the mean of its 20 daily returns, where unusual.
    """

    symbol: str
    provider: str
    price: float
    quoted_at: datetime
    move: Move
    deviations: float | None
    doubt: Doubt | None
    note: str | None


def price_moves(database: Database, job_id: int) -> list[PriceMove]:
    """Return the move of each price that a job fetched, by symbol."""
    moves = []
    for row in database.fetch_all("list_price_moves", {"job_id": job_id}):
        measure = Measure(row["last_close"], row["returns"], row["mean_return"], row["deviation"])
        move, deviations = judge_move(row["current_price"], measure)
        told = (row["price_doubt"], row["price_note"])
        moves.append(
            PriceMove(
                row["symbol"], row["data_provider"], row["current_price"], row["quoted_at"], move, deviations, *told
            )
        )
    return moves


def note_price_doubts(database: Database, job_id: int, doubts: Mapping[str, tuple[Doubt, str]]) -> None:
    """Note with a job's results what a second provider said of prices: by symbol the verdict and a sentence."""
    update = (
        "UPDATE sync_stock_results AS result SET price_doubt = told.doubt, price_note = told.note"
        " FROM (VALUES %s) AS told (job_id, symbol, doubt, note)"
        " WHERE result.job_id = told.job_id AND result.symbol = told.symbol"
    )
    values: Sequence[tuple[int, str, str, str]] = [(job_id, symbol, *told) for symbol, told in doubts.items()]

    def write(cursor: psycopg2.extensions.cursor) -> None:
        execute_values(cursor, update, values)

    if values:
        database.run_transaction(write)
