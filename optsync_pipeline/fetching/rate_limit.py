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

from optsync_pipeline.fetching.retry import LONGEST_RETRY_AFTER_SECONDS
from optsync_pipeline.providers.base import CircuitOpen, FetchError, RateLimited
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits

HORIZON_SECONDS = 15.0
"""A token further away is not taken yet: limits change, and a process that dies takes its tokens with it."""

LATE_SECONDS = 1.0
"""A token that could not be used within this is let go: used later it would crowd those that follow it."""

_LONGEST_NAP_SECONDS = 5.0
_SLOT_POLL_SECONDS = 0.5


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

    shut: whether it raised: what the call then ends with is not the vendor's doing.
    """

    def __init__(
        self, limits: ProviderLimits, token: Token, *, slots: threading.Semaphore, stop: threading.Event
    ) -> None:
        self._limits = limits
        self._provider = token.provider
        self._is_probe = token.offer.is_probe
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
        try:
            yield
        finally:
            self._slots.release()

    def _enter(self) -> None:
        while True:
            token = self._token or self._take()
            self._token = None
            self._sleep(token.due - time.monotonic())
            self._acquire_slot()
            if self._is_still_good(token):
                return
            self._slots.release()

    def _is_still_good(self, token: Token) -> bool:
        if time.monotonic() - token.due > LATE_SECONDS:
            return False
        return token.offer.wait_seconds < _WORTH_A_LOOK_SECONDS or self._limits.still_good(token.offer)

    def _take(self) -> Token:
        while True:
            offer = self._limits.take([self._provider], max_wait_seconds=HORIZON_SECONDS, probe=self._is_probe)
            if (token := token_of(offer)) is not None:
                return token
            shut = refusal(self._provider, offer)
            if shut is not None:
                raise shut
            self._sleep(nap_seconds(offer))

    def _acquire_slot(self) -> None:
        while not self._slots.acquire(timeout=_SLOT_POLL_SECONDS):
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
        return circuit_open(provider, offer)
    if offer.paused_seconds > LONGEST_RETRY_AFTER_SECONDS:
        return RateLimited(
            f"{provider} asks to be left alone for {offer.paused_seconds:.0f} s more, longer than a sync waits"
        )
    return None


def circuit_open(provider: str, offer: Offer) -> CircuitOpen:
    """Return what is said of a provider whose breaker is open."""
    return CircuitOpen(f"{provider} failed too often in a row and is left alone for {offer.wait_seconds:.0f} s")


def nap_seconds(offer: Offer) -> float:
    """Return how long to sleep before asking for a token again that is still too far away."""
    return min(max(offer.wait_seconds - HORIZON_SECONDS / 2, 0.2), _LONGEST_NAP_SECONDS)
