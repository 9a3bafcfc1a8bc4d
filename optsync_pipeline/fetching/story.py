"""What one symbol's fetch comes to: whom it was asked of, what each said, and the one error that tells most.

Whom to ask is router.py's. Also here: whether a reply's quotes are alive, as quality/rules.py judges them.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from optsync_pipeline.providers.base import (
    Answer,
    ChainReply,
    ChainRequest,
    CircuitOpen,
    FetchError,
    InvalidReply,
    NoOptions,
    RefusedContract,
    StaleReply,
)
from optsync_pipeline.quality.rules import judge_quotes

_BY_VERDICT: dict[str, type[FetchError]] = {"stale_data": StaleReply, "invalid_data": InvalidReply}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider that was asked, all its tries together. error_type and message are None where it delivered."""

    provider: str
    error_type: str | None
    message: str | None
    requests: int
    duration_ms: float


class ChainDoubt(NamedTuple):
    """That a chain lacks what its provider gave before, and what asking once more found (sync/whole_chains.py)."""

    kind: Literal["mended", "agreed", "unanswered"]
    note: str


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came of a symbol: a reply, or an error, or neither where the stop event came before anything was known.

    refused: the contracts of the first reply whose quotes were judged dead, by refused_provider; also where a later
    provider delivered. retry_count: tries after the first of each provider. requests: on the wire, failed ones
    included. answers: (provider, error_type) of each that said that there is nothing to have.
    stopped: the stop event cut it short, so that an error is not the last word. doubt: a chain that came short.
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
    doubt: ChainDoubt | None = None


class Tries:
    """The tries of one provider for one symbol: what each cost, and what the latest failed with.

    were_cut_off: they ended because the breaker opened, not with the provider's last word.
    """

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.error: FetchError | None = None
        self.were_cut_off = False

    def add(self, requests: int, error: FetchError | None = None) -> None:
        """Note that a try was made, what it cost, and what the vendor failed with."""
        self.requests.append(requests)
        self.error = error or self.error

    def end_with(self, error: FetchError) -> None:
        """Note what the provider was given up for; that its breaker opened meanwhile tells less than what it said."""
        self.were_cut_off = isinstance(error, CircuitOpen)
        if self.error is None or not self.were_cut_off:
            self.error = error


class Story:
    """What one symbol's fetch has come to so far."""

    def __init__(self, symbol: str) -> None:
        self.was_cut_off = False
        """Whether the latest tries ended because their provider's breaker opened."""
        self._symbol = symbol
        self._attempts: list[Attempt] = []
        self._errors: list[FetchError] = []
        self._answers: list[tuple[str, str]] = []
        self._dead: list[RefusedContract] = []
        self._dead_provider: str | None = None
        self._dead_error: FetchError | None = None
        self._retries = 0
        self._passed_over: list[tuple[str, FetchError]] = []

    def note(self, provider: str, tries: Tries, duration_ms: float) -> None:
        """Add a provider that was asked. A stop may have come before its first try: then it was not."""
        self.was_cut_off = tries.were_cut_off
        if not tries.requests:
            return
        error = tries.error
        self._retries += len(tries.requests) - 1
        kind, message = (error.error_type, str(error)) if error else (None, None)
        self._attempts.append(Attempt(provider, kind, message, sum(tries.requests), duration_ms))
        if error is not None:
            self._errors.append(error)
        if isinstance(error, Answer):
            self._answers.append((provider, error.error_type))

    def pass_over(self, provider: str, error: FetchError) -> None:
        """Add a provider that was not asked, and why; told only where no other delivers."""
        self._passed_over.append((provider, error))

    @property
    def latest_error(self) -> FetchError | None:
        """What the provider that was asked last failed with."""
        return self._errors[-1] if self._errors else None

    @property
    def has_answer(self) -> bool:
        """Whether a provider said that there is nothing to have."""
        return bool(self._answers)

    def keep_dead(self, provider: str, error: FetchError, contracts: list[RefusedContract]) -> None:
        """Keep the contracts of the first reply whose quotes are dead."""
        if self._dead_error is None:
            self._dead, self._dead_provider, self._dead_error = contracts, provider, error

    def end(self, reply: ChainReply | None, *, stopped: bool) -> FetchResult:
        """Return what came of it."""
        if reply is None:
            # Of one that was asked before, what it said then tells more.
            asked = {attempt.provider for attempt in self._attempts}
            for provider, error in [passed for passed in self._passed_over if passed[0] not in asked]:
                self._attempts.append(Attempt(provider, error.error_type, str(error), 0, 0.0))
                self._errors.append(error)
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


def judge_reply(reply: ChainReply, request: ChainRequest) -> tuple[FetchError | None, list[RefusedContract]]:
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
