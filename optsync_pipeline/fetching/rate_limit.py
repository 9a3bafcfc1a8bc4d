"""How a call keeps to its vendor's limit: it waits for its tokens, and holds a place among the calls at once.

A token is permission for one wire request at a time, handed out by the row that all processes share
(storage/provider_limits.py). The first token of a call is taken before the call begins, so that whoever waits for it
needs no thread; what the call needs beyond it (a cookie, a second page) it waits for here, within the call.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from optsync_pipeline.fetching.call_slots import LATE_SECONDS, CallSlots
from optsync_pipeline.fetching.retry import LONGEST_RETRY_AFTER_SECONDS
from optsync_pipeline.providers.base import CircuitOpen, FetchError, RateLimited
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits

HORIZON_SECONDS = 15.0
"""A token further away is not taken yet: limits change, and a process that dies takes its tokens with it."""

LONGEST_CALL_WAIT_SECONDS = 120.0
"""A call that has begun waits no longer for a further token: an hour that is spent would hold its thread all that time.
Whoever made the call waits without a thread, or asks another vendor."""

_LONGEST_NAP_SECONDS = 5.0
_SLOT_POLL_SECONDS = 0.5
_ROOM_POLL_SECONDS = 0.05


class StoppedError(Exception):
    """The stop event was set while something waited. Not a fault: the symbol stays to be done."""


_WORTH_A_LOOK_SECONDS = 0.5
"""After a wait of this length, whether a 429 or a broken vendor has voided the token meanwhile is looked up."""


class Token(NamedTuple):
    """Permission for one request of a provider from `due` on, a time of the monotonic clock."""

    provider: str
    due: float
    offer: Offer


def token_of(offer: Offer) -> Token | None:
    """Return the token of an offer that was taken, else None."""
    if not offer.taken or offer.provider is None:
        return None
    return Token(offer.provider, time.monotonic() + offer.wait_seconds, offer)


class CallGate:
    """What every wire request of one call passes: a token each, the first one given, and a call slot while it lasts.

    shut: whether it raised: what the call then ends with is not the vendor's doing. is_probe: whether what the call
    ends with decides about an open breaker; a further request may be what makes it one.
    """

    def __init__(self, limits: ProviderLimits, token: Token, *, slots: CallSlots, stop: threading.Event) -> None:
        self._limits = limits
        self.provider = token.provider
        self.is_probe = token.offer.is_probe
        self._token: Token | None = token
        self._slots = slots
        self._stop = stop
        self.shut = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for a token and a slot; hold the slot for the block. Raises CircuitOpen, RateLimited, StoppedError."""
        try:
            self._enter()
        except BaseException:
            self.shut = True
            raise
        began = time.monotonic()
        try:
            yield
        finally:
            self._slots.release(time.monotonic() - began)

    def close(self) -> None:
        """End the call: where it made no request, nobody needs a slot for it any more."""
        if self._token is not None:
            self._slots.expect_no_more(self._token.due)

    def _enter(self) -> None:
        while True:
            token = self._token or self._take_again()
            self._token = None
            self._sleep(token.due - time.monotonic())
            self._acquire_slot()
            if self._is_late(token) and (another := self._take_at_once()) is not None:
                token = another
            if not self._is_late(token) and self._is_still_good(token):
                return
            self._slots.release()

    def _is_late(self, token: Token) -> bool:
        return time.monotonic() - token.due > LATE_SECONDS

    def _take_at_once(self) -> Token | None:
        """Take a token that is due now, for who has a place already."""
        offer = self._limits.take([self.provider], max_wait_seconds=0.0, probe=self.is_probe)
        self.is_probe |= offer.is_probe and offer.taken
        return token_of(offer)

    def _is_still_good(self, token: Token) -> bool:
        return token.offer.wait_seconds < _WORTH_A_LOOK_SECONDS or self._limits.still_good(token.offer)

    def _take_again(self) -> Token:
        with self._slots.going_on(self.provider):
            token = self._take()
            self._sleep(token.due - time.monotonic())
            return token

    def _take(self) -> Token:
        while True:
            while not self._slots.has_room():
                self._sleep(_ROOM_POLL_SECONDS)
            offer = self._limits.take([self.provider], max_wait_seconds=HORIZON_SECONDS, probe=self.is_probe)
            if (token := token_of(offer)) is not None:
                self.is_probe |= offer.is_probe
                self._slots.expect(token.due)
                return token
            if (shut := refusal(self.provider, offer)) is not None:
                raise shut
            if offer.wait_seconds > LONGEST_CALL_WAIT_SECONDS:
                raise not_now(self.provider, offer)
            self._sleep(nap_seconds(offer))

    def _acquire_slot(self) -> None:
        while not self._slots.acquire(_SLOT_POLL_SECONDS):
            self._check_stop()
        # Each request that ends lets in one that waits: without this look they would all still go out after a stop.
        if self._stop.is_set():
            self._slots.release()
            raise StoppedError

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._stop.wait(seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError


def refusal(provider: str, offer: Offer) -> FetchError | None:
    """Return why an offer without a token is not worth waiting for, or None where it is."""
    if offer.provider is None:
        return not_now(provider, offer)
    if offer.paused_seconds > LONGEST_RETRY_AFTER_SECONDS:
        return RateLimited(
            f"{provider} asks to be left alone for {offer.paused_seconds:.0f} s more, longer than a sync waits",
            retry_after_seconds=offer.paused_seconds,
        )
    return None


def not_now(provider: str, offer: Offer) -> FetchError:
    """Return what is said of a provider that is not asked because of what an offer without a token says."""
    if offer.provider is None:
        return CircuitOpen(f"{provider} failed too often in a row and is left alone for {offer.wait_seconds:.0f} s")
    return RateLimited(f"{provider}'s limit has no room for {offer.wait_seconds:.0f} s more")


def nap_seconds(offer: Offer) -> float:
    """Return how long to sleep before asking for a token again that is still too far away."""
    return min(max(offer.wait_seconds - HORIZON_SECONDS / 2, 0.2), _LONGEST_NAP_SECONDS)
