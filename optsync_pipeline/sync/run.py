"""One running sync: two kinds of threads and a queue between them. What it is for is told in engine.py."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType

from optsync_pipeline.fetching.router import Router
from optsync_pipeline.logs import bound
from optsync_pipeline.providers.base import Foreseeing, Provider
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import market_tables, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.storage.retirement import retire_stocks
from optsync_pipeline.sync.chunk_builder import ChunkBuilder
from optsync_pipeline.sync.fetch_pool import Fetched, FetchPool
from optsync_pipeline.sync.fetch_setup import THREADS_PER_CALL, build_pool, build_router, bulk_givers
from optsync_pipeline.sync.outcome import SymbolOutcome, outcome_from_row
from optsync_pipeline.sync.plan import SyncPlan, Work
from optsync_pipeline.sync.price_doubts import confirm_prices
from optsync_pipeline.sync.price_fetch import PriceFetch
from optsync_pipeline.sync.proof import AnswerProof
from optsync_pipeline.sync.remembered import remembered_fetches
from optsync_pipeline.sync.run_log import RunLog

log = logging.getLogger(__name__)

# A chunk is committed when it is full or when its first reply has waited this long: under a vendor's rate limit a
# hundred replies take minutes, and a killed process must not lose them.
CHUNK_WAIT_SECONDS = 5.0
# After a stop, calls under way may end; then what came is committed and the process can leave within 10 s.
STOP_GRACE_SECONDS = 3.0
STOP_COMMIT_SECONDS = 5.0
# How often the symbols under way are told to the sync log: one statement each time, not one a symbol.
PROGRESS_SECONDS = 0.5
# In these, a symbol that was lately answered with "nothing to have" is passed over; who names it is not put off.
ASKED_IN_BULK = frozenset({"all", "stale", "failed", "watchlist"})


class JobTakenError(Exception):
    """The job's lock was lost and somebody else has it now: what is committed stays, nothing more is asked."""


class SyncRun:
    """One running sync: iterate it for outcomes; leaving its `with` block early stops it and keeps what is fetched."""

    def __init__(
        self,
        plan: SyncPlan,
        database: Database,
        settings: Settings,
        clock: Callable[[], datetime],
        lock: sync_log.JobLock,
        work: Work,
        providers: Sequence[Provider],
        limits: ProviderLimits,
        *,
        owns_providers: bool,
    ) -> None:
        self.job_id = lock.job_id
        self.total = len(work.todo) + len(work.done)
        self.provider_names = tuple(provider.name for provider in providers)
        """Who may be asked, in their order."""
        self.cancelled = False
        """Whether a stop came before the end; known once the iteration is over."""
        self.cancel_requested = False
        """Whether the stop was asked for through the sync log."""
        self.left_out: dict[str, str] = {}
        """Providers that are not asked any more, each with the reason."""
        self._plan = plan
        self._database = database
        self._settings = settings
        self._clock = clock
        self._work = work
        self._providers = providers
        self._limits = limits
        self._owns_providers = owns_providers
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._outcomes: queue.SimpleQueue[SymbolOutcome | None] = queue.SimpleQueue()
        self._lock = lock
        self._builder = ChunkBuilder(
            database,
            settings,
            clock,
            job_id=lock.job_id,
            delays={provider.name: provider.quote_delay for provider in providers},
            prices_only=plan.prices_only,
        )
        self._log = RunLog(database)
        self._progress_told_at = 0.0
        self._writer = threading.Thread(target=self._write_chunks, name=f"sync-{lock.job_id}-writer", daemon=True)

    def __enter__(self) -> "SyncRun":
        self._writer.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        # A database that hangs must not keep the process: the thread is a daemon, its transaction comes to nothing.
        self._writer.join(STOP_GRACE_SECONDS + STOP_COMMIT_SECONDS)
        self._lock.release()
        if self._owns_providers:
            for provider in self._providers:
                provider.close()
        self._limits.close()

    def stop(self) -> None:
        """Ask for the end: no new fetches; what is fetched is committed. Safe from any thread or signal handler."""
        self._stop.set()

    def __iter__(self) -> Iterator[SymbolOutcome]:
        """Yield every symbol of the job: those done before first, then each as its chunk is committed."""
        yield from self._work.done
        # A wait without end would keep Python from running signal handlers.
        while True:
            try:
                outcome_or_end = self._outcomes.get(timeout=0.2)
            except queue.Empty:
                continue
            if outcome_or_end is None:
                break
            yield outcome_or_end
        if self._fault is not None:
            raise self._fault

    # -- the writer thread ---------------------------------------------------------------------------------------

    def _write_chunks(self) -> None:
        try:
            with bound(job=self.job_id):
                self._log.started(self._plan.sync_type, len(self._work.todo), len(self._work.done))
                self._run_to_the_end()
        except BaseException as fault:  # noqa: BLE001 - carried to the consumer, which raises it
            self._stop.set()
            self._fault = fault
        finally:
            self._outcomes.put(None)

    def _run_to_the_end(self) -> None:
        router = build_router(self._plan, self._settings, self._providers, self._limits, self._stop)
        todo = self._skip_remembered()
        for provider in self._providers:
            if isinstance(provider, Foreseeing):
                provider.expect(todo)
        pool = build_pool(
            self._plan,
            self._settings,
            self._database,
            router,
            todo,
            givers=bulk_givers(self._providers),
            avoid=self._work.avoid,
            clock=self._clock,
            stop=self._stop,
        )
        news = partial(self._exchange_news, pool, router)
        proof = AnswerProof(
            router,
            self._database,
            self._settings.target_dtes,
            self._clock,
            calls_at_once=THREADS_PER_CALL * self._settings.max_concurrent_fetches,
            while_waiting=news,
        )
        pool.start()
        for fetched in self._chunks(pool, len(todo), router):
            self._commit(fetched, proof)
        if not self.cancelled:
            givers = bulk_givers(self._providers)
            confirm_prices(self._database, router, givers, self.job_id, clock=self._clock, stop=self._stop)
        self._note_left_out(router)
        self._finish()

    def _skip_remembered(self) -> list[str]:
        """Skip the symbols of which it is known that there is nothing to have; return the others."""
        todo = self._work.todo
        if self._plan.sync_type not in ASKED_IN_BULK or self._plan.prices_only:
            return todo
        names = [provider.name for provider in self._providers]
        remembered = remembered_fetches(self._database, todo, names, self._clock())
        size = self._settings.chunk_symbols
        for start in range(0, len(remembered), size):
            self._store(remembered[start : start + size])
        skipped = {one.request.symbol for one in remembered}
        return [symbol for symbol in todo if symbol not in skipped]

    def _chunks(self, pool: FetchPool | PriceFetch, expected: int, router: Router) -> Iterator[list[Fetched]]:
        """Group results as they arrive; end when all have come, or when a stop's grace is over."""
        waiting: list[Fetched] = []
        arrived, first_at, stopped_at = 0, 0.0, None
        while arrived < expected:
            self._exchange_news(pool, router)
            result = pool.next_result(timeout_seconds=0.2)
            if result is not None:
                first_at = time.monotonic() if not waiting else first_at
                waiting.append(result)
                arrived += 1
            if pool.fault is not None:
                raise pool.fault
            if self._stop.is_set():
                stopped_at = stopped_at or time.monotonic()
                if pool.idle() or time.monotonic() - stopped_at > STOP_GRACE_SECONDS:
                    waiting.extend(pool.close())
                    self.cancelled = True
                    break
            full = len(waiting) >= self._settings.chunk_symbols
            if full or (waiting and time.monotonic() - first_at > CHUNK_WAIT_SECONDS):
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _exchange_news(self, pool: FetchPool | PriceFetch, router: Router) -> None:
        """Tell the sync log what is under way, and look whether somebody asks there for the end."""
        if time.monotonic() - self._progress_told_at < PROGRESS_SECONDS:
            return
        self._progress_told_at = time.monotonic()
        started = pool.take_started()
        if started:
            sync_log.mark_in_progress(self._database, self.job_id, started, self._clock())
        self._note_left_out(router)
        if not self.cancel_requested and sync_log.cancel_requested(self._database, self.job_id):
            self.cancel_requested = True
            self.stop()

    def _note_left_out(self, router: Router) -> None:
        reasons = {provider: str(error) for provider, error in router.left_out.items()}
        if reasons != self.left_out:
            self.left_out = reasons
            sync_log.note_left_out(self._database, self.job_id, reasons)

    def _commit(self, fetched: list[Fetched], proof: AnswerProof) -> None:
        results = zip(fetched, proof.settle([one.result for one in fetched]), strict=True)
        self._store([replace(one, result=result) for one, result in results if result is not None])

    def _store(self, settled: list[Fetched]) -> None:
        """Write what came of some symbols, then tell it."""
        for chunk in self._builder.build(settled) if settled else ():
            with self._log.commit(chunk):
                market_tables.write_chunk(self._database, chunk)
            # After the write, which waits for a database that restarts; the lock went with its connection then.
            if not self._lock.held():
                raise JobTakenError(
                    f"sync job {self.job_id} was taken up by another process while this one was cut off"
                )
            for row in chunk.results:
                self._outcomes.put(outcome_from_row(row, already_done=False))

    def _finish(self) -> None:
        database, now = self._database, self._clock()
        for retired in retire_stocks(database, now):
            log.info("%s is not synced any more: %s", retired.symbol, retired.reason)
        if self._plan.reask:
            sync_log.refresh_counts(database, self.job_id, now)
            self._log.ended("asked again")
        else:
            status = "cancelled" if self.cancelled else self._final_status()
            sync_log.finish_job(database, self.job_id, status, now)
            self._log.ended(status)

    def _final_status(self) -> str:
        rows = sync_log.read_results(self._database, self.job_id)
        return "completed" if any(row["status"] != "failed" for row in rows) else "failed"
