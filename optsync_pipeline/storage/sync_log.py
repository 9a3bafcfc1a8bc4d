"""The log of syncs: jobs, what became of each symbol, and which jobs are alive.

    open_job ────► running ──► finish_job ──► completed, failed or cancelled
                     │  ▲                          │
       process gone ─┘  └──── reopen_job ◄─────────┘ cancelled, or dead: only what is not done is asked
                                                      completed or failed: refresh_counts after symbols were asked again

A job is alive while some process holds its advisory lock (JobLock). The lock ends with the connection, so it is known
at once that a killed process is gone. Any process may ask for its end (request_cancel); the one that runs it looks.
Results of symbols are written with their rows: storage.market_tables. How far a job is: storage.job_progress.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2.extensions
from psycopg2.extras import Json

from optsync_pipeline.storage.database import Database, fetch_rows
from optsync_pipeline.storage.errors import DatabaseFault
from optsync_pipeline.storage.job_lock import LOCK_CLASS
from optsync_pipeline.storage.job_lock import JobLock as JobLock
from optsync_pipeline.storage.queries import sql_text

Row = dict[str, Any]


def open_job(
    database: Database,
    *,
    sync_type: str,
    symbols: Sequence[str],
    run_id: str | None,
    concurrency_level: int,
    target_dtes: Sequence[int],
    now: datetime,
    prices_only: bool = False,
) -> JobLock:
    """Open a job with all its symbols pending; return its lock, held.

    prices_only: it fetches no chains, so that it is neither continued, nor asked again, nor ranked by anyone unasked.
    """
    job = {
        "run_id": run_id,
        "sync_type": sync_type,
        "now": now,
        "total": len(set(symbols)),
        "concurrency_level": concurrency_level,
        "target_dtes": list(target_dtes),
        "prices_only": prices_only,
    }

    with contextlib.ExitStack() as failed_attempts:

        def write(cursor: psycopg2.extensions.cursor) -> JobLock:
            failed_attempts.close()
            (row,) = fetch_rows(cursor, "create_sync_job", job)
            cursor.execute(sql_text("insert_pending_results"), {"job_id": row["job_id"], "symbols": list(symbols)})
            # Before the commit: nobody may see a running job that nobody seems to run.
            lock = JobLock(database, int(row["job_id"]))
            failed_attempts.callback(lock.release)
            if not lock.acquire():  # the next attempt gets another number
                raise DatabaseFault(f"another process holds the lock of sync job {lock.job_id}, which is new")
            return lock

        lock = database.run_transaction(write)
        failed_attempts.pop_all()
    return lock


def reopen_job(database: Database, job_id: int, *, run_id: str | None, symbols: Sequence[str], now: datetime) -> None:
    """Take up a job again: its results stay, what was under way is pending again, new symbols join it."""

    def write(cursor: psycopg2.extensions.cursor) -> None:
        cursor.execute(sql_text("reopen_sync_job"), {"job_id": job_id, "run_id": run_id, "now": now})
        cursor.execute(sql_text("reset_in_progress"), {"job_id": job_id})
        cursor.execute(sql_text("insert_pending_results"), {"job_id": job_id, "symbols": list(symbols)})
        cursor.execute(
            "UPDATE sync_jobs SET total_stocks = (SELECT count(*) FROM sync_stock_results WHERE job_id = %(job_id)s)"
            " WHERE job_id = %(job_id)s",
            {"job_id": job_id},
        )

    database.run_transaction(write)


def mark_in_progress(database: Database, job_id: int, symbols: Sequence[str], now: datetime) -> None:
    """Note that symbols are being fetched. A symbol that has its result already keeps it."""
    database.execute("mark_in_progress", {"job_id": job_id, "symbols": list(symbols), "now": now})


def finish_job(database: Database, job_id: int, status: str, now: datetime) -> None:
    """End a job as completed, failed or cancelled, counting its results; symbols under way are pending again."""

    def write(cursor: psycopg2.extensions.cursor) -> None:
        cursor.execute(sql_text("reset_in_progress"), {"job_id": job_id})
        cursor.execute(sql_text("finish_sync_job"), {"job_id": job_id, "status": status, "now": now})

    database.run_transaction(write)


def note_left_out(database: Database, job_id: int, reasons: Mapping[str, str]) -> None:
    """Note which providers a job does not ask any more, each with the reason."""
    update = "UPDATE sync_jobs SET left_out = left_out || %s WHERE job_id = %s"
    database.execute(update, (Json(dict(reasons)), job_id))


def refresh_counts(database: Database, job_id: int, now: datetime) -> None:
    """Count an ended job again after symbols of it were asked again; its duration stays that of the sync."""
    database.execute("refresh_job_counts", {"job_id": job_id, "now": now})


def is_alive(database: Database, job_id: int) -> bool:
    """Whether some process holds the job's lock."""
    row = database.fetch_one("is_job_locked", {"lock_class": LOCK_CLASS, "job_id": job_id})
    return bool(row and row["locked"])


def symbols_under_way(database: Database) -> set[str]:
    """Return the symbols that living syncs, all together, have still to finish: nobody need ask for them again."""
    return {row["symbol"] for row in database.fetch_all("list_symbols_under_way", {"lock_class": LOCK_CLASS})}


def request_cancel(database: Database, job_id: int, now: datetime) -> bool:
    """Ask for the end of a job, or of asking again for what failed of it; return False where no process works on it."""
    params = {"job_id": job_id, "lock_class": LOCK_CLASS, "now": now}
    return database.execute("request_job_cancel", params) == 1


def cancel_requested(database: Database, job_id: int) -> bool:
    """Whether somebody asked for the end of a job since it was opened, or taken up again: one row by its key."""
    query = "SELECT cancel_requested_at IS NOT NULL AS requested FROM sync_jobs WHERE job_id = %s"
    row = database.fetch_one(query, (job_id,))
    return bool(row and row["requested"])


def abandon_dead_jobs(database: Database, now: datetime) -> list[int]:
    """End running jobs whose process is gone; return them. They can still be taken up.

    Failed where nothing was done, completed where everything was, else cancelled.
    """
    rows = database.fetch_all("abandon_dead_jobs", {"lock_class": LOCK_CLASS, "now": now})
    dead = [row["job_id"] for row in rows]
    for job_id in dead:
        database.execute("reset_in_progress", {"job_id": job_id})
        refresh_counts(database, job_id, now)
    return dead


def find_unfinished_job(database: Database, *, since: datetime, target_dtes: Sequence[int]) -> int | None:
    """Return the sync of all stocks that is to be continued: the newest since then, if it died or was cancelled."""
    job = database.fetch_one("find_newest_full_sync", {"since": since, "target_dtes": list(target_dtes)})
    if job is None or job["status"] == "completed":
        return None
    if job["status"] == "failed" and not job["unfinished"]:
        return None
    if job["status"] == "running" and is_alive(database, job["job_id"]):
        return None
    return int(job["job_id"])


def newest_unfinished_job(database: Database) -> int | None:
    """Return the newest job that nobody works on with symbols left or failed that no later job has done."""
    row = database.fetch_one("find_job_to_retry", {"lock_class": LOCK_CLASS})
    return int(row["job_id"]) if row else None


def find_job_of_runs(database: Database, run_ids: Sequence[str]) -> int | None:
    """Return the newest job that one of these Dagster runs did."""
    query = "SELECT max(job_id) AS job_id FROM sync_jobs WHERE run_id = ANY(%s)"
    row = database.fetch_one(query, (list(run_ids),))
    return row["job_id"] if row else None


def read_job(database: Database, job_id: int) -> Row | None:
    """Return a job, or None where there is none with that number."""
    return database.fetch_one("SELECT * FROM sync_jobs WHERE job_id = %s", (job_id,))


def running_jobs(database: Database) -> list[Row]:
    """Return the jobs that did not end, the newest first; whether their processes live, is_alive says."""
    return database.fetch_all("SELECT * FROM sync_jobs WHERE status = 'running' ORDER BY job_id DESC")


def list_jobs(database: Database, limit: int = 20) -> list[Row]:
    """Return the latest jobs, the newest first."""
    return database.fetch_all("SELECT * FROM sync_jobs ORDER BY job_id DESC LIMIT %s", (limit,))


def read_results(database: Database, job_id: int) -> list[Row]:
    """Return what became of each symbol of a job, by symbol."""
    return database.fetch_all("SELECT * FROM sync_stock_results WHERE job_id = %s ORDER BY symbol", (job_id,))


def failed_symbols(database: Database, job_id: int) -> list[str]:
    """Return the symbols of a job that failed."""
    query = "SELECT symbol FROM sync_stock_results WHERE job_id = %s AND status = 'failed' ORDER BY symbol"
    return [row["symbol"] for row in database.fetch_all(query, (job_id,))]


def claim_reask(database: Database, job_id: int, now: datetime, *, round_number: int = 1) -> bool:
    """Take it upon the caller to ask a job's failed symbols again; return False where somebody else has that round."""
    update = (
        "UPDATE sync_jobs SET reask_done_at = %(now)s, reask_rounds = %(round)s"
        " WHERE job_id = %(job_id)s AND reask_rounds = %(round)s - 1"
    )
    return database.execute(update, {"now": now, "job_id": job_id, "round": round_number}) == 1


def jobs_to_rank(database: Database) -> list[Row]:
    """Return the ended jobs with rows that no ranking has seen."""
    return database.fetch_all("list_jobs_to_rank")


def mark_ranked(database: Database, job_ids: Sequence[int], now: datetime) -> None:
    """Note that a ranking saw the rows of these jobs."""
    database.execute("UPDATE sync_jobs SET ranked_at = %s WHERE job_id = ANY(%s)", (now, list(job_ids)))
