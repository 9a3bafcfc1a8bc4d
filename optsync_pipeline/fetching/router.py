"""Whom to ask for a symbol, in which order, and what came of it: the providers of the settings, each until it fails.

How often one provider is asked again is retry.py's; what a vendor's reply means, its provider's; whether its quotes are
alive, quality/rules.py's. An exception that is no FetchError is a bug and passes through.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from optsync_pipeline.fetching.retry import ask_patiently
from optsync_pipeline.providers.base import (
    Answer,
    ChainReply,
    ChainRequest,
    FetchError,
    InvalidReply,
    NoOptions,
    Provider,
    RefusedContract,
    StaleReply,
)
from optsync_pipeline.quality.rules import judge_quotes

_SLOT_POLL_SECONDS = 0.5
_BY_VERDICT: dict[str, type[FetchError]] = {"stale_data": StaleReply, "invalid_data": InvalidReply}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider that was asked, all its tries together. error_type and message are None where it delivered."""

    provider: str
    error_type: str | None
    message: str | None
    requests: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came of a symbol: a reply, or an error, or neither where the stop event came before anything was known.

    refused: the contracts of the first reply whose quotes were judged dead, by refused_provider; also where a later
    provider delivered. retry_count: tries after the first of each provider. requests: on the wire, failed ones
    included. answers: (provider, error_type) of each that said that there is nothing to have.
    stopped: the stop event cut it short, so that an error is not the last word.
    """

    symbol: str
    reply: ChainReply | None
    error: FetchError | None
    attempts: tuple[Attempt, ...]
    retry_count: int
    requests: int
    refused: list[RefusedContract] = field(default_factory=list)
    refused_provider: str | None = None
    answers: tuple[tuple[str, str], ...] = ()
    stopped: bool = False


class Router:
    """Asks the providers in order. One instance serves many threads.

    call_slots: held by each vendor call (one try) and by nothing else, so a symbol that waits to be asked again takes
    no other's place. stop: once set, waits end at once and nothing more is asked.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        stop: threading.Event,
        call_slots: threading.Semaphore,
        tries: int = 5,
        base_wait_seconds: float = 2.0,
    ) -> None:
        self._providers = tuple(providers)
        self._stop = stop
        self._call_slots = call_slots
        self._tries = tries
        self._base_wait_seconds = base_wait_seconds

    def fetch(self, request: ChainRequest) -> FetchResult:
        """Return the first reply with living quotes, or the error that tells most, with all that was tried."""
        story = _Story(request.symbol)
        for provider in self._providers:
            if self._stop.is_set():
                break
            reply = self._ask(provider, request, story)
            if reply is not None:
                return story.end(reply, stopped=False)
        return story.end(None, stopped=self._stop.is_set())

    def _ask(self, provider: Provider, request: ChainRequest, story: "_Story") -> ChainReply | None:
        """Ask one provider and judge its reply; note in the story what came of it."""
        began = time.monotonic()
        tries = _Tries()
        reply = self._ask_until_answered(provider, request, tries)
        if reply is not None:
            tries.error, dead = _judge(reply, request)
            if tries.error is not None:
                story.keep_dead(provider.name, tries.error, dead)
        story.note(provider.name, tries, (time.monotonic() - began) * 1000)
        return reply if tries.error is None else None

    def _ask_until_answered(self, provider: Provider, request: ChainRequest, tries: "_Tries") -> ChainReply | None:
        def ask_once() -> ChainReply:
            with _CallSlot(self._call_slots, self._stop):
                return tries.note(provider, request)

        try:
            return ask_patiently(
                ask_once, tries=self._tries, stop=self._stop, base_wait_seconds=self._base_wait_seconds
            )
        except FetchError as error:
            tries.error = error
        except _StoppedBeforeAskingError:
            pass  # what the try before said, if there was one, stands
        return None


class _Tries:
    """The tries of one provider for one symbol: what each cost, and what the latest failed with."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.error: FetchError | None = None

    def note(self, provider: Provider, request: ChainRequest) -> ChainReply:
        try:
            reply = provider.fetch_chain(request)
        except FetchError as error:
            self.requests.append(error.requests)
            self.error = error
            raise
        self.requests.append(reply.requests)
        return reply


class _StoppedBeforeAskingError(Exception):
    """The stop event was set while a call waited for its slot."""


class _CallSlot:
    """Holds a call slot for a block; stops waiting for it when `stop` is set."""

    def __init__(self, slots: threading.Semaphore, stop: threading.Event) -> None:
        self._slots = slots
        self._stop = stop

    def __enter__(self) -> None:
        while not self._slots.acquire(timeout=_SLOT_POLL_SECONDS):
            if self._stop.is_set():
                raise _StoppedBeforeAskingError
        # Each call that ends wakes one that waits: without this look they would all still go out after a stop.
        if self._stop.is_set():
            self._slots.release()
            raise _StoppedBeforeAskingError

    def __exit__(self, *_: object) -> None:
        self._slots.release()


class _Story:
    """What one symbol's fetch has come to so far."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._attempts: list[Attempt] = []
        self._errors: list[FetchError] = []
        self._answers: list[tuple[str, str]] = []
        self._dead: list[RefusedContract] = []
        self._dead_provider: str | None = None
        self._dead_error: FetchError | None = None
        self._retries = 0

    def note(self, provider: str, tries: _Tries, duration_ms: float) -> None:
        if not tries.requests:
            return  # stopped before it was asked
        error = tries.error
        self._retries += len(tries.requests) - 1
        kind, message = (error.error_type, str(error)) if error else (None, None)
        self._attempts.append(Attempt(provider, kind, message, sum(tries.requests), duration_ms))
        if error is not None:
            self._errors.append(error)
        if isinstance(error, Answer):
            self._answers.append((provider, error.error_type))

    def keep_dead(self, provider: str, error: FetchError, contracts: list[RefusedContract]) -> None:
        if self._dead_error is None:
            self._dead, self._dead_provider, self._dead_error = contracts, provider, error

    def end(self, reply: ChainReply | None, *, stopped: bool) -> FetchResult:
        return FetchResult(
            symbol=self._symbol,
            reply=reply,
            error=None if reply else self._telling_error(),
            attempts=tuple(self._attempts),
            retry_count=self._retries,
            requests=sum(attempt.requests for attempt in self._attempts),
            refused=self._dead,
            refused_provider=self._dead_provider,
            answers=tuple(self._answers),
            stopped=stopped,
        )

    def _telling_error(self) -> FetchError | None:
        """Choose one error for the symbol; its text has what each provider said.

        A dead chain tells most: the stock has options, whatever others answer. Then an answer; then the first failure.
        """
        if not self._errors:
            return None
        answers = [error for error in self._errors if isinstance(error, Answer)]
        chosen = self._dead_error or (answers or self._errors)[0]
        text = "; ".join(str(error) for error in self._errors)
        combined = type(chosen)(text, retry_after_seconds=chosen.retry_after_seconds)
        combined.requests = sum(attempt.requests for attempt in self._attempts)
        return combined


def _judge(reply: ChainReply, request: ChainRequest) -> tuple[FetchError | None, list[RefusedContract]]:
    """Return why a reply is not to be stored, with all its contracts refused; (None, []) where it is sound."""
    contracts = reply.contracts
    verdict = judge_quotes(
        [contract.bid for contract in contracts],
        [contract.ask for contract in contracts],
        reply.quote.quoted_at,
        request.now,
    )
    if verdict is not None:
        dead = [RefusedContract(contract.contract_symbol, verdict.rule, verdict.message) for contract in contracts]
        error = _BY_VERDICT[verdict.error_type](f"{reply.provider}'s chain of {reply.symbol}: {verdict.message}")
        return error, reply.refused + dead
    if not contracts:
        message = f"{reply.provider} sent no standard contract of {reply.symbol}, {len(reply.refused)} others"
        adjusted_only = all(refused.rule == "adjusted_contract" for refused in reply.refused)
        return (NoOptions if adjusted_only else InvalidReply)(message), reply.refused
    return None, []
