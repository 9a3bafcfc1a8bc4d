"""Stocks that a person wants refreshed now: asked for by `optsync refresh`, taken up by the priority sensor."""

from collections.abc import Sequence
from datetime import datetime

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_lock import LOCK_CLASS


def request_refresh(database: Database, symbols: Sequence[str], now: datetime, requested_by: str | None) -> int:
    """Ask for stocks to be refreshed; return how many did not wait already. The stocks must exist."""
    params = {"symbols": list(dict.fromkeys(symbols)), "now": now, "requested_by": requested_by}
    return database.execute("insert_refresh_requests", params)


def waiting_symbols(database: Database) -> list[str]:
    """Return the stocks that wait to be taken up, the longest waiting first."""
    query = "SELECT symbol FROM refresh_requests WHERE claimed_at IS NULL ORDER BY requested_at, request_id"
    return [row["symbol"] for row in database.fetch_all(query)]


def claim_requests(database: Database, now: datetime, limit: int) -> list[str]:
    """Take at most so many waiting requests upon the caller; return the stocks to ask for, the longest waiting first.

    Atomic: of two callers at once none gets what the other has. A stock that is being asked for at this moment is left
    waiting, one that was synced since the request needs no more asking.
    """
    params = {"now": now, "limit": limit, "lock_class": LOCK_CLASS}
    rows = database.fetch_all("claim_refresh_requests", params)
    return [row["symbol"] for row in rows]


def results_since(database: Database, symbols: Sequence[str], since: datetime) -> dict[str, str]:
    """Return what became of those of the symbols that were synced after a time: success, or the kind of error."""
    rows = database.fetch_all("list_results_since", {"symbols": list(symbols), "since": since})
    return {row["symbol"]: row["error_type"] or row["status"] for row in rows}
