"""Which symbols a sync is about, and in which order. Each choice is one query of storage.

The order is that of the view sync_order: who waits for it, who watches it, how much it is traded. What counts as fresh
is told in market time (calendar.fresh_since) and by when we last asked, never by a quote's own time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from optsync_pipeline.calendar import before_market_time, fresh_since
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import stocks, watchlists
from optsync_pipeline.storage.database import Database
from optsync_pipeline.symbols import normalise_symbol


class SelectionError(Exception):
    """The symbols asked for cannot be synced. The text names them and says what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Symbols in the order in which they are to be asked, and the sync_type under which the job is logged.

    passed_over: how many more were chosen and are fresh, each asked at or after fresh_since.
    """

    sync_type: str
    symbols: tuple[str, ...]
    passed_over: int = 0
    fresh_since: datetime | None = None


def select_all(database: Database) -> Selection:
    """Every active stock."""
    return Selection("all", tuple(stocks.active_symbols(database)))


def select_stale(
    database: Database,
    settings: Settings,
    now: datetime,
    *,
    watched_only: bool = False,
    prices_only: bool = False,
    target_dtes: Sequence[int] = (),
) -> Selection:
    """Active stocks that are not fresh: their chains, or with prices_only their prices.

    target_dtes: days to expiration that are wanted of chains, by default the setting's.
    """
    if prices_only:
        since = fresh_since(now, timedelta(minutes=settings.price_fresh_minutes))
        return Selection(
            "stale", tuple(stocks.symbols_with_stale_prices(database, since=since, watched_only=watched_only))
        )
    since = fresh_since(now, timedelta(minutes=settings.chain_fresh_minutes))
    dtes = tuple(target_dtes) or settings.target_dtes
    stale = stocks.symbols_stale(database, since=since, target_dtes=dtes, watched_only=watched_only)
    return Selection("stale", tuple(stale))


def select_older(
    database: Database,
    hours: float,
    now: datetime,
    *,
    prices_only: bool = False,
    target_dtes: Sequence[int] = (),
) -> Selection:
    """Active stocks that were not asked for `hours` of market time, or never: their chains, or their prices.

    target_dtes: a chain for other days to expiration does not count; empty: whichever they were.
    """
    since = before_market_time(now, timedelta(hours=hours))
    if prices_only:
        return Selection("stale", tuple(stocks.symbols_with_stale_prices(database, since=since)))
    return Selection("stale", tuple(stocks.symbols_stale(database, since=since, target_dtes=target_dtes)))


def select_failed(database: Database) -> Selection:
    """Active stocks whose last outcome was a failure."""
    return Selection("failed", tuple(stocks.symbols_failed_last(database)))


def select_watchlist(database: Database, name: str) -> Selection:
    """The active stocks of a watchlist. Raises WatchlistError."""
    return Selection("watchlist", tuple(watchlists.symbols_of(database, name)))


def select_named(database: Database, names: Sequence[str]) -> Selection:
    """The named stocks, each once, in the order given. Raises SelectionError for a name that is not an active stock."""
    try:
        wanted = tuple(dict.fromkeys(normalise_symbol(name) for name in names))
    except ValueError as error:
        raise SelectionError(str(error)) from None
    active = set(stocks.active_symbols(database))
    unknown = [symbol for symbol in wanted if symbol not in active]
    if unknown:
        raise SelectionError(
            f"not among the active stocks: {', '.join(unknown)}; add with `optsync stocks add {' '.join(unknown)}`"
        )
    return Selection("symbols", wanted)


def pass_over_fresh(
    database: Database,
    settings: Settings,
    now: datetime,
    selection: Selection,
    *,
    prices_only: bool = False,
    target_dtes: Sequence[int] = (),
) -> Selection:
    """Return the selection without what is fresh, and how much that is."""
    minutes = settings.price_fresh_minutes if prices_only else settings.chain_fresh_minutes
    stale = set(select_stale(database, settings, now, prices_only=prices_only, target_dtes=target_dtes).symbols)
    left = tuple(symbol for symbol in selection.symbols if symbol in stale)
    return replace(
        selection,
        symbols=left,
        passed_over=len(selection.symbols) - len(left),
        fresh_since=fresh_since(now, timedelta(minutes=minutes)),
    )
