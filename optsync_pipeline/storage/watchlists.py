"""Watchlists: named lists of stocks, made by hand or from TradingView. Reading TradingView's text is the CLI's.

Their stocks are rows of `stocks`; those that are active come early in each sync (the view sync_order).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2.extensions
from psycopg2.extras import execute_values

from optsync_pipeline.storage.database import Database

MANUAL = "manual"
"""The source of what a person put on a list; else it is the file, and its section."""


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


def create_watchlist(database: Database, name: str, now: datetime, *, source: str = MANUAL) -> None:
    """Make an empty watchlist. Raises WatchlistError where it exists. The name must fit the table's rule."""
    insert = "INSERT INTO tv_watchlists (name, source, updated_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    if not database.execute(insert, (name, source, now)):
        raise WatchlistError(f"there is a watchlist {name!r} already: `optsync watchlist add {name} SYMBOL` adds to it")


def put_on(database: Database, name: str, sources: Mapping[str, str], now: datetime) -> int:
    """Put stocks on a watchlist, each with where it came from; return how many are new on it. The stocks must exist."""
    require_watchlist(database, name)

    def write(cursor: psycopg2.extensions.cursor) -> int:
        added = _insert(cursor, name, sources, now)
        if added:
            _note_change(cursor, name, now)
        return added

    return database.run_transaction(write)


def replace_imported(
    database: Database, name: str, sources: Mapping[str, str], now: datetime, *, source: str
) -> tuple[int, int]:
    """Make what an import put on a watchlist be these stocks; what was put there by hand stays.

    The watchlist is made where there is none. Returns how many stocks came on it and how many went. They must exist.
    """
    create = "INSERT INTO tv_watchlists (name, source, updated_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    delete = "DELETE FROM tv_watchlist_symbols WHERE watchlist_name = %s AND source <> %s AND symbol <> ALL(%s)"

    def write(cursor: psycopg2.extensions.cursor) -> tuple[int, int]:
        cursor.execute(create, (name, source, now))
        cursor.execute(delete, (name, MANUAL, list(sources)))
        removed = cursor.rowcount
        added = _insert(cursor, name, sources, now)
        if added or removed:
            _note_change(cursor, name, now)
        return added, removed

    return database.run_transaction(write)


def _insert(cursor: psycopg2.extensions.cursor, name: str, sources: Mapping[str, str], now: datetime) -> int:
    insert = (
        "INSERT INTO tv_watchlist_symbols (watchlist_name, symbol, source, updated_at) VALUES %s"
        " ON CONFLICT (watchlist_name, symbol) DO NOTHING RETURNING symbol"
    )
    values = [(name, symbol, source, now) for symbol, source in sorted(sources.items())]
    return len(execute_values(cursor, insert, values, page_size=1000, fetch=True))


def _note_change(cursor: psycopg2.extensions.cursor, name: str, now: datetime) -> None:
    cursor.execute("UPDATE tv_watchlists SET updated_at = %s WHERE name = %s", (now, name))


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
