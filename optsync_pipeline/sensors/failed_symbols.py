"""Another asking of the few symbols that failed, each as its own partition: a bulk run cannot mark one FAILED."""

from datetime import timedelta

import dagster as dg

from optsync_pipeline import partitions
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, PipelineResource, failed_again_config, sync_run_config
from optsync_pipeline.runs import JOB_TAG, REASK_PRIORITY, count_runs, missing_partitions, unattended_tags
from optsync_pipeline.storage import job_watch, sync_log
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Before each round, since the end of the sync or of the round before. The first leaves `optsync sync` its own round,
which it begins at once; what a vendor does not mend in twenty minutes is not mended by asking."""


@dg.sensor(
    job_name="sync_market_data",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Asks the failed symbols of a sync again, at most {MAX_REASKED_SYMBOLS} of them, each as its own "
    "partition and of another provider first: 1, 5 and 15 minutes after the sync or the round before. What heals turns "
    "green, what still fails shows as failed, and an alert tells it once. More failed symbols have one cause: they are "
    "left alone, and an alert says so. `optsync retry` asks them too. Incremental syncs are left to their next tick.",
)
def failed_symbols_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run of each failed symbol of the newest job whose next round is due."""
    now = pipeline.clock()
    try:
        with pipeline.open_database() as database:
            reask = job_watch.next_reask(database, now=now, waits=WAITS, max_failed=MAX_REASKED_SYMBOLS)
            if reask is None:
                return dg.SkipReason(
                    f"no sync has failed symbols, at most {MAX_REASKED_SYMBOLS} of them, that are due to be asked again"
                )
            if count_runs(context.instance, {JOB_TAG: str(reask.job_id)}, unfinished=True):
                return dg.SkipReason(f"the round before of sync job {reask.job_id} is still running")
            if not sync_log.claim_reask(database, reask.job_id, now, round_number=reask.round_number):
                return dg.SkipReason(f"somebody else asks the failed symbols of sync job {reask.job_id} again")
    except StorageError as error:
        return dg.SkipReason(str(error))
    missing = missing_partitions(context.instance, reask.symbols)
    return dg.SensorResult(
        run_requests=[reask_request(reask, symbol) for symbol in reask.symbols],
        dynamic_partitions_requests=[partitions.symbols.build_add_request(missing)] if missing else [],
    )


def reask_request(reask: job_watch.Reask, symbol: str) -> dg.RunRequest:
    """Return the run that asks one failed symbol of a job again; the job's tag keeps these one after the other."""
    return dg.RunRequest(
        run_key=f"{reask.job_id}:{symbol}:{reask.round_number}",
        partition_key=symbol,
        run_config=sync_run_config(failed_again_config(reask.job_id, reask.target_dtes)),
        tags={
            JOB_TAG: str(reask.job_id),
            **unattended_tags("failed_symbols_sensor", REASK_PRIORITY, round=str(reask.round_number)),
        },
    )
