"""The heart: symbols go in, one SymbolOutcome a symbol comes out, each after its rows are committed.

    symbols ──► FetchPool (threads, at most MAX_CONCURRENT_FETCHES vendor calls) ──► replies
            ──► chunks of CHUNK_SYMBOLS, in the order of arrival ──► chunk.py (validate, premiums) ──► one transaction
            ──► outcomes, while the next symbols are being fetched

Three rules hold it together. A symbol's failure is its own: whatever a fetch throws becomes that symbol's outcome.
A commit is the only truth: an outcome is told after it, and a killed process leaves whole symbols or none. A job is
alive while somebody holds its advisory lock, so the next sync knows at once what a dead one left to do.

Nothing here knows Dagster, a vendor's words or SQL.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from optsync_pipeline.calendar import latest_session
from optsync_pipeline.providers.base import Provider
from optsync_pipeline.providers.build import build_providers, require_bulk_quotes
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.storage.robinhood_ids import StoredRobinhoodIds
from optsync_pipeline.sync.outcome import outcome_from_row
from optsync_pipeline.sync.plan import SyncPlan, Work
from optsync_pipeline.sync.run import JobTakenError, SyncRun

__all__ = ["JobTakenError", "SyncEngine", "SyncError", "SyncPlan", "SyncRun"]


class SyncError(Exception):
    """A sync cannot start as asked. The text says why and what to do."""


class SyncEngine:
    """Starts syncs on one database. `clock` gives aware UTC times; `providers` default to those of the settings."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        providers: Sequence[Provider] | None = None,
    ) -> None:
        self.database = database
        self.settings = settings
        self.clock = clock
        self._providers = tuple(providers) if providers is not None else None

    def start(self, plan: SyncPlan) -> "SyncRun":
        """Open or continue the job and begin to fetch. Use the result as a context manager."""
        if not plan.symbols and plan.continue_job_id is None:
            raise SyncError("no symbols to sync: add some with `optsync stocks add` or `optsync stocks import`")
        latest_session(self.clock())  # the calendar takes half a second to build: once here, not in every thread
        providers = self._providers
        if providers is None:
            providers = build_providers(self.settings, StoredRobinhoodIds(self.database))
        limits = ProviderLimits(self.database)
        try:
            if plan.prices_only:
                require_bulk_quotes(providers)
            for provider in providers:
                limits.declare(provider.name, *self.settings.limits_of(provider.name))
            plan, lock, work = self._open_job(plan, [provider.name for provider in providers])
        except BaseException:
            limits.close()
            raise
        return SyncRun(
            plan,
            self.database,
            self.settings,
            self.clock,
            lock,
            work,
            providers,
            limits,
            owns_providers=self._providers is None,
        )

    def _open_job(self, plan: SyncPlan, names: Sequence[str]) -> tuple[SyncPlan, sync_log.JobLock, Work]:
        now = self.clock()
        if plan.continue_job_id is not None:
            return self._take_up_job(plan, plan.continue_job_id, names, now)
        sync_log.abandon_dead_jobs(self.database, now)
        lock = sync_log.open_job(
            self.database,
            sync_type=plan.sync_type,
            symbols=plan.symbols,
            run_id=plan.run_id,
            concurrency_level=self.settings.max_concurrent_fetches,
            target_dtes=plan.target_dtes or self.settings.target_dtes,
            prices_only=plan.prices_only,
            now=now,
        )
        return plan, lock, Work(list(plan.symbols))

    def _take_up_job(
        self, plan: SyncPlan, job_id: int, names: Sequence[str], now: datetime
    ) -> tuple[SyncPlan, sync_log.JobLock, Work]:
        lock = sync_log.JobLock(self.database, job_id)
        if not lock.acquire():
            raise SyncError(
                f"sync job {job_id} is still running: wait for it, or stop it with `optsync cancel {job_id}`"
            )
        try:
            job = sync_log.read_job(self.database, job_id)
            if job is None:
                raise SyncError(f"there is no sync job {job_id}: `optsync status` lists the latest")
            plan = replace(
                plan, prices_only=job["prices_only"], target_dtes=plan.target_dtes or tuple(job["target_dtes"])
            )
            if not plan.reask:
                sync_log.reopen_job(self.database, job_id, run_id=plan.run_id, symbols=plan.symbols, now=now)
            rows = sync_log.read_results(self.database, job_id)
            in_order = stocks.active_symbols(self.database)
        except BaseException:
            lock.release()
            raise
        avoid = {row["symbol"]: ask_last(row["attempts"], names) for row in rows if plan.retry or plan.reask}
        if plan.reask:
            return plan, lock, Work(list(plan.symbols), avoid=avoid)
        done = [outcome_from_row(row) for row in rows if row["status"] in ("success", "skipped")]
        # A stock that left the universe since the job began is not asked any more.
        wanted = set(plan.symbols or in_order)
        unfinished = {row["symbol"] for row in rows if row["status"] in ("pending", "failed")}
        left = unfinished & wanted
        return plan, lock, Work([symbol for symbol in in_order if symbol in left], done, avoid)


def ask_last(attempts: Sequence[Mapping[str, Any]], providers: Collection[str]) -> frozenset[str]:
    """Return the providers that are to be asked last for a symbol that failed: those that were asked.

    Where all were, the one that was asked first. Who was passed over (an open breaker, a spent hour) was not asked.
    """
    asked = [attempt["provider"] for attempt in attempts if attempt["requests"]]
    return frozenset(asked if set(providers) - set(asked) else asked[:1])
