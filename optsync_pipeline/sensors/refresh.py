"""What a person asked for with `optsync refresh`, at once and ahead of everything that is queued."""

import dagster as dg

from optsync_pipeline.resources import PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.runs import PRIORITY_TAG, REFRESH_PRIORITY, symbols_to_come
from optsync_pipeline.storage import refresh_requests
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 10
"""A person waits: with the queue's look each 5 s and the start of a process, a run works within 30 s."""

MAX_SYMBOLS = 200
"""More are the next tick's, in a run beside this one: who asked for a whole watchlist is served by several."""

TAGS = {"optsync/started_by": "refresh_sensor"}


@dg.sensor(
    job_name="sync_market_data",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the syncs that a person asked for with `optsync refresh SYMBOL`, within 30 seconds. Up "
    "to 200 stocks are one run. It goes before everything that is queued, and beside a full sync that runs: unattended "
    "syncs and backfills leave a slot of the pool market_data free. Switched off: requests wait until it is on again.",
)
def refresh_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.RunRequest | dg.SkipReason:
    """Take all waiting requests and ask for one run of them.

    A symbol that is merely pending in a running sync is asked now: it may be hours before its turn comes there.
    """
    now = pipeline.clock()
    try:
        with pipeline.open_database() as database:
            claimed = refresh_requests.claim_requests(database, now, MAX_SYMBOLS)
            queued = symbols_to_come(context.instance, database, TAGS) if claimed else set()
    except StorageError as error:
        return dg.SkipReason(str(error))
    symbols = [symbol for symbol in claimed if symbol not in queued]
    if not symbols:
        return dg.SkipReason("nobody asked for a refresh that is not under way: `optsync refresh SYMBOL` does")
    return dg.RunRequest(
        run_key=f"refresh:{now.isoformat()}",
        run_config=sync_run_config(SyncConfig(symbols=symbols, sync_type="refresh")),
        tags={PRIORITY_TAG: str(REFRESH_PRIORITY), **TAGS},
    )
