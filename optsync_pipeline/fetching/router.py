"""Whom to ask for a symbol, in which order, and what came of it: the providers of the settings, each until it fails.

    choose the soonest token among those not asked yet ──► call ──► good: the reply
          ▲                                                 ├─► may heal: wait, the same provider again (retry.py)
          └── the next ◄────────────────────────────────────┴─► else

A provider whose breaker is open, that is left out of the run, or whose next token is further away than another's is
passed over; with spillover off, the first one's token is waited for. One that answers 429, or whose breaker opens
between two tries, has another turn once the others were asked, and so has one that is to be asked first and cannot be
asked now. A symbol's fetch is a generator that yields where it has to wait, so that a symbol that waits for a slow
vendor keeps nobody else from being asked.

The calls of one provider are calls.py's; what a vendor's reply means, its provider's. An exception that is no
FetchError is a bug and passes through.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.calls import ROOM_POLL_SECONDS, Calls
from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.fetching.rate_limit import (
    HORIZON_SECONDS,
    StoppedError,
    Token,
    nap_seconds,
    not_now,
    refusal,
)
from optsync_pipeline.fetching.retry import Steps, Wait
from optsync_pipeline.fetching.story import Attempt, FetchResult, Story, Tries, judge_reply
from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    FetchError,
    NoOptions,
    Provider,
    RateLimited,
    VendorFault,
)
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits

_LOOK_SECONDS = 0.5

__all__ = ["Attempt", "FetchResult", "Router", "Steps", "Wait"]


class Router:
    """Asks the providers. One instance serves many threads.

    limits: where tokens come from. call_slots: places for calls. stop: once set, waits end at once and nothing more is
    asked. spillover: whether a provider whose token is sooner is asked before its turn. calls: makes the calls.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        limits: ProviderLimits,
        *,
        stop: threading.Event,
        call_slots: CallSlots,
        tries: int = 5,
        base_wait_seconds: float = 2.0,
        spillover: bool = True,
        standing: Standing | None = None,
        horizon_seconds: float = HORIZON_SECONDS,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._stop = stop
        self._spillover = spillover
        self._standing = standing or Standing()
        self.calls = Calls(
            limits,
            self._standing,
            slots=call_slots,
            stop=stop,
            tries=tries,
            base_wait_seconds=base_wait_seconds,
            horizon_seconds=horizon_seconds,
        )

    @property
    def left_out(self) -> dict[str, FetchError]:
        """The providers that this run does not ask any more, each with the reason."""
        return self._standing.left_out

    def fetch(self, request: ChainRequest, *, only: str | None = None) -> FetchResult:
        """Run `steps` to their end in this thread, sleeping where they wait."""
        result = self.fetch_within(math.inf, request, only=only)
        assert result is not None
        return result

    def fetch_within(
        self,
        patience_seconds: float,
        request: ChainRequest,
        *,
        only: str | None = None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> FetchResult | None:
        """Run `steps` in this thread; None where their waits would last too long.

        while_waiting: called twice a second during waits.
        """
        steps = self.steps(request, only=only)
        deadline = time.monotonic() + patience_seconds
        try:
            while True:
                wait = next(steps)
                until = time.monotonic() + wait.seconds
                if max(until, time.monotonic() + wait.expected_seconds) > deadline:
                    steps.close()
                    return None
                while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
                    self._stop.wait(min(left, _LOOK_SECONDS))
                    while_waiting()
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
            for place, turn in enumerate(turns, start=1):
                while (token := (yield from self.next_token(turn, story, others=any(turns[place:])))) is not None:
                    turn.remove(token.provider)
                    is_hurried = self._spillover and turn is not again and any(turns)
                    reply = yield from self._ask(token, request, story, waits_out_limits=not is_hurried)
                    if reply is not None:
                        return story.end(reply, stopped=False)
                    if story.was_cut_off or (is_hurried and isinstance(story.latest_error, RateLimited)):
                        again.append(token.provider)
                if turn is not again:
                    again.extend(turn)
        except StoppedError:
            return story.end(None, stopped=True)
        return story.end(None, stopped=False)

    def next_token(self, names: list[str], story: Story, *, others: bool = False) -> Steps[Token | None]:
        """Take a token of one of `names`; None where none of them can be asked: those out of question are dropped.

        others: not to wait for one that cannot be asked now, since others can be asked meanwhile.
        """
        while True:
            self._drop_left_out(names, story)
            if not names:
                return None
            has_room, ready = self.calls.has_room(), self._ready(names)
            if ready and has_room:
                offer, token = self.calls.take(ready, spillover=self._spillover)
                if token is not None:
                    if offer.wait_seconds > 0:
                        yield self._wait(offer.wait_seconds, names)
                    return token
            else:
                offer = None
            if others and (offer is not None or not ready):
                return None
            if not self._give_up(names, ready, offer, story):
                nap, expected = (nap_seconds(offer), offer.wait_seconds) if offer else (ROOM_POLL_SECONDS, 0.0)
                yield self._wait(nap, names)._replace(expected_seconds=expected)

    def _give_up(self, names: list[str], ready: Sequence[str], offer: Offer | None, story: Story) -> bool:
        """Drop those of `names` that are not worth a wait, and note why; return whether there were any."""
        dropped: dict[str, FetchError] = {}
        if offer is None:
            if story.has_answer and not ready:  # to hear the same of another vendor is worth no wait
                busy = "has as many calls under way as its limit can finish"
                dropped = {name: RateLimited(f"{name} {busy}") for name in names}
        elif story.has_answer or (offer.provider is None and self._standing.given_up(ready)):
            dropped = {name: not_now(name, offer) for name in ready}
        elif offer.provider is not None and (paused := refusal(offer.provider, offer)) is not None:
            dropped = {offer.provider: paused}
        for name, reason in dropped.items():
            story.pass_over(name, reason)
            names.remove(name)
        return bool(dropped)

    def _ready(self, names: Sequence[str]) -> list[str]:
        """Return the providers of which a call can be begun; with spillover off the first one's turn is waited for."""
        ready = self.calls.ready_to_begin(names)
        return ready if self._spillover or names[0] in ready else []

    def _drop_left_out(self, names: list[str], story: Story) -> None:
        left_out = self._standing.left_out
        for name in [name for name in names if name in left_out]:
            story.pass_over(name, left_out[name])
            names.remove(name)

    def _wait(self, seconds: float, names: Sequence[str]) -> Wait:
        return Wait(seconds, is_stuck=len(names) < len(self._providers) - len(self._standing.left_out))

    def _ask(
        self, token: Token, request: ChainRequest, story: Story, *, waits_out_limits: bool
    ) -> Steps[ChainReply | None]:
        """Ask one provider until it answers or its tries are spent; judge its reply; note in the story what came."""
        began = time.monotonic()
        provider, tries = self._providers[token.provider], Tries()
        reply = yield from self.calls.ask_until_answered(
            token, partial(_fetch_chain, provider, request), tries, waits_out_limits
        )
        if reply is not None:
            tries.error, dead = judge_reply(reply, request)
            if tries.error is not None:
                story.keep_dead(provider.name, tries.error, dead)
        story.note(provider.name, tries, (time.monotonic() - began) * 1000)
        return reply if tries.error is None else None


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
