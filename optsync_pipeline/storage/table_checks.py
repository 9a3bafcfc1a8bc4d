"""What the checks ask of the tables: broken rows, counts of a job, the ranking in its order. Judged in checks.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.queries import sql_text

ROWS_PER_PART = 50_000
"""25 columns of that many rows take some 50 MB as a frame; 12,000 symbols have a million rows."""


class BrokenQuotes(NamedTuple):
    """Rows of stock_premiums: all, those with a bid or ask that is not above 0, those with the ask below the bid."""

    rows: int
    zero: int
    crossed: int


class RankedReturn(NamedTuple):
    """A row of premium_rankings as far as its order goes. monthly_return in percent."""

    strategy: str
    rank: int
    monthly_return: float


@dataclass(frozen=True, slots=True)
class JobTally:
    """A sync job counted over all runs that worked on it: symbols by status, contracts, refused contracts by rule."""

    symbols_by_status: dict[str, int]
    contracts_seen: int
    refused_by_rule: dict[str, int]


def premiums_in_parts(database: Database) -> Iterator[pd.DataFrame]:
    """Yield stock_premiums in parts of one consistent view: a sync may go on meanwhile."""
    with database.transaction() as cursor:
        cursor.execute(sql_text("declare_premium_rows"))
        while True:
            cursor.execute("FETCH %s FROM premium_rows", (ROWS_PER_PART,))
            rows = cursor.fetchall()
            if not rows:
                return
            yield pd.DataFrame(rows, columns=[column.name for column in cursor.description or ()])


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
