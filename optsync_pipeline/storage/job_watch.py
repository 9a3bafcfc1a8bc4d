"""What the unattended sensors look for in the log of syncs: dead jobs, and failed symbols that are due.

The jobs' own life is storage.sync_log's; what is started because of an answer is the sensors'.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_lock import LOCK_CLASS
from optsync_pipeline.storage.sync_log import Row

REASK_FOR = timedelta(days=1)
"""Older failures are left alone: the next daily sync has their symbols."""


class Reask(NamedTuple):
    """Failed symbols of a job that are to be asked again. round_number: from 1."""

    job_id: int
    round_number: int
    target_dtes: tuple[int, ...]
    symbols: list[str]


def next_reask(database: Database, *, now: datetime, waits: Sequence[timedelta], max_failed: int) -> Reask | None:
    """Return the newest job with failed symbols whose next round is due, and those that no later sync has asked.

    waits: before each round, from the end of the sync or of the round before. Jobs with more than max_failed are
    passed over, and so are incremental syncs: their next tick asks again.
    """
    params = {
        "now": now,
        "waits": [wait.total_seconds() for wait in waits],
        "max_failed": max_failed,
        "not_before": now - REASK_FOR,
    }
    rows = database.fetch_all("list_symbols_to_reask", params)
    if not rows:
        return None
    job_id, done = rows[0]["job_id"], rows[0]["reask_rounds"]
    symbols = [row["symbol"] for row in rows if row["job_id"] == job_id]
    return Reask(job_id, done + 1, tuple(rows[0]["target_dtes"]), symbols)


def dead_jobs(database: Database, *, not_before: datetime) -> list[Row]:
    """Return the jobs since then whose process died with something left to do, the oldest first.

    Not syncs of prices alone, nor jobs whose symbols later syncs have taken over.
    """
    return database.fetch_all("list_dead_jobs", {"lock_class": LOCK_CLASS, "not_before": not_before})


def runs_with_a_job(database: Database, run_ids: Sequence[str]) -> set[str]:
    """Return those of the Dagster runs that have opened or taken up a job."""
    rows = database.fetch_all("SELECT run_id FROM sync_jobs WHERE run_id = ANY(%s)", (list(run_ids),))
    return {row["run_id"] for row in rows}


def unfinished_symbols(database: Database, job_id: int) -> list[str]:
    """Return the symbols of a job that are still to be done."""
    query = "SELECT symbol FROM sync_stock_results WHERE job_id = %s AND status IN ('pending', 'in_progress')"
    return [row["symbol"] for row in database.fetch_all(query, (job_id,))]
