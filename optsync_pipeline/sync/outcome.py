"""What became of one symbol: the engine's only output, and all that Dagster, the CLI and the sync log are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from optsync_pipeline.fetching.router import Attempt

SyncStatus = Literal["success", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class SymbolOutcome:
    """A symbol's end in a sync; emitted after its rows are committed.

    success: rows written. skipped: a proven answer without rows (no_options, delisted). failed: old rows stay.
    options_*: contracts. requests: wire requests, failed attempts included. retry_count: tries after the first.
    """

    symbol: str
    status: SyncStatus
    started_at: datetime
    completed_at: datetime
    duration_ms: float
    options_fetched: int = 0
    options_inserted: int = 0
    options_rejected: int = 0
    premiums_inserted: int = 0
    current_price: float | None = None
    quoted_at: datetime | None = None
    expirations: tuple[date, ...] = ()
    error_type: str | None = None
    error_message: str | None = None
    retry_count: int = 0
    requests: int = 0
    data_provider: str | None = None
    attempts: tuple[Attempt, ...] = field(default=())
    chain_note: str | None = None
    """What was gone of the chain compared with the last one, and what asking once more found."""
    already_done: bool = False
    """Whether an earlier run of the same job did it and this run only tells of it."""


def outcome_from_row(row: Mapping[str, Any], *, already_done: bool = True) -> SymbolOutcome:
    """Read an outcome back from its row of sync_stock_results."""
    attempts = tuple(Attempt(**attempt) for attempt in row["attempts"])
    counts = ("options_fetched", "options_inserted", "options_rejected", "premiums_inserted")
    return SymbolOutcome(
        symbol=row["symbol"],
        status=row["status"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=row["duration_ms"],
        **{name: row[name] or 0 for name in counts},
        current_price=row["current_price"],
        quoted_at=row["quoted_at"],
        expirations=tuple(row["expirations"] or ()),
        error_type=row["error_type"],
        error_message=row["error_message"],
        retry_count=row["retry_count"],
        requests=row["requests"],
        data_provider=row["data_provider"],
        attempts=attempts,
        chain_note=row["chain_note"],
        already_done=already_done,
    )
