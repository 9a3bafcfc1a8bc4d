"""Whom to ask for a symbol, in which order, and what came of it: the providers of the settings, each until it fails.

    choose the soonest token among those not asked yet ──► call ──► good: the reply
          ▲                                                 ├─► may heal: wait, the same provider again (retry.py)
          └── the next ◄────────────────────────────────────┴─► else

A provider whose breaker is open, that is left out of the run, or whose next token is further away than another's is
passed over; with spillover off, the first one's token is waited for. One that answers 429, or whose breaker opens
between two tries, has another turn once the others were asked. A symbol's fetch is a generator that yields where it
has to wait, so that a symbol that waits for a slow vendor keeps nobody else from being asked.

How often one provider is asked again is retry.py's; what a vendor's reply means, its provider's. An exception that is
no FetchError is a bug and passes through.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.fetching.rate_limit import (
    HORIZON_SECONDS,
    CallGate,
    StoppedError,
    Token,
    circuit_open,
    nap_seconds,
    refusal,
    token_of,
)
from optsync_pipeline.fetching.retry import Steps, Wait, ask_patiently
from optsync_pipeline.fetching.story import Attempt, FetchResult, Story, Tries, judge_reply
from optsync_pipeline.logs import bound
from optsync_pipeline.providers.base import (
    Answer,
    ChainReply,
    ChainRequest,
    FetchError,
    NoOptions,
    Provider,
    QuotesReply,
    RateLimited,
    VendorFault,
)
from optsync_pipeline.providers.transport import METER, gated
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits

log = logging.getLogger(__name__)

R = TypeVar("R", ChainReply, QuotesReply)

__all__ = ["Attempt", "FetchResult", "Router", "Steps", "Wait"]


class Router:
    """Asks the providers. One instance serves many threads.

    limits: where tokens come from. call_slots: held by each wire request and by nothing else. stop: once set, waits end
    at once and nothing more is asked. spillover: whether a provider whose token is sooner is asked before its turn.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        limits: ProviderLimits,
        *,
        stop: threading.Event,
        call_slots: threading.Semaphore,
        tries: int = 5,
        base_wait_seconds: float = 2.0,
        spillover: bool = True,
        standing: Standing | None = None,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._limits = limits
        self._stop = stop
        self._call_slots = call_slots
        self._tries = tries
        self._base_wait_seconds = base_wait_seconds
        self._spillover = spillover
        self._standing = standing or Standing()

    @property
    def left_out(self) -> dict[str, FetchError]:
        """The providers that this run does not ask any more, each with the reason."""
        return self._standing.left_out

    def fetch(self, request: ChainRequest, *, only: str | None = None) -> FetchResult:
        """Run `steps` to their end in this thread, sleeping where they wait."""
        steps = self.steps(request, only=only)
        try:
            while True:
                self._stop.wait(next(steps).seconds)
        except StopIteration as end:
            result: FetchResult = end.value
            return result

    def steps(
        self, request: ChainRequest, *, only: str | None = None, last: Collection[str] = ()
    ) -> Steps[FetchResult]:
        """Return the first reply with living quotes, or the error that tells most, with all that was tried.

        only: ask this provider alone. last: providers to ask after all others, because they just failed.
        """
        story = Story(request.symbol)
        names = [only] if only is not None else list(self._providers)
        again: list[str] = []
        turns = [[name for name in names if name not in last], [name for name in names if name in last], again]
        try:
            for turn in turns:
                while (token := (yield from self.next_token(turn, story))) is not None:
                    turn.remove(token.provider)
                    is_hurried = self._spillover and turn is not again and any(turns)
                    reply = yield from self._ask(token, request, story, waits_out_limits=not is_hurried)
                    if reply is not None:
                        return story.end(reply, stopped=False)
                    if story.was_cut_off or (is_hurried and isinstance(story.latest_error, RateLimited)):
                        again.append(token.provider)
        except StoppedError:
            return story.end(None, stopped=True)
        return story.end(None, stopped=False)

    def next_token(self, names: list[str], story: Story) -> Steps[Token | None]:
        """Take a token of one of `names`; None where none of them can be asked, and the story says why."""
        while True:
            self._drop_left_out(names, story)
            if not names:
                return None
            offer = self._take(names)
            if (token := token_of(offer)) is not None:
                if offer.wait_seconds > 0:
                    yield self._wait(offer.wait_seconds, names)
                return token
            if offer.provider is None and (story.has_answer or self._standing.given_up(names)):
                for name in names:
                    story.pass_over(name, circuit_open(name, offer))
                names.clear()
            elif offer.provider is not None and (paused := refusal(offer.provider, offer)) is not None:
                story.pass_over(offer.provider, paused)
                names.remove(offer.provider)
            else:
                yield self._wait(nap_seconds(offer), names)

    def _drop_left_out(self, names: list[str], story: Story) -> None:
        left_out = self._standing.left_out
        for name in [name for name in names if name in left_out]:
            story.pass_over(name, left_out[name])
            names.remove(name)

    def _take(self, names: Sequence[str]) -> Offer:
        if self._stop.is_set():
            raise StoppedError
        return self._limits.take(names, spillover=self._spillover, max_wait_seconds=HORIZON_SECONDS)

    def _wait(self, seconds: float, names: Sequence[str]) -> Wait:
        return Wait(seconds, is_stuck=len(names) < len(self._providers) - len(self._standing.left_out))

    def _ask(
        self, token: Token, request: ChainRequest, story: Story, *, waits_out_limits: bool
    ) -> Steps[ChainReply | None]:
        """Ask one provider until it answers or its tries are spent; judge its reply; note in the story what came."""
        began = time.monotonic()
        provider, tries = self._providers[token.provider], Tries()
        reply = yield from self.ask_until_answered(
            token, partial(_fetch_chain, provider, request), tries, waits_out_limits
        )
        if reply is not None:
            tries.error, dead = judge_reply(reply, request)
            if tries.error is not None:
                story.keep_dead(provider.name, tries.error, dead)
        story.note(provider.name, tries, (time.monotonic() - began) * 1000)
        return reply if tries.error is None else None

    def ask_until_answered(
        self, first: Token, call: Callable[[], R], tries: Tries, waits_out_limits: bool = True
    ) -> Steps[R | None]:
        """Make a call until it answers or its tries are spent; None where `tries` says what it failed with."""
        tokens = [first]

        def ask_once() -> Steps[R]:
            token = tokens.pop() if tokens else (yield from self._token_again(first.provider))
            if self._stop.is_set():
                raise StoppedError
            with bound(provider=first.provider):
                if tries.requests:
                    log.info("asking again, try %d", len(tries.requests) + 1)
                return self._call(token, call, tries)

        try:
            return (
                yield from ask_patiently(
                    ask_once,
                    tries=self._tries,
                    base_wait_seconds=self._base_wait_seconds,
                    waits_out_limits=waits_out_limits,
                )
            )
        except FetchError as error:
            tries.end_with(error)
            return None

    def _token_again(self, name: str) -> Steps[Token]:
        """Take a further token of a provider that is being asked; raise where it cannot be asked any more."""
        while True:
            offer = self._take([name])
            if (token := token_of(offer)) is not None:
                if offer.wait_seconds > 0:
                    yield Wait(offer.wait_seconds, is_stuck=True)
                return token
            if (shut := refusal(name, offer)) is not None:
                raise shut
            yield Wait(nap_seconds(offer), is_stuck=True)

    def _call(self, token: Token, call: Callable[[], R], tries: Tries) -> R:
        """Make one call; tell the shared row and the run's standing how it went."""
        gate = CallGate(self._limits, token, slots=self._call_slots, stop=self._stop)
        failures_before = METER.failures
        try:
            with gated(gate):
                reply = call()
        except FetchError as error:
            tries.add(error.requests, None if gate.shut else error)
            told = {"error_type": error.error_type, "try": len(tries.requests), "requests": error.requests}
            log.info("try %d failed: %s", len(tries.requests), error, extra=told)
            if not gate.shut:
                self._note_failure(token, error, METER.failures - failures_before)
            raise
        tries.add(reply.requests)
        self._note_answer(token)
        return reply

    def _note_answer(self, token: Token) -> None:
        self._standing.answered(token.provider)
        self._limits.note_success(token.provider, probe=token.offer.is_probe)

    def _note_failure(self, token: Token, error: FetchError, failed_requests: int) -> None:
        if error.ends_provider:
            self._standing.leave_out(token.provider, error)
        if isinstance(error, Answer):
            self._note_answer(token)
            return
        if isinstance(error, RateLimited):
            self._limits.note_rate_limited(token.provider, error.retry_after_seconds)
        reason = f"{error.error_type}: {error}"
        self._limits.note_failure(token.provider, max(1, failed_requests), reason, probe=token.offer.is_probe)


def _fetch_chain(provider: Provider, request: ChainRequest) -> ChainReply:
    """Ask a provider. That a stock has no options at all is doubted where expirations still to come were listed."""
    try:
        return provider.fetch_chain(request)
    except NoOptions as answer:
        if not request.known_expirations:
            raise
        fault = VendorFault(f"{answer}, though expirations still to come were listed before")
        fault.requests = answer.requests
        raise fault from None
