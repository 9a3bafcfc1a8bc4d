"""The sensors: what follows a finished sync, whichever way it was started.

They watch sync_jobs and not Dagster's runs: run-status sensors miss runs of the implicit asset job (backfills,
`dagster asset materialize`), and each watches one status.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from optsync_pipeline import partitions
from optsync_pipeline.alerts.sensor import alert_sensor
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, PipelineResource, failed_again_config, sync_run_config
from optsync_pipeline.sensors_universe import universe_sensor
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30
REASK_GRACE = timedelta(minutes=1)
"""`optsync sync` asks again by itself right after its job; only what it left is ours."""


@dg.sensor(
    job_name="rank_premiums",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Rank after each finished sync, however it was started.",
)
def ranking_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one ranking that covers all syncs which no ranking has seen."""
    try:
        with pipeline.open_database() as database:
            jobs = sync_log.jobs_to_rank(database)
    except StorageError as error:
        return dg.SkipReason(str(error))
    if not jobs:
        return dg.SkipReason("every finished sync is ranked")
    latest = max(jobs, key=lambda job: job["completed_at"])
    return dg.RunRequest(run_key=f"{latest['job_id']}@{latest['completed_at'].isoformat()}")


@dg.sensor(
    job_name="sync_market_data",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ask the failed symbols of a bulk sync again, each as its own partition.",
)
def failed_symbols_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Give each failed symbol a run with its partition: a bulk run has none and cannot mark it FAILED."""
    now = pipeline.clock()
    try:
        with pipeline.open_database() as database:
            job = sync_log.next_job_to_reask(
                database, completed_before=now - REASK_GRACE, max_failed=MAX_REASKED_SYMBOLS
            )
            if job is None:
                return dg.SkipReason(
                    f"no bulk sync has failed symbols, at most {MAX_REASKED_SYMBOLS} of them, that were not asked again"
                )
            job_id, failed = job["job_id"], sync_log.failed_symbols(database, job["job_id"])
            if not sync_log.claim_reask(database, job_id, now):
                return dg.SkipReason(f"somebody else asks the failed symbols of sync job {job_id} again")
    except StorageError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions(partitions.DIMENSION))
    missing = [symbol for symbol in failed if symbol not in known]
    return dg.SensorResult(
        run_requests=[reask_request(job_id, symbol, job["target_dtes"]) for symbol in failed],
        dynamic_partitions_requests=[partitions.symbols.build_add_request(missing)] if missing else [],
    )


def reask_request(job_id: int, symbol: str, target_dtes: Sequence[int]) -> dg.RunRequest:
    """Return the run that asks one failed symbol of a job again; the tag keeps a job's runs one after the other."""
    return dg.RunRequest(
        run_key=f"{job_id}:{symbol}",
        partition_key=symbol,
        run_config=sync_run_config(failed_again_config(job_id, target_dtes)),
        tags={"optsync/job_id": str(job_id)},
    )


SENSORS = [ranking_sensor, failed_symbols_sensor, universe_sensor, alert_sensor]
