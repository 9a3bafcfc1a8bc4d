"""Whether "no such symbol" and "no options" may be believed: only from a vendor that still answers for others.

A vendor that blocks us says 403 or 404 for every symbol, and one with a bad day lists no expirations for any; either
may begin in the middle of a run. So such an answer counts when the same vendor delivered another symbol's chain well
after it; where none came so late in its chunk, a known symbol is asked, once a chunk.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import (
    Answer,
    AuthError,
    ChainRequest,
    FetchError,
    NoOptions,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database

PATIENCE_SECONDS = 45.0
"""How long a known symbol's tokens are waited for: while this waits, no other row is written. The furthest token that
is taken is 15 s away, and the slowest default limit adds 12 s."""


class AnswerProof:
    """Settles the answers of one run, chunk by chunk.

    calls_at_once: so many later deliveries may be of calls that were made before, by threads that came late.
    while_waiting: called twice a second while a token is awaited.
    """

    def __init__(
        self,
        router: Router,
        database: Database,
        target_dtes: tuple[int, ...],
        clock: Callable[[], datetime],
        *,
        calls_at_once: int = 1,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._router = router
        self._database = database
        self._target_dtes = target_dtes
        self._clock = clock
        self._calls_at_once = calls_at_once
        self._while_waiting = while_waiting

    def settle(self, results: Sequence[FetchResult]) -> list[FetchResult | None]:
        """Return a chunk's results, in the order in which they came; an answer that is not believed as the fault it is.

        None where a stop came before that could be known: the symbol stays to be done.
        """
        last_delivery = {result.reply.provider: place for place, result in enumerate(results) if result.reply}
        chunk = _Chunk()
        return [self._settle_one(place, result, last_delivery, chunk) for place, result in enumerate(results)]

    def _settle_one(
        self, place: int, result: FetchResult, last_delivery: dict[str, int], chunk: "_Chunk"
    ) -> FetchResult | None:
        answer = result.error
        if not isinstance(answer, Answer):
            return result
        # Of two vendors' answers the proven one counts, and one that is proven already costs nothing.
        for provider, kind in result.answers:
            if provider in chunk.answering or last_delivery.get(provider, -1) >= place + self._calls_at_once:
                return replace(result, error=_ANSWERS[kind](str(answer)))
        for provider, kind in result.answers:
            result = self._ask_known_symbol(provider, result, chunk)
            if provider in chunk.answering:
                return replace(result, error=_ANSWERS[kind](str(answer)))
            if result.stopped:
                return None
        return replace(result, error=_disbelieved(answer))

    def _ask_known_symbol(self, provider: str, result: FetchResult, chunk: "_Chunk") -> FetchResult:
        """Ask one known symbol, once a chunk; its requests count for the symbol in doubt."""
        if provider in chunk.silent:
            return result
        known = stocks.known_good_symbol(self._database, provider, but=result.symbol)
        symbol = known or ("AAPL" if result.symbol != "AAPL" else "MSFT")
        request = ChainRequest(symbol, self._target_dtes, self._clock())
        told = self._router.fetch_within(PATIENCE_SECONDS, request, only=provider, while_waiting=self._while_waiting)
        if told is None:
            chunk.silent.add(provider)
            return result
        # A dead chain is an answer too: the vendor knows the symbol and lists its options.
        answers = told.reply is not None or isinstance(told.error, StaleReply)
        if not told.stopped:
            (chunk.answering if answers else chunk.silent).add(provider)
        return replace(result, requests=result.requests + told.requests, stopped=told.stopped)


class _Chunk:
    """Which vendors answered a known symbol after all of a chunk's answers, and which did not."""

    def __init__(self) -> None:
        self.answering: set[str] = set()
        self.silent: set[str] = set()


_ANSWERS: dict[str, type[Answer]] = {kind.error_type: kind for kind in (NoOptions, UnknownSymbol)}


def _disbelieved(answer: Answer) -> FetchError:
    text = f"{answer}; but no known symbol is answered either, so this is not believed"
    blocked = isinstance(answer, UnknownSymbol)
    return AuthError(f"{text}: are we blocked?") if blocked else VendorFault(text)
