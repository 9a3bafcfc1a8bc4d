"""The sensor that keeps the partitions equal to the active rows of `stocks`. It starts no run."""

import dagster as dg

from optsync_pipeline import partitions
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30
# Each is a statement of its own (12.7 ms), and an evaluation has 60 s.
MAX_DELETED_AT_ONCE = 1000


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keep the symbol partitions equal to the active stocks. A deleted partition's history stays.",
)
def universe_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]) -> dg.SkipReason:
    """Add the partitions that are missing, and delete those whose stock is not synced.

    Here and not by a request in the answer: the daemon looks up each key of such a request by itself, over a connection
    of its own (12.7 ms), which for 12,050 stocks is minutes; this is one statement.
    """
    try:
        with pipeline.open_database() as database:
            active = stocks.active_symbols(database)
    except StorageError as error:
        return dg.SkipReason(str(error))
    instance = context.instance
    missing, gone = partitions.partition_changes(active, instance.get_dynamic_partitions(partitions.DIMENSION))
    if not (missing or gone):
        return dg.SkipReason(f"the partitions are the {len(active):,} active stocks")
    if missing:
        instance.add_dynamic_partitions(partitions.DIMENSION, missing)
    for symbol in gone[:MAX_DELETED_AT_ONCE]:
        instance.delete_dynamic_partition(partitions.DIMENSION, symbol)
    left = len(gone[MAX_DELETED_AT_ONCE:])
    later = f", {left:,} more are to go" if left else ""
    return dg.SkipReason(f"partitions: {len(missing):,} added, {len(gone) - left:,} deleted{later}; no run is needed")
