"""Takes stocks out of the universe that have no options, or are delisted. What a person removes is storage.stocks'.

A stock comes back when a person adds it (`optsync stocks add`): what was said of it is forgotten then.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from optsync_pipeline.storage.database import Database

NO_OPTIONS_FOR = timedelta(days=30)
DELISTED_FOR = timedelta(days=7)
BELIEVED_FOR = timedelta(days=7)
"""Without options counts only what was said so lately: 30 days without a sync prove nothing."""


class RetiredStock(NamedTuple):
    """A stock that left the universe, and why."""

    symbol: str
    reason: str


def retire_stocks(database: Database, now: datetime) -> list[RetiredStock]:
    """Set stocks inactive that had no options for 30 days, or were delisted by two answers at least 7 days apart."""
    params = {
        "now": now,
        "no_options_for": NO_OPTIONS_FOR,
        "delisted_for": DELISTED_FOR,
        "believed_since": now - BELIEVED_FOR,
    }
    rows = database.fetch_all("retire_stocks", params)
    return sorted(RetiredStock(row["symbol"], row["inactive_reason"]) for row in rows)


def retired_since(database: Database, since: datetime) -> list[RetiredStock]:
    """Return the stocks that were retired at or after a time and are not back, by symbol."""
    query = (
        "SELECT symbol, inactive_reason FROM stocks"
        " WHERE inactive_since >= %s AND inactive_reason <> 'removed' ORDER BY symbol"
    )
    return [RetiredStock(row["symbol"], row["inactive_reason"]) for row in database.fetch_all(query, (since,))]
