"""What a run has learnt of its providers: who is left out for good, and who cannot be reached since when.

Whether a breaker is open is said by the row that all processes share (storage/provider_limits.py). Here is only how
long a run waits for one that is: a network that is gone for half a minute opens them all, and costs no symbol.
"""

import logging
import threading
import time
from collections.abc import Collection

from optsync_pipeline.providers.base import FetchError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 150.0
"""Two probes: a breaker is open for 60 s, then one request decides."""


class Standing:
    """The standing of a run's providers. One instance serves all threads of the run."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._left_out: dict[str, FetchError] = {}
        self._dark_since: dict[str, float] = {}

    @property
    def left_out(self) -> dict[str, FetchError]:
        """The providers that are not asked any more, each with the reason."""
        with self._lock:
            return dict(self._left_out)

    def leave_out(self, provider: str, reason: FetchError) -> None:
        """Ask a provider nothing more in this run; say so once."""
        with self._lock:
            is_new = provider not in self._left_out
            self._left_out.setdefault(provider, reason)
        if is_new:
            log.warning("%s is left out of this run: %s", provider, reason, extra={"provider": provider})

    def answered(self, provider: str) -> None:
        """Note that a provider can be reached."""
        with self._lock:
            self._dark_since.pop(provider, None)

    def given_up(self, providers: Collection[str]) -> bool:
        """Whether all of these, whose breakers are open now, were unreachable for longer than a run waits."""
        now = time.monotonic()
        with self._lock:
            since = [self._dark_since.setdefault(provider, now) for provider in providers]
        return all(now - begun >= self._patience_seconds for begun in since)
