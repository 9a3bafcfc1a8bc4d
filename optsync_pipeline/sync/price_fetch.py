"""Fetches prices alone, with the face of a FetchPool: one thread, since a request brings the quotes of many stocks."""

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from optsync_pipeline.fetching.bulk_quotes import quote_steps
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import BulkQuotes, ChainRequest
from optsync_pipeline.sync.fetch_pool import Fetched


class PriceFetch:
    """Fetches the quote of each symbol once."""

    def __init__(
        self,
        router: Router,
        providers: Mapping[str, BulkQuotes],
        symbols: Sequence[str],
        *,
        clock: Callable[[], datetime],
        stop: threading.Event,
    ) -> None:
        self.fault: Exception | None = None
        """Why nothing can be fetched any more: the database that hands out tokens is gone, or our code broke."""
        self._router = router
        self._providers = providers
        self._symbols = list(symbols)
        self._clock = clock
        self._stop = stop
        self._results: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        self._is_started_told = False
        self._asked_at = clock()
        self._begun = time.monotonic()
        context = contextvars.copy_context()  # what is logged here says which job it is for
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="fetch-prices", daemon=True)

    def start(self) -> None:
        """Begin to fetch."""
        self._thread.start()

    def next_result(self, timeout_seconds: float) -> Fetched | None:
        """Take a result, or None where none came in time."""
        try:
            return self._results.get(timeout=timeout_seconds)
        except queue.Empty:
            return None

    def close(self) -> list[Fetched]:
        """Take every result that is there now."""
        results = []
        while not self._results.empty():
            results.append(self._results.get_nowait())
        return results

    def take_started(self) -> list[str]:
        """Take the symbols whose fetch has begun since the last call: all of them at once."""
        started = [] if self._is_started_told else self._symbols
        self._is_started_told = True
        return started

    def idle(self) -> bool:
        """Whether no vendor call is under way."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        steps = quote_steps(self._router, self._providers, self._symbols, clock=self._clock, deliver=self._hand_over)
        try:
            for wait in steps:
                self._stop.wait(wait.seconds)
        except Exception as fault:  # noqa: BLE001 - carried to the run, which raises it and would else wait for ever
            self.fault = fault
            self._stop.set()

    def _hand_over(self, result: FetchResult) -> None:
        request = ChainRequest(result.symbol, (), self._asked_at)
        self._results.put(Fetched(request, result, 1000 * (time.monotonic() - self._begun)))
