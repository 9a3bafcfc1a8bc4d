"""Calls of one provider: made with a token and a place, again while that may help, and told to all processes.

Whom to call next is router.py's; how often and after which wait, retry.py's.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.fetching.rate_limit import (
    CallGate,
    StoppedError,
    Token,
    nap_seconds,
    refusal,
    token_of,
)
from optsync_pipeline.fetching.retry import Steps, Wait, ask_patiently
from optsync_pipeline.fetching.story import Tries
from optsync_pipeline.logs import bound
from optsync_pipeline.providers.base import Answer, ChainReply, FetchError, QuotesReply, RateLimited
from optsync_pipeline.providers.transport import METER, gated
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits

log = logging.getLogger(__name__)

R = TypeVar("R", ChainReply, QuotesReply)

ROOM_POLL_SECONDS = 0.1


class Calls:
    """Makes the calls of a run. One instance serves many threads.

    slots: held by each wire request and by nothing else. stop: once set, nothing more is asked. tries: of one provider
    for one question. horizon_seconds: how far away a token may be that is taken.
    """

    def __init__(
        self,
        limits: ProviderLimits,
        standing: Standing,
        *,
        slots: CallSlots,
        stop: threading.Event,
        tries: int,
        base_wait_seconds: float,
        horizon_seconds: float,
    ) -> None:
        self._limits = limits
        self._standing = standing
        self._slots = slots
        self._stop = stop
        self._tries = tries
        self._base_wait_seconds = base_wait_seconds
        self._horizon_seconds = horizon_seconds

    def has_room(self) -> bool:
        """Whether a token taken now would find a place in time. Raises StoppedError."""
        if self._stop.is_set():
            raise StoppedError
        return self._slots.has_room()

    def ready_to_begin(self, names: Sequence[str]) -> list[str]:
        """Return those of some providers of which no call under way waits for a further token."""
        return self._slots.ready_to_begin(names)

    def take(self, names: Sequence[str], *, spillover: bool = True) -> tuple[Offer, Token | None]:
        """Take the soonest token among some providers that is not too far away."""
        offer = self._limits.take(names, spillover=spillover, max_wait_seconds=self._horizon_seconds)
        token = token_of(offer)
        if token is not None:
            self._slots.expect(token.due)
        return offer, token

    def ask_until_answered(
        self, first: Token, call: Callable[[], R], tries: Tries, waits_out_limits: bool = True
    ) -> Steps[R | None]:
        """Make a call until it answers or its tries are spent; None where `tries` says what it failed with."""
        tokens = [first]

        def ask_once() -> Steps[R]:
            token = tokens.pop() if tokens else (yield from self._token_again(first.provider))
            if self._stop.is_set():
                raise StoppedError
            if (reason := self._standing.left_out.get(first.provider)) is not None:
                tries.add(0)  # it was left out while this one waited for its token
                raise type(reason)(str(reason))
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
            if not self.has_room():
                yield Wait(ROOM_POLL_SECONDS, is_stuck=False)
                continue
            offer, token = self.take([name])
            if token is not None:
                if offer.wait_seconds > 0:
                    yield Wait(offer.wait_seconds, is_stuck=True)
                return token
            if (shut := refusal(name, offer)) is not None:
                raise shut
            yield Wait(nap_seconds(offer), is_stuck=True, expected_seconds=offer.wait_seconds)

    def _call(self, token: Token, call: Callable[[], R], tries: Tries) -> R:
        """Make one call; tell the shared row and the run's standing how it went."""
        gate = CallGate(self._limits, token, slots=self._slots, stop=self._stop)
        failures_before = METER.failures
        try:
            with closing(gate), gated(gate):
                reply = call()
        except FetchError as error:
            tries.add(error.requests, None if gate.shut else error)
            told = {"error_type": error.error_type, "try": len(tries.requests), "requests": error.requests}
            log.info("try %d failed: %s", len(tries.requests), error, extra=told)
            if not gate.shut:
                self._note_failure(gate, error, METER.failures - failures_before)
            raise
        tries.add(reply.requests)
        self._note_answer(gate)
        return reply

    def _note_answer(self, gate: CallGate) -> None:
        self._standing.answered(gate.provider)
        self._limits.note_success(gate.provider, probe=gate.is_probe)

    def _note_failure(self, gate: CallGate, error: FetchError, failed_requests: int) -> None:
        if error.ends_provider:
            self._standing.leave_out(gate.provider, error)
        if isinstance(error, Answer):
            self._note_answer(gate)
            return
        if isinstance(error, RateLimited):
            self._limits.note_rate_limited(gate.provider, error.retry_after_seconds)
        # A refusal of the account or the plan is an answer of a vendor that works: no reason to leave it alone.
        counted = 0 if error.ends_provider else max(1, failed_requests)
        self._limits.note_failure(gate.provider, counted, f"{error.error_type}: {error}", probe=gate.is_probe)
