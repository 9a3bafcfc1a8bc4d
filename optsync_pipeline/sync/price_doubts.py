"""Has the unusual prices of a sync quoted by a second provider, so that a wrong one is told from a moved one.

Asked once, in bulk, within the limits, at the sync's end; its results are noted and nothing is refused or replaced.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from optsync_pipeline.calendar import new_york_date
from optsync_pipeline.fetching.bulk_quotes import quote_steps
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import BulkQuotes
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.storage.price_moves import Doubt, PriceMove, note_price_doubts, price_moves

log = logging.getLogger(__name__)

MAX_ASKED = 50
# Beside a price that jumps, a quote that is a quarter of an hour late may well be this far off.
AGREES_WITHIN_PCT = 2.0
# A sync that is done does not wait for ever for a vendor whose hour is spent.
PATIENCE_SECONDS = 60.0


def confirm_prices(
    database: Database,
    router: Router,
    givers: Mapping[str, BulkQuotes],
    job_id: int,
    *,
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    """Ask a second provider for the job's most unusual prices and note what it said. Raises StorageError.

    givers: the providers that quote many stocks at once, by name and in their order.
    """
    unusual = [move for move in price_moves(database, job_id) if move.move == "unusual" and move.doubt is None]
    unusual.sort(key=lambda move: -(move.deviations or 0))
    by_provider: dict[str, list[PriceMove]] = defaultdict(list)
    for move in unusual[:MAX_ASKED]:
        by_provider[move.provider].append(move)
    for provider, moves in by_provider.items():
        others = {name: giver for name, giver in givers.items() if name != provider}
        try:
            results = _ask(router, others, [move.symbol for move in moves], clock, stop) if others else {}
        except StorageError:
            raise
        except Exception:
            # The sync's own work is done and committed: a bug beside it must not undo its end.
            log.exception("asking a second provider for unusual prices failed in our own code")
            results = {}
        note_price_doubts(database, job_id, {move.symbol: _verdict(move, results.get(move.symbol)) for move in moves})


def _ask(
    router: Router,
    givers: Mapping[str, BulkQuotes],
    symbols: Sequence[str],
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> dict[str, FetchResult]:
    results: dict[str, FetchResult] = {}
    ends_at = time.monotonic() + PATIENCE_SECONDS
    steps = quote_steps(
        router, givers, symbols, clock=clock, deliver=lambda result: results.update({result.symbol: result})
    )
    for wait in steps:
        if time.monotonic() + wait.seconds > ends_at:
            break
        stop.wait(wait.seconds)
    return results


def _verdict(move: PriceMove, result: FetchResult | None) -> tuple[Doubt, str]:
    """Compare the second quote with the first. One of an older session tells nothing."""
    if result is None or result.reply is None:
        said = f": {result.error}" if result is not None and result.error is not None else ""
        return "unanswered", f"no second provider quoted it{said}"
    second, name = result.reply.quote, result.reply.provider
    if new_york_date(second.quoted_at) < new_york_date(move.quoted_at):
        return "unanswered", f"{name} has only a quote of {new_york_date(second.quoted_at)}"
    apart_pct = 100 * abs(second.current_price / move.price - 1)
    told = f"{name} quotes {second.current_price:g} $ where {move.provider} quoted {move.price:g} $"
    return ("confirmed" if apart_pct <= AGREES_WITHIN_PCT else "contradicted"), told
