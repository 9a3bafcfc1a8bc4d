"""Places among the vendor calls at once: MAX_CONCURRENT_FETCHES of them, for all vendors of a run.

A wire request holds one while it lasts, and nothing else does. Because a token that has to wait for a place is late,
and a late one is lost, tokens are only taken while there is room for those that are due: with slow vendors the places
are the bound, not the limits. How tokens are waited for is rate_limit.py's.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LATE_SECONDS = 1.0
"""A token that could not be used within this is let go: used later it would crowd those that follow it."""

_FORGOTTEN_SECONDS = 5.0
_NEW_SHARE = 0.2


class CallSlots:
    """Places for `count` calls. One instance serves all threads of a run."""

    def __init__(self, count: int) -> None:
        self._places = threading.Semaphore(count)
        self._count = count
        self._lock = threading.Lock()
        self._in_use = 0
        self._expected: list[float] = []
        self._mean_seconds = 0.0
        self._going_on: Counter[str] = Counter()

    def acquire(self, timeout_seconds: float = 0.0) -> bool:
        """Take a place; False where none came free in time."""
        if not self._places.acquire(timeout=timeout_seconds):
            return False
        with self._lock:
            self._in_use += 1
            if self._expected:
                heapq.heappop(self._expected)
        return True

    def release(self, held_seconds: float | None = None) -> None:
        """Give a place back. held_seconds: how long a request lasted; None where none was made."""
        with self._lock:
            self._in_use -= 1
            if held_seconds is not None:
                self._mean_seconds += _NEW_SHARE * (held_seconds - self._mean_seconds)
        self._places.release()

    def expect(self, due: float) -> None:
        """Be told of a token that needs a place from `due` on, a time of the monotonic clock."""
        with self._lock:
            heapq.heappush(self._expected, due)

    def expect_no_more(self, due: float) -> None:
        """Be told that a token's call ended without a request."""
        with self._lock:
            if due in self._expected:
                self._expected.remove(due)
                heapq.heapify(self._expected)

    @contextmanager
    def going_on(self, provider: str) -> Iterator[None]:
        """Tell for the length of the block that a call of a provider needs a token for a further request."""
        with self._lock:
            self._going_on[provider] += 1
        try:
            yield
        finally:
            with self._lock:
                self._going_on[provider] -= 1

    def ready_to_begin(self, providers: Sequence[str]) -> list[str]:
        """Return the providers of which no call waits for a further token.

        Where a symbol costs several requests, more would else be begun than the limit can finish, and at a run's end
        they would be waited for alone.
        """
        with self._lock:
            return [provider for provider in providers if not self._going_on[provider]]

    def has_room(self) -> bool:
        """Whether a token taken now would find a place in time.

        Tokens that are due may wait for half of LATE_SECONDS: of quick vendors some are kept ready, of slow ones none.
        """
        now = time.monotonic()
        with self._lock:
            while self._expected and self._expected[0] < now - _FORGOTTEN_SECONDS:
                heapq.heappop(self._expected)  # of a call that was given up
            soon = sum(due < now + LATE_SECONDS for due in self._expected)
            ready = self._count * min(1.0, LATE_SECONDS / 2 / max(self._mean_seconds, 1e-3))
            return self._in_use + soon < self._count + int(ready)
