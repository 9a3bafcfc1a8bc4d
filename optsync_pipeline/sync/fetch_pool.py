"""The threads that fetch: symbols in, FetchResults out, in the order in which they come.

More threads than vendor calls: a thread that waits before a retry holds no call slot, so the slots stay busy. The
threads are daemons, for a call that hangs in a vendor's socket must not keep the process from leaving.
"""

import contextlib
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import ChainRequest, VendorFault

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A symbol's fetch, ended: what was asked and when, and what came of it. duration_ms: waits included."""

    request: ChainRequest
    result: FetchResult
    duration_ms: float


class FetchPool:
    """Fetches each symbol once. At most `room` results wait to be taken: memory is bounded by the chunk."""

    def __init__(
        self,
        router: Router,
        symbols: Sequence[str],
        *,
        target_dtes: tuple[int, ...],
        known_expirations: Mapping[str, tuple[date, ...]],
        clock: Callable[[], datetime],
        stop: threading.Event,
        threads: int,
        room: int,
    ) -> None:
        self._router = router
        self._target_dtes = target_dtes
        self._known_expirations = known_expirations
        self._clock = clock
        self._stop = stop
        self._todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for symbol in symbols:
            self._todo.put(symbol)
        self._results: queue.Queue[Fetched] = queue.Queue(maxsize=room)
        self._guard = threading.Lock()
        self._started: list[str] = []
        self._under_way = 0
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            for number in range(min(threads, len(symbols)))
        ]

    def start(self) -> None:
        """Begin to fetch."""
        for thread in self._threads:
            thread.start()

    def next_result(self, timeout_seconds: float) -> Fetched | None:
        """Take a result, or None where none came in time."""
        try:
            return self._results.get(timeout=timeout_seconds)
        except queue.Empty:
            return None

    def close(self) -> list[Fetched]:
        """Take every result that is there now; what comes later is let go, and asked for again next time."""
        self._closed.set()
        results = []
        while not self._results.empty():
            results.append(self._results.get_nowait())
        return results

    def take_started(self) -> list[str]:
        """Take the symbols whose fetch has begun since the last call."""
        with self._guard:
            started, self._started = self._started, []
        return started

    def idle(self) -> bool:
        """Whether no fetch is under way."""
        with self._guard:
            return self._under_way == 0

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                symbol = self._todo.get_nowait()
            except queue.Empty:
                return
            with self._guard:
                self._started.append(symbol)
                self._under_way += 1
            try:
                fetched = self._fetch(symbol)
                # A wait that the stop cut short is no end: the symbol stays to be done.
                if not fetched.result.stopped:
                    self._hand_over(fetched)
            finally:
                with self._guard:
                    self._under_way -= 1

    def _fetch(self, symbol: str) -> Fetched:
        request = ChainRequest(symbol, self._target_dtes, self._clock(), self._known_expirations.get(symbol, ()))
        begun = time.monotonic()
        try:
            result = self._router.fetch(request)
        except Exception as bug:  # noqa: BLE001 - the next lines say why
            # One symbol's bug must not take the others along. Its text may hold anything, so only its type is told.
            frames = "".join(traceback.format_tb(bug.__traceback__))
            log.error("reading the reply for %s failed in our own code: %s\n%s", symbol, type(bug).__name__, frames)  # noqa: TRY400
            result = FetchResult(symbol, reply=None, error=_own(bug), attempts=(), retry_count=0, requests=0)
        return Fetched(request, result, 1000 * (time.monotonic() - begun))

    def _hand_over(self, fetched: Fetched) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._results.put(fetched, timeout=0.5)
                return


def undigested(fetched: Fetched, bug: Exception) -> Fetched:
    """Return a fetch as failed, because our own code broke on its reply."""
    return replace(fetched, result=replace(fetched.result, reply=None, error=_own(bug)))


def _own(bug: Exception) -> VendorFault:
    return VendorFault(f"fault in optsync itself while reading the reply ({type(bug).__name__}); please report it")
