"""How a Dagster step, schedule or sensor reaches settings, database and engine, and what the sync's step can be told.

Nothing is opened before it is asked for: a code location loads while the database is down, and each step, tick and
check lets go of its connections when it ends. What a sync does is in sync/; what Dagster is told of it is in assets/.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

import dagster as dg
from pydantic import Field

from optsync_pipeline.providers.base import Provider
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database, open_database
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.sync.engine import SyncEngine, SyncRun
from optsync_pipeline.sync.outcome import SymbolOutcome

MARKET_DATA_OP = "market_data"
"""Name of the one op behind stock_prices, option_chains and stock_premiums: the key of its config."""

MAX_REASKED_SYMBOLS = 50
"""A sync with more failed symbols is not asked again one by one: it has one cause, and one failed check says so."""

REASK_ROUNDS = 3
"""How often the failed symbols of a sync are asked again before they are given up, and a person is told."""


RETRY_POLICY = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For faults of the database and the process, some 5, 15 and 35 s apart: symbols are retried inside the sync."""

LOCAL_RUN_TAG = "optsync/process"
"""Marks a run that a command runs in its own process; the value names that process."""


class SyncConfig(dg.Config):
    """What one sync is to do. Every field may be left out where the run has partitions."""

    symbols: list[str] = Field(default=[], description="Symbols to sync; empty: the partitions of the run.")
    sync_type: str = Field(
        default="partition",
        pattern="^(all|symbols|stale|failed|watchlist|partition|refresh)$",
        description="How the symbols were chosen, as sync_jobs has it.",
    )
    job_id: int | None = Field(
        default=None,
        description="Continue this job of sync_jobs; with a single partition: ask that symbol of it once more.",
    )
    target_dtes: list[int] = Field(default=[], description="Days to expiration to look for; empty: the setting's.")
    concurrency: int | None = Field(
        default=None, ge=1, le=100, description="Vendor calls at once; none: OPTSYNC_MAX_CONCURRENT_FETCHES."
    )
    retry: bool = Field(
        default=False,
        description="With job_id: finish that job; the symbols that failed are asked of the other providers first.",
    )
    prices_only: bool = Field(default=False, description="Prices in bulk, without chains and premiums.")
    tries: int = Field(default=5, ge=1, le=10, description="Attempts per provider and symbol.")


def sync_run_config(config: SyncConfig) -> dict[str, Any]:
    """Return the run config that hands `config` to the sync's op; fields at their default are left out."""
    return {"ops": {MARKET_DATA_OP: {"config": config.model_dump(exclude_defaults=True)}}}


def failed_again_config(job_id: int, target_dtes: Sequence[int]) -> SyncConfig:
    """Return the config that asks a failed symbol of a job (the partition of the run) once more, without patience."""
    return SyncConfig(job_id=job_id, target_dtes=list(target_dtes), tries=1)


class SyncObserver(Protocol):
    """Watches a sync from within its process: a progress bar."""

    def sync_started(self, run: SyncRun, *, reask: bool) -> None:
        """Be told of a run that begins: `run.total` symbols will be told, `run.stop()` ends it early.

        reask: the run asks a failed symbol of a finished job again.
        """
        ...

    def symbol_done(self, outcome: SymbolOutcome) -> None:
        """Be told of a symbol whose rows are committed."""
        ...


class NobodyWatches:
    """The observer of a run without a terminal."""

    def sync_started(self, run: SyncRun, *, reask: bool) -> None:
        """Do nothing: Dagster's events tell the same."""

    def symbol_done(self, outcome: SymbolOutcome) -> None:
        """Do nothing: Dagster's events tell the same."""


class StepContext(Protocol):
    """What end_step needs of Dagster's contexts, those of assets and of ops."""

    @property
    def retry_number(self) -> int:
        """How often the step was retried."""
        ...


def end_step(context: StepContext, error: Exception, *, later: bool) -> NoReturn:
    """End a step that a fault of the database or the process stopped; `later`: it is worth running again.

    Asked for by hand, because a `retry_policy` on the op would also "retry" a sync that is being terminated: Dagster
    1.13 turns the interrupt into a retry wherever the op has one, and the sync would begin anew instead of ending.
    """
    failure = dg.Failure(description=str(error), allow_retries=later)
    if not later:
        raise failure from error
    wait_seconds = RETRY_POLICY.calculate_delay(context.retry_number + 1)
    # From the failure: there Dagster looks for what to show once the retries are spent.
    raise dg.RetryRequested(max_retries=RETRY_POLICY.max_retries, seconds_to_wait=wait_seconds) from failure


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class PipelineResource:
    """Settings, database and engine for what Dagster runs. A plain object, so that no setting becomes run config.

    providers: instead of those that the settings name. observer: told of each sync that runs in this process.
    """

    settings: Settings
    clock: Callable[[], datetime] = utc_now
    providers: Sequence[Provider] | None = None
    observer: SyncObserver = field(default_factory=NobodyWatches)

    @contextmanager
    def open_database(self) -> Iterator[Database]:
        """Open the database for the length of the block. Raises StorageError where it cannot be reached."""
        database = open_database(self.settings)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def open_for_step(self, context: StepContext) -> Iterator[Database]:
        """Open the database for a step: where a fault of it may heal, the step is asked for again."""
        try:
            with self.open_database() as database:
                yield database
        except StorageError as error:
            end_step(context, error, later=error.retryable)

    def engine(self, database: Database, concurrency: int | None = None) -> SyncEngine:
        """Return an engine on `database`; concurrency: vendor calls at once instead of the setting."""
        settings = self.settings
        if concurrency is not None:
            settings = settings.model_copy(update={"max_concurrent_fetches": concurrency})
        return SyncEngine(database, settings, self.clock, self.providers)
