"""What the checks ask of the tables: broken rows, counts of a job, the ranking in its order. Judged in checks.py."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.queries import sql_text

PART_BYTES = 8 << 20
"""Of COPY's text: some 32,000 rows. 12,000 symbols have a million rows, which nobody wants in memory at once."""

_NUMBERS = (
    "strike_price", "dte", "underlying_price", "bid", "ask", "premium", "delta", "implied_volatility", "volume",
    "open_interest", "spread_pct", "break_even", "collateral", "monthly_return", "annual_return",
    "probability_of_profit",
)  # fmt: skip
_TEXTS = ("symbol", "option_type", "contract_symbol", "greeks_source", "data_provider")
_PREMIUM_TYPES = {
    **dict.fromkeys(_NUMBERS, pa.float64()),
    **dict.fromkeys(_TEXTS, pa.string()),
    "expiration_date": pa.date32(),
    "quoted_at": pa.timestamp("us", "UTC"),
}


class BrokenQuotes(NamedTuple):
    """Rows of stock_premiums: all, those with a bid or ask that is not above 0, those with the ask below the bid."""

    rows: int
    zero: int
    crossed: int


class RankedReturn(NamedTuple):
    """A row of premium_rankings as far as its order and its age go. monthly_return in percent."""

    strategy: str
    rank: int
    monthly_return: float
    ranked_at: datetime


@dataclass(frozen=True, slots=True)
class JobTally:
    """A sync job counted over all runs that worked on it: symbols by status, contracts, refused contracts by rule."""

    symbols_by_status: dict[str, int]
    contracts_seen: int
    refused_by_rule: dict[str, int]


def premiums_in_parts(database: Database) -> Iterator[pd.DataFrame]:
    """Yield stock_premiums in parts of one consistent view: a sync may go on meanwhile.

    Counts come as floats, NaN for null; updated_at is left out. By way of a file, so that the view is one statement's
    and no transaction is held while a part is judged. 128,000 rows take 0.40 s, and 0.87 s row by row.
    """
    with tempfile.TemporaryFile() as text:
        with database.transaction() as cursor:
            cursor.execute("SET LOCAL datestyle = 'ISO'")
            cursor.copy_expert(sql_text("copy_premium_rows"), text, size=1 << 20)
        text.seek(0)
        reader = pa_csv.open_csv(
            text,
            read_options=pa_csv.ReadOptions(block_size=PART_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=_PREMIUM_TYPES, strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield batch.to_pandas()


def count_broken_quotes(database: Database) -> BrokenQuotes:
    """Count the rows of stock_premiums that could not be sold at their bid."""
    row = database.fetch_one("count_broken_quotes")
    return BrokenQuotes(**row) if row else BrokenQuotes(0, 0, 0)


def ranked_returns(database: Database) -> list[RankedReturn]:
    """Return premium_rankings by strategy and rank."""
    return [RankedReturn(**row) for row in database.fetch_all("list_ranked_returns")]


def tally_job(database: Database, job_id: int) -> JobTally:
    """Count what became of a job's symbols and contracts."""
    statuses = database.fetch_all("count_job_symbols", {"job_id": job_id})
    refused = database.fetch_all("count_job_refusals", {"job_id": job_id})
    return JobTally(
        symbols_by_status={row["status"]: row["symbols"] for row in statuses},
        contracts_seen=sum(row["contracts"] for row in statuses),
        refused_by_rule={row["rule"]: row["contracts"] for row in refused},
    )
