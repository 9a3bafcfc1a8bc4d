"""Watchlists: named lists of stocks, made by hand or from TradingView. Reading TradingView's text is the CLI's.

Their stocks are rows of `stocks`; those that are active come early in each sync (the view sync_order).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2.extensions
from psycopg2.extras import execute_values

from optsync_pipeline.storage.database import Database


class WatchlistError(Exception):
    """There is no such watchlist, or there is one already. The text names it and those that exist."""


def watchlist_names(database: Database) -> list[str]:
    """Return the names of all watchlists, by name."""
    return [row["name"] for row in database.fetch_all("SELECT name FROM tv_watchlists ORDER BY name")]


def symbols_of(database: Database, name: str) -> list[str]:
    """Return the active stocks of a watchlist, in the order in which they are asked. Raises WatchlistError."""
    require_watchlist(database, name)
    return [row["symbol"] for row in database.fetch_all("list_watched_symbols", {"name": name})]


def watched_symbols(database: Database) -> set[str]:
    """Return the active stocks that are on any watchlist."""
    return {row["symbol"] for row in database.fetch_all("SELECT symbol FROM sync_order WHERE is_watched")}


def require_watchlist(database: Database, name: str) -> None:
    """Raise WatchlistError, naming those that exist, where there is none of that name."""
    names = watchlist_names(database)
    if name not in names:
        there_are = f"there are: {', '.join(names)}" if names else f"make it with `optsync watchlist create {name}`"
        raise WatchlistError(f"there is no watchlist {name!r}; {there_are}")


def create_watchlist(database: Database, name: str, now: datetime, *, source: str = "manual") -> None:
    """Make an empty watchlist. Raises WatchlistError where it exists. The name must fit the table's rule."""
    insert = "INSERT INTO tv_watchlists (name, source, updated_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    if not database.execute(insert, (name, source, now)):
        raise WatchlistError(f"there is a watchlist {name!r} already: `optsync watchlist add {name} SYMBOL` adds to it")


def put_on(database: Database, name: str, sources: Mapping[str, str], now: datetime) -> int:
    """Put stocks on a watchlist, each with where it came from; return how many are new on it. The stocks must exist."""
    require_watchlist(database, name)
    insert = (
        "INSERT INTO tv_watchlist_symbols (watchlist_name, symbol, source, updated_at) VALUES %s"
        " ON CONFLICT (watchlist_name, symbol) DO NOTHING RETURNING symbol"
    )
    values = [(name, symbol, source, now) for symbol, source in sorted(sources.items())]

    def write(cursor: psycopg2.extensions.cursor) -> int:
        added = len(execute_values(cursor, insert, values, page_size=1000, fetch=True))
        if added:
            cursor.execute("UPDATE tv_watchlists SET updated_at = %s WHERE name = %s", (now, name))
        return added

    return database.run_transaction(write)


def take_off(database: Database, name: str, symbols: Sequence[str], now: datetime) -> list[str]:
    """Take stocks off a watchlist; return those that were on it. They stay in the universe."""
    require_watchlist(database, name)
    delete = "DELETE FROM tv_watchlist_symbols WHERE watchlist_name = %s AND symbol = ANY(%s) RETURNING symbol"
    removed = sorted(row["symbol"] for row in database.fetch_all(delete, (name, list(symbols))))
    if removed:
        database.execute("UPDATE tv_watchlists SET updated_at = %s WHERE name = %s", (now, name))
    return removed


def delete_watchlist(database: Database, name: str) -> None:
    """Delete a watchlist; its stocks stay in the universe. Raises WatchlistError."""
    require_watchlist(database, name)
    database.execute("DELETE FROM tv_watchlists WHERE name = %s", (name,))


def list_watchlists(database: Database) -> list[dict[str, Any]]:
    """Return each watchlist with how many stocks are on it, by name."""
    return database.fetch_all("list_watchlists")


def list_members(database: Database, name: str) -> list[dict[str, Any]]:
    """Return the stocks of a watchlist with their last quote, inactive ones included. Raises WatchlistError."""
    require_watchlist(database, name)
    return database.fetch_all("list_watchlist_members", {"name": name})
