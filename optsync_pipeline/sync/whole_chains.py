"""Whether a chain came whole: measured against the last one of the same provider, and asked for once more where not.

A reply that was cut off on its way reads like a sound one with fewer contracts. So a chain that lacks a third of the
strikes, or an expiration, that its provider gave before is asked for once more, of another provider first. The fuller
of the two is kept. Providers list different strikes, hence the same provider's; what has expired is not gone.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from optsync_pipeline.calendar import new_york_date
from optsync_pipeline.fetching.router import FetchResult, Router, Steps
from optsync_pipeline.fetching.story import ChainDoubt
from optsync_pipeline.providers.base import ChainReply, ChainRequest
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.stocks import ChainSize, last_chain_size

log = logging.getLogger(__name__)

LOST_SHARE = 1 / 3
# An older chain is no measure: strikes come and go as the price moves.
MEASURE_HOLDS = timedelta(days=7)


class WholeChains:
    """Asks a router for chains, once more for one that came short. Serves many threads."""

    def __init__(self, router: Router, database: Database, clock: Callable[[], datetime]) -> None:
        self._router = router
        self._database = database
        self._clock = clock

    def steps(self, request: ChainRequest, *, last: Collection[str] = ()) -> Steps[FetchResult]:
        """Return what the router's steps return, with `doubt` where the chain came short. Raises StorageError."""
        first = yield from self._router.steps(request, last=last)
        if first.reply is None:
            return first
        provider = first.reply.provider
        before = last_chain_size(self._database, request.symbol, provider, since=self._clock() - MEASURE_HOLDS)
        lost = what_is_lost(first.reply, before, request.now) if before else None
        if before is None or lost is None:
            return first
        log.warning("%s: %s's chain lacks %s; it is asked for once more", request.symbol, provider, lost)
        second = yield from self._router.steps(request, last={*last, provider})
        if second.stopped:
            return replace(first, stopped=True)
        return _settle(first, second, before, lost, request.now)


def what_is_lost(reply: ChainReply, before: ChainSize, now: datetime) -> str | None:
    """Say what a chain lacks of an earlier one, or return None where it is whole."""
    today = new_york_date(now)
    # What expires today may be taken off the list any hour.
    gone = [day for day in before.strikes if day > today and day not in reply.listed_expirations]
    if gone:
        return f"the expiration {', '.join(map(str, sorted(gone)))}"
    now_there = _strikes_by_expiration(reply)
    common = [day for day in reply.expirations if day in before.strikes]
    had, has = sum(before.strikes[day] for day in common), sum(now_there[day] for day in common)
    if had and had - has >= LOST_SHARE * had:
        return f"{had - has} of {had} strikes"
    return None


def strikes_of(reply: ChainReply) -> list[int]:
    """Return how many distinct strikes a reply has at each of its expirations, in their order."""
    counts = _strikes_by_expiration(reply)
    return [counts[day] for day in reply.expirations]


def _strikes_by_expiration(reply: ChainReply) -> Counter[object]:
    pairs = {(quote.expiration_date, quote.strike_price) for quote in reply.contracts}
    return Counter(day for day, strike in pairs if strike is not None)


def _settle(first: FetchResult, second: FetchResult, before: ChainSize, lost: str, now: datetime) -> FetchResult:
    """Choose between a short chain and what came of asking once more. Both are paid for."""
    assert first.reply is not None
    told = f"{first.reply.provider}'s chain lacked {lost}"
    kept = first
    if second.reply is None:
        doubt = ChainDoubt("unanswered", f"{told}; nobody answered once more, so it is kept")
    elif what_is_lost(second.reply, before, now) is None:
        kept = second
        doubt = ChainDoubt("mended", f"{told}; asked once more, {second.reply.provider} gave it whole")
    else:
        if _size(second.reply, before) > _size(first.reply, before):
            kept = second
        kept_of = first.reply.provider if kept is first else second.reply.provider
        doubt = ChainDoubt(
            "agreed", f"{told}; asked once more, {second.reply.provider} lacks as much: {kept_of}'s is kept"
        )
    return replace(
        kept,
        attempts=(*first.attempts, *second.attempts),
        retry_count=first.retry_count + second.retry_count,
        requests=first.requests + second.requests,
        doubt=doubt,
    )


def _size(reply: ChainReply, before: ChainSize) -> tuple[int, int]:
    """Return how many of the expirations before are listed, and how many strikes there are."""
    return len(set(before.strikes) & set(reply.listed_expirations)), sum(strikes_of(reply))
