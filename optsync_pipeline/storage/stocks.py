"""The universe, and what is stored of each stock, as far as a sync asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg2.extensions
from psycopg2.extras import execute_values

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.queries import sql_text


@dataclass(frozen=True, slots=True)
class StoredQuotes:
    """What option_chains holds of a symbol. two_sided: rows with a bid above 0 and an ask not below it."""

    quoted_at: datetime
    expirations: tuple[date, ...]
    two_sided: int


class ChainSize(NamedTuple):
    """How many distinct strikes a chain had at each of its expirations."""

    strikes: Mapping[date, int]


class KnownExpirations(NamedTuple):
    """Expirations that are listed for a stock, and the provider that listed them."""

    dates: tuple[date, ...] = ()
    provider: str | None = None


class RememberedAnswer(NamedTuple):
    """What providers said for good of a stock: error_type no_options or delisted, and when."""

    error_type: str
    answered_at: datetime


def upsert_stocks(
    database: Database, rows: Sequence[Mapping[str, Any]], *, bring_back_retired: bool = True
) -> tuple[int, int]:
    """Add stocks or fill in what a row knows of them; return how many were added, and how many were there before.

    rows: symbol, and where known company_name, sector, industry, market_cap (dollars). Of rows with one symbol the
    last counts. A stock that was removed comes back; one that was retired (retirement.py) only where that is wanted.
    """
    columns = ("symbol", "company_name", "sector", "industry", "market_cap")
    values = {row["symbol"]: tuple(row.get(name) for name in columns) for row in rows}

    def write(cursor: psycopg2.extensions.cursor) -> tuple[int, int]:
        # In order, so that two imports of the same file do not deadlock.
        ordered = [values[symbol] for symbol in sorted(values)]
        told = execute_values(cursor, sql_text("upsert_stocks"), ordered, page_size=1000, fetch=True)
        added = sum(1 for (is_new,) in told if is_new)
        cursor.execute(sql_text("reactivate_stocks"), {"symbols": list(values), "retired_too": bring_back_retired})
        return added, len(told) - added

    return database.run_transaction(write)


def deactivate(database: Database, symbols: Sequence[str], now: datetime) -> list[str]:
    """Take stocks out of the universe as removed, keeping their rows; return those that were in it."""
    rows = database.fetch_all("deactivate_stocks", {"symbols": list(symbols), "now": now})
    return sorted(row["symbol"] for row in rows)


def list_stocks(database: Database) -> list[dict[str, Any]]:
    """Return every stock with its latest quote, the largest first."""
    return database.fetch_all("list_stocks")


def active_symbols(database: Database) -> list[str]:
    """Return the stocks that are synced, in the order in which they are asked (the view sync_order)."""
    return _symbols(database, "list_active_symbols")


def symbols_failed_last(database: Database) -> list[str]:
    """Return the active stocks whose latest outcome is a failure, in the order in which they are asked."""
    return _symbols(database, "list_failed_symbols")


def symbols_stale(
    database: Database, *, since: datetime, target_dtes: Sequence[int], watched_only: bool = False
) -> list[str]:
    """Return the active stocks without a good answer since then for those days to expiration, in asking order."""
    params = {"since": since, "target_dtes": list(target_dtes), "watched_only": watched_only}
    return _symbols(database, "list_stale_symbols", **params)


def symbols_with_stale_prices(database: Database, *, since: datetime, watched_only: bool = False) -> list[str]:
    """Return the active stocks whose price was not written since then, in asking order."""
    return _symbols(database, "list_stale_prices", since=since, watched_only=watched_only)


def known_good_symbol(database: Database, provider: str, *, but: str) -> str | None:
    """Return the stock that a provider answered last, other than `but`."""
    return next(iter(_symbols(database, "find_known_good_symbol", provider=provider, but=but)), None)


def known_expirations(database: Database, symbols: Sequence[str], *, on_or_after: date) -> dict[str, KnownExpirations]:
    """Return the listed expirations from a day on, for those of the symbols of which some are known."""
    params = {"symbols": list(symbols), "on_or_after": on_or_after}
    rows = database.fetch_all("list_known_expirations", params)
    return {row["symbol"]: KnownExpirations(tuple(row["expirations"]), row["expirations_provider"]) for row in rows}


def remembered_answers(
    database: Database, symbols: Sequence[str], *, providers: Sequence[str], since: datetime
) -> dict[str, RememberedAnswer]:
    """Return those of the symbols of which all providers said, at or after `since`, that there is nothing to have."""
    params = {"symbols": list(symbols), "providers": list(providers), "since": since}
    rows = database.fetch_all("list_remembered_answers", params)
    return {row["symbol"]: RememberedAnswer(row["answer"], row["answered_at"]) for row in rows}


def stored_quotes(database: Database, symbols: Sequence[str]) -> dict[str, StoredQuotes]:
    """Return what option_chains holds of those of the symbols that it has rows of."""
    rows = database.fetch_all("list_stored_quotes", {"symbols": list(symbols)})
    return {
        row["symbol"]: StoredQuotes(row["quoted_at"], tuple(sorted(row["expirations"])), row["two_sided"])
        for row in rows
    }


def last_chain_size(database: Database, symbol: str, provider: str, *, since: datetime) -> ChainSize | None:
    """Return how large a provider's last chain of a symbol was, where it gave one since then."""
    params = {"symbol": symbol, "provider": provider, "since": since}
    row = database.fetch_one("find_chain_size", params)
    return ChainSize(dict(zip(row["expirations"], row["strikes"], strict=True))) if row else None


def _symbols(database: Database, query: str, **params: Any) -> list[str]:
    return [row["symbol"] for row in database.fetch_all(query, params)]
