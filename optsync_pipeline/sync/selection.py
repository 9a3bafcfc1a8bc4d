"""Which symbols a sync is about, and in which order. Each choice is one query of storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.symbols import normalise_symbol


class SelectionError(Exception):
    """The symbols asked for cannot be synced. The text names them and says what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Symbols in the order in which they are to be asked, and the sync_type under which the job is logged."""

    sync_type: str
    symbols: tuple[str, ...]


def select_all(database: Database) -> Selection:
    """Every active stock, the largest first."""
    return Selection("all", tuple(stocks.active_symbols(database)))


def select_stale(database: Database, hours: float, now: datetime) -> Selection:
    """Active stocks whose last update is older than `hours`, or that have none."""
    return Selection("stale", tuple(stocks.symbols_stale(database, older_than=now - timedelta(hours=hours))))


def select_failed(database: Database) -> Selection:
    """Active stocks whose last outcome was a failure."""
    return Selection("failed", tuple(stocks.symbols_failed_last(database)))


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
