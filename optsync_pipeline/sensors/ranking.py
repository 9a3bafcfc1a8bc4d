"""A ranking after each finished sync, whichever way it was started."""

import dagster as dg

from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30


@dg.sensor(
    job_name="rank_premiums",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes a new ranking after each finished sync, however that was started: schedule, UI, backfill or "
    "`optsync sync`. Several syncs that ended since the last one get one ranking. Switched off: `optsync rankings` "
    "shows the ranking of the last `optsync sync` or of the last run of the job rank_premiums.",
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
