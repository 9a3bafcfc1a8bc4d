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
        router_of: Callable[[str], Router],
        database: Database,
        target_dtes: tuple[int, ...],
        clock: Callable[[], datetime],
    ) -> None:
        """router_of: gives a router that asks the named provider alone."""
        self._router_of = router_of
        self._database = database
        self._target_dtes = target_dtes
        self._clock = clock
        self._answering: set[str] = set()

    def learn(self, results: Iterable[FetchResult]) -> None:
        """Remember which vendors answer: to be told each chunk before its answers are settled."""
        self._answering.update(result.reply.provider for result in results if result.reply is not None)

    def settle(self, result: FetchResult) -> FetchResult:
        """Return the result as it is, or, where its answer cannot be believed, as the fault that it is then."""
        if not isinstance(result.error, Answer):
            return result
        for provider, _ in result.answers:
            if provider in self._answering or self._known_symbol_answers(provider, result.symbol):
                return result
        return replace(result, error=_disbelieved(result.error))

    def _known_symbol_answers(self, provider: str, but: str) -> bool:
        symbol = stocks.known_good_symbol(self._database, provider, but=but) or ("AAPL" if but != "AAPL" else "MSFT")
        result = self._router_of(provider).fetch(ChainRequest(symbol, self._target_dtes, self._clock()))
        # A dead chain is an answer too: the vendor knows the symbol and lists its options.
        answers = result.reply is not None or isinstance(result.error, StaleReply)
        if answers:
            self._answering.add(provider)
        return answers


def _disbelieved(answer: Answer) -> FetchError:
    text = f"{answer}; but no known symbol is answered either, so this is not believed"
    blocked = isinstance(answer, UnknownSymbol)
    error: FetchError = AuthError(f"{text}: are we blocked?") if blocked else VendorFault(text)
    error.requests = answer.requests
    return error
