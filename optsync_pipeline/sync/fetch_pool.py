"""The threads that fetch: symbols in, FetchResults out, in the order in which they come.

A symbol that has to wait (for a token, or before it is asked again) is put aside with its time and holds no thread. New
symbols are begun as long as not too many are under way; those that wait for a vendor of which the new ones have no need
don't count, so that a slow or failing vendor keeps nobody from the others.

The threads are daemons, for a call that hangs in a vendor's socket must not keep the process from leaving.
"""

import contextlib
import contextvars
import heapq
import itertools
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from optsync_pipeline.fetching.router import FetchResult, Router, Steps
from optsync_pipeline.logs import bound
from optsync_pipeline.providers.base import ChainRequest, VendorFault
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.storage.stocks import KnownExpirations

log = logging.getLogger(__name__)

MAX_PUT_ASIDE_PER_THREAD = 25


@dataclass(frozen=True, slots=True)
class Fetched:
    """A symbol's fetch, ended: what was asked and when, and what came of it. duration_ms: waits included."""

    request: ChainRequest
    result: FetchResult
    duration_ms: float


@dataclass(order=True, slots=True)
class _Task:
    """A symbol under way. due: when it goes on, by the monotonic clock; number: of two due at once, the first begun."""

    due: float
    number: int
    request: ChainRequest = field(compare=False)
    steps: Steps[FetchResult] = field(compare=False)
    begun: float = field(compare=False)
    is_stuck: bool = field(default=False, compare=False)


class FetchPool:
    """Fetches each symbol once. At most `room` results wait to be taken: memory is bounded by the chunk.

    avoid: for each symbol, the providers that are to be asked last.
    """

    def __init__(
        self,
        router: Router,
        symbols: Sequence[str],
        *,
        target_dtes: tuple[int, ...],
        known_expirations: Mapping[str, KnownExpirations],
        clock: Callable[[], datetime],
        stop: threading.Event,
        threads: int,
        room: int,
        avoid: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.fault: StorageError | None = None
        """Why no symbol can be fetched any more: the database that hands out tokens is gone."""
        self._router = router
        self._target_dtes = target_dtes
        self._known_expirations = known_expirations
        self._clock = clock
        self._stop = stop
        self._avoid = avoid or {}
        self._todo = iter(symbols)
        self._results: queue.Queue[Fetched] = queue.Queue(maxsize=room)
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._put_aside: list[_Task] = []
        self._running = 0
        self._is_all_begun = False
        self._started: list[str] = []
        self._closed = threading.Event()
        self._threads = [
            # In the context of who makes the pool, so that what is logged here says which job it is for.
            threading.Thread(
                target=contextvars.copy_context().run, args=(self._work,), name=f"fetch-{number}", daemon=True
            )
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
        with self._changed:
            started, self._started = self._started, []
        return started

    def idle(self) -> bool:
        """Whether no vendor call is under way."""
        with self._changed:
            return self._running == 0

    def _work(self) -> None:
        while (task := self._next_task()) is not None:
            try:
                with bound(symbol=task.request.symbol):
                    self._advance(task)
            except StorageError as fault:
                self.fault = fault
                self._stop.set()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify()

    def _next_task(self) -> _Task | None:
        """Wait for something to do; None where nothing is left, or after a stop."""
        with self._changed:
            while not self._stop.is_set():
                now = time.monotonic()
                task = heapq.heappop(self._put_aside) if self._is_due(now) else self._begin(now)
                if task is not None:
                    self._running += 1
                    return task
                if self._is_all_begun and not self._put_aside and not self._running:
                    self._changed.notify_all()
                    return None
                # A stop is set from outside and wakes nobody here.
                self._changed.wait(min(0.2, self._put_aside[0].due - now) if self._put_aside else 0.2)
        return None

    def _is_due(self, now: float) -> bool:
        return bool(self._put_aside) and self._put_aside[0].due <= now

    def _begin(self, now: float) -> _Task | None:
        """Begin another symbol, where there is one and not too many are under way."""
        ready = self._running + sum(not task.is_stuck for task in self._put_aside)
        limit = len(self._threads)
        if ready >= limit or len(self._put_aside) >= MAX_PUT_ASIDE_PER_THREAD * limit:
            return None
        symbol = next(self._todo, None)
        if symbol is None:
            self._is_all_begun = True
            return None
        self._started.append(symbol)
        known = self._known_expirations.get(symbol, KnownExpirations())
        request = ChainRequest(symbol, self._target_dtes, self._clock(), known.dates, known.provider)
        steps = self._router.steps(request, last=self._avoid.get(symbol, ()))
        return _Task(now, next(self._numbers), request, steps, begun=now)

    def _advance(self, task: _Task) -> None:
        """Run a task up to its next wait or to its end. Raises StorageError."""
        symbol = task.request.symbol
        try:
            wait = next(task.steps)
        except StopIteration as end:
            result: FetchResult = end.value
        except StorageError:
            raise
        except Exception as bug:  # noqa: BLE001 - the next lines say why
            # One symbol's bug must not take the others along. Its text may hold anything, so only its type is told.
            frames = "".join(traceback.format_tb(bug.__traceback__))
            log.error("reading the reply for %s failed in our own code: %s\n%s", symbol, type(bug).__name__, frames)  # noqa: TRY400
            result = FetchResult(symbol, reply=None, error=_own(bug), attempts=(), retry_count=0, requests=0)
        else:
            with self._changed:
                task.due, task.is_stuck = time.monotonic() + wait.seconds, wait.is_stuck
                heapq.heappush(self._put_aside, task)
            return
        # A wait that the stop cut short is no end: the symbol stays to be done.
        if not result.stopped:
            self._hand_over(Fetched(task.request, result, 1000 * (time.monotonic() - task.begun)))

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
