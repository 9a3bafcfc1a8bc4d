"""One running sync: two kinds of threads and a queue between them. What it is for is told in engine.py."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType

from optsync_pipeline.calendar import new_york_date
from optsync_pipeline.fetching.router import Router
from optsync_pipeline.providers.base import Provider
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import market_tables, stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import ChunkRows
from optsync_pipeline.sync.chunk import build_chunk
from optsync_pipeline.sync.fetch_pool import Fetched, FetchPool, undigested
from optsync_pipeline.sync.outcome import SymbolOutcome, outcome_from_row
from optsync_pipeline.sync.proof import AnswerProof

log = logging.getLogger(__name__)

# A chunk is committed when it is full or when its first reply has waited this long: under a vendor's rate limit a
# hundred replies take minutes, and a killed process must not lose them.
CHUNK_WAIT_SECONDS = 5.0
# After a stop, calls under way may end; then what came is committed and the process can leave within 10 s.
STOP_GRACE_SECONDS = 3.0
STOP_COMMIT_SECONDS = 5.0
# How often the symbols under way are told to the sync log: one statement each time, not one a symbol.
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What to sync. continue_job_id: a job of which only what is not done is asked; reask: its given symbols again."""

    symbols: tuple[str, ...]
    sync_type: str
    target_dtes: tuple[int, ...] = ()
    run_id: str | None = None
    continue_job_id: int | None = None
    tries: int = 5
    reask: bool = False


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
        todo: list[str],
        done: list[SymbolOutcome],
        providers: Sequence[Provider],
        *,
        owns_providers: bool,
    ) -> None:
        self.job_id = lock.job_id
        self.total = len(todo) + len(done)
        self.cancelled = False
        """Whether a stop came before the end; known once the iteration is over."""
        self._plan = plan
        self._database = database
        self._settings = settings
        self._clock = clock
        self._todo = todo
        self._done = done
        self._providers = providers
        self._owns_providers = owns_providers
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._outcomes: queue.SimpleQueue[SymbolOutcome | None] = queue.SimpleQueue()
        self._lock = lock
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

    def stop(self) -> None:
        """Ask for the end: no new fetches; what is fetched is committed. Safe from any thread or signal handler."""
        self._stop.set()

    def __iter__(self) -> Iterator[SymbolOutcome]:
        """Yield every symbol of the job: those done before first, then each as its chunk is committed."""
        yield from self._done
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
            self._run_to_the_end()
        except BaseException as fault:  # noqa: BLE001 - carried to the consumer, which raises it
            self._stop.set()
            self._fault = fault
        finally:
            self._outcomes.put(None)

    def _run_to_the_end(self) -> None:
        settings = self._settings
        slots = threading.Semaphore(settings.max_concurrent_fetches)

        def router_of(*names: str) -> Router:
            asked = [provider for provider in self._providers if provider.name in names]
            return Router(asked, stop=self._stop, tries=self._plan.tries, call_slots=slots)

        pool = FetchPool(
            router_of(*(provider.name for provider in self._providers)),
            self._todo,
            target_dtes=self._plan.target_dtes or settings.target_dtes,
            known_expirations=stocks.known_expirations(
                self._database, self._todo, on_or_after=new_york_date(self._clock())
            ),
            clock=self._clock,
            stop=self._stop,
            threads=4 * settings.max_concurrent_fetches,
            room=settings.chunk_symbols,
        )
        proof = AnswerProof(router_of, self._database, settings.target_dtes, self._clock)
        pool.start()
        for fetched in self._chunks(pool):
            self._commit(fetched, proof)
        self._finish()

    def _chunks(self, pool: FetchPool) -> Iterator[list[Fetched]]:
        """Group results as they arrive; end when all have come, or when a stop's grace is over."""
        waiting: list[Fetched] = []
        arrived, first_at, stopped_at = 0, 0.0, None
        while arrived < len(self._todo):
            self._mark_started(pool)
            result = pool.next_result(timeout_seconds=0.2)
            if result is not None:
                first_at = time.monotonic() if not waiting else first_at
                waiting.append(result)
                arrived += 1
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

    def _mark_started(self, pool: FetchPool) -> None:
        if time.monotonic() - self._progress_told_at < PROGRESS_SECONDS:
            return
        self._progress_told_at = time.monotonic()
        started = pool.take_started()
        if started:
            sync_log.mark_in_progress(self._database, self.job_id, started, self._clock())

    def _commit(self, fetched: list[Fetched], proof: AnswerProof) -> None:
        proof.learn(one.result for one in fetched)
        results = [(one, proof.settle(one.result)) for one in fetched]
        settled = [replace(one, result=result) for one, result in results if result is not None]
        if not settled:
            return
        for chunk in self._build(settled):
            market_tables.write_chunk(self._database, chunk)
            # After the write, which waits for a database that restarts; the lock went with its connection then.
            if not self._lock.held():
                raise JobTakenError(
                    f"sync job {self.job_id} was taken up by another process while this one was cut off"
                )
            for row in chunk.results:
                self._outcomes.put(outcome_from_row(row, already_done=False))

    def _build(self, settled: list[Fetched]) -> Iterator[ChunkRows]:
        """Turn replies into rows; one that our own code cannot digest fails alone."""
        stored = stocks.stored_quotes(self._database, [one.request.symbol for one in settled])
        delays = {provider.name: provider.quote_delay for provider in self._providers}

        def build(part: list[Fetched]) -> ChunkRows:
            return build_chunk(
                part, job_id=self.job_id, settings=self._settings, now=self._clock(), delays=delays, stored=stored
            )

        try:
            yield build(settled)
        except Exception:
            log.exception("a chunk of %d symbols cannot be built as a whole", len(settled))
            for one in settled:
                try:
                    yield build([one])
                except Exception as bug:  # noqa: BLE001 - this symbol's reply; the others go on
                    yield build([undigested(one, bug)])

    def _finish(self) -> None:
        database, now = self._database, self._clock()
        if self._plan.reask:
            sync_log.refresh_counts(database, self.job_id, now)
        elif self.cancelled:
            sync_log.finish_job(database, self.job_id, "cancelled", now)
        else:
            sync_log.finish_job(database, self.job_id, self._final_status(), now)

    def _final_status(self) -> str:
        rows = sync_log.read_results(self._database, self.job_id)
        return "completed" if any(row["status"] != "failed" for row in rows) else "failed"
