"""Whether "no such symbol" and "no options" may be believed: only from a vendor that answers for others.

A vendor that blocks us says 403 or 404 for every symbol, and one with a bad day lists no expirations for any. So such
an answer counts when a known symbol was answered by the same vendor in this run; where none was, one is asked.
"""

from collections.abc import Callable, Iterable
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


class AnswerProof:
    """Settles the answers of one run, chunk by chunk."""

    def __init__(
        self,
        router: Router,
        database: Database,
        target_dtes: tuple[int, ...],
        clock: Callable[[], datetime],
    ) -> None:
        self._router = router
        self._database = database
        self._target_dtes = target_dtes
        self._clock = clock
        self._answering: set[str] = set()
        self._silent: set[str] = set()

    def learn(self, results: Iterable[FetchResult]) -> None:
        """Begin a chunk: remember which vendors answer in it."""
        self._answering.update(result.reply.provider for result in results if result.reply is not None)
        self._silent.clear()

    def settle(self, result: FetchResult) -> FetchResult | None:
        """Return the result as it is, or, where its answer cannot be believed, as the fault that it is then.

        None where a stop came before that could be known: the symbol stays to be done.
        """
        answer = result.error
        if not isinstance(answer, Answer):
            return result
        for provider, kind in result.answers:
            result = self._ask_known_symbol(provider, result)
            if provider in self._answering:
                # Of two vendors' answers the proven one counts.
                return replace(result, error=_ANSWERS[kind](str(answer)))
            if result.stopped:
                return None
        return replace(result, error=_disbelieved(answer))

    def _ask_known_symbol(self, provider: str, result: FetchResult) -> FetchResult:
        """Ask one known symbol, once a chunk, where none was answered; its requests count for the symbol in doubt."""
        if provider in self._answering or provider in self._silent:
            return result
        known = stocks.known_good_symbol(self._database, provider, but=result.symbol)
        symbol = known or ("AAPL" if result.symbol != "AAPL" else "MSFT")
        told = self._router.fetch(ChainRequest(symbol, self._target_dtes, self._clock()), only=provider)
        # A dead chain is an answer too: the vendor knows the symbol and lists its options.
        answers = told.reply is not None or isinstance(told.error, StaleReply)
        if not told.stopped:
            (self._answering if answers else self._silent).add(provider)
        return replace(result, requests=result.requests + told.requests, stopped=told.stopped)


_ANSWERS: dict[str, type[Answer]] = {kind.error_type: kind for kind in (NoOptions, UnknownSymbol)}


def _disbelieved(answer: Answer) -> FetchError:
    text = f"{answer}; but no known symbol is answered either, so this is not believed"
    blocked = isinstance(answer, UnknownSymbol)
    return AuthError(f"{text}: are we blocked?") if blocked else VendorFault(text)
