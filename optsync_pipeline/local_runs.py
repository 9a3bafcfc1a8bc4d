"""Runs Dagster's jobs in this process, on the configured instance: what `optsync sync` does.

Events, runs and partition states come out as from the UI. What is synced is the engine's affair, what is printed the
command line's. The jobs themselves are in jobs.py; what starts them unattended is in schedules/ and sensors/.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from optsync_pipeline import partitions
from optsync_pipeline.alerts.evaluation import begin_watch, tell_after_sync
from optsync_pipeline.resources import (
    LOCAL_RUN_TAG,
    MAX_REASKED_SYMBOLS,
    PipelineResource,
    SyncConfig,
    failed_again_config,
    sync_run_config,
)
from optsync_pipeline.runs import missing_partitions, report_dead_runs, this_process
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import StorageError

# The terminal shows our own output only. Dagster's events are in the instance, whatever is printed.
_QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """How a sync in this process went; its counts are in sync_jobs.

    job_id: None where no job came to be. cancelled: stopped by Ctrl-C or SIGTERM. fault: why the sync ended before its
    time, failed symbols aside. reasked: how many failed symbols were asked again. ranking_fault: why there is no new
    ranking. left_out: providers that were not asked to the end, each with the reason.
    """

    run_id: str
    job_id: int | None
    cancelled: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    reasked: int = 0
    ranking_fault: str | None = None


def open_instance(dagster_home: Path, database_url: str) -> dg.DagsterInstance:
    """Open the instance of a Dagster home for runs in this process. Raises StorageError where its database is away.

    dagster-postgres opens a connection for each event (12.7 ms); with a pool an event takes 2.4 ms. Standard output is
    not captured to a file: that is for processes without a terminal, and would hide the progress bar.
    """
    _probe(database_url)
    instance = dg.DagsterInstance.local_temp(
        str(dagster_home),
        overrides={
            "storage": {"postgres": {"postgres_url": database_url}},
            "compute_logs": {
                "module": "dagster.core.storage.noop_compute_log_manager",
                "class": "NoOpComputeLogManager",
            },
        },
    )
    instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=4)
    return instance


def _probe(database_url: str) -> None:
    """Raise StorageError where Dagster's database cannot be reached: Dagster itself would warn, wait and raise its own.

    database_url: SQLAlchemy's, which may name a driver.
    """
    scheme, _, address = database_url.partition("://")
    database = Database(f"{scheme.partition('+')[0]}://{address}")
    try:
        with database.transaction() as cursor:
            cursor.execute("SELECT 1")
    except StorageError as error:
        raise type(error)(
            f"Dagster's own database (OPTSYNC_DAGSTER_DATABASE_URL, else OPTSYNC_DATABASE_URL): {error}",
            retryable=error.retryable,
        ) from error
    finally:
        database.close()


def run_sync(
    definitions: dg.Definitions, instance: dg.DagsterInstance, pipeline: PipelineResource, config: SyncConfig
) -> SyncSummary:
    """Sync in bulk, ask the few that failed again, rank; then alert, as far as something is to be told.

    `pipeline` is the resource that `definitions` were built with. Raises StorageError where the database cannot be
    reached once the sync is over.
    """
    begin_watch(pipeline)
    summary = _sync_and_rank(definitions, instance, pipeline, config)
    if not summary.cancelled:  # who stopped it waits for the end, and knows
        tell_after_sync(pipeline)
    return summary


def _sync_and_rank(
    definitions: dg.Definitions, instance: dg.DagsterInstance, pipeline: PipelineResource, config: SyncConfig
) -> SyncSummary:
    """Sync in bulk, ask the few that failed again, rank.

    A bulk run has no partitions and so cannot mark a symbol FAILED; the second asking, a run for each, can.
    """
    report_dead_runs(instance)
    add_partitions(instance, config.symbols)
    run_id = str(uuid.uuid4())
    assets = ["stock_prices"] if config.prices_only else None
    cancelled, fault = _execute(
        definitions, instance, "sync_market_data", run_id, sync_run_config(config), assets=assets
    )
    with pipeline.open_database() as database:
        job_id = config.job_id or sync_log.find_job_of_runs(database, [run_id])
        job = sync_log.read_job(database, job_id) if job_id is not None else None
        left_out: dict[str, str] = job["left_out"] if job is not None else {}
        if job is None or job_id is None or cancelled or job["status"] not in ("completed", "failed"):
            return SyncSummary(run_id, job_id, cancelled, left_out, None if cancelled else fault)
        if job["prices_only"]:  # without chains there is nothing to rank, and a single price is no run's worth
            return SyncSummary(run_id, job_id, left_out=left_out)
        symbols = sync_log.failed_symbols(database, job_id)
        claimed = len(symbols) <= MAX_REASKED_SYMBOLS and sync_log.claim_reask(database, job_id, pipeline.clock())
    reasked = 0
    for symbol in symbols if claimed else ():
        cancelled, _ = _execute(
            definitions,
            instance,
            "sync_market_data",
            str(uuid.uuid4()),
            sync_run_config(failed_again_config(job_id, job["target_dtes"])),
            partition_key=symbol,
        )
        if cancelled:
            return SyncSummary(run_id, job_id, cancelled=True, left_out=left_out, reasked=reasked)
        reasked += 1
    cancelled, ranking_fault = _execute(definitions, instance, "rank_premiums", str(uuid.uuid4()), {})
    return SyncSummary(run_id, job_id, cancelled, left_out, reasked=reasked, ranking_fault=ranking_fault)


def add_partitions(instance: dg.DagsterInstance, symbols: Iterable[str]) -> None:
    """Make a partition of each symbol that has none yet."""
    missing = missing_partitions(instance, symbols)
    if missing:
        instance.add_dynamic_partitions(partitions.DIMENSION, missing)


def _execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    run_id: str,
    run_config: Mapping[str, Any],
    partition_key: str | None = None,
    assets: list[str] | None = None,
) -> tuple[bool, str | None]:
    """Run a job, or some assets of it, to its end; return whether it was stopped, and what it failed of."""
    result = definitions.resolve_job_def(job_name).execute_in_process(
        run_config={**run_config, **_QUIET},
        instance=instance,
        partition_key=partition_key,
        asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
        raise_on_error=False,
        run_id=run_id,
        # The daemon could not start it again: it has no origin that a launcher understands.
        tags={LOCAL_RUN_TAG: this_process(), "dagster/max_retries": "0"},
    )
    if result.success:
        return False, None
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status == dg.DagsterRunStatus.CANCELED:
        return True, None
    failures = [event.step_failure_data for event in result.filter_events(lambda event: event.is_step_failure)]
    return False, next((_reason(failure) for failure in failures), "the run failed before its first step")


def _reason(failure: Any) -> str:
    """Say what a step failed of, in the words of the error that it raised."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    error = failure.error
    # Dagster wraps what a step raised in errors of its own, that say only where it was raised.
    while error is not None and error.cause is not None and error.message.startswith("dagster."):
        error = error.cause
    if error is None:
        return "no reason given"
    module_and_name, _, text = str(error.message).strip().partition(": ")
    return text if text and module_and_name.startswith("optsync_pipeline.") else str(error.message).strip()
