"""The sensor that alerts while the daemon runs. Without it, `optsync sync` alerts at its end."""

import dagster as dg

from optsync_pipeline.alerts.evaluation import go_round
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Look for what a person should know and tell it once to the services of OPTSYNC_ALERT_URLS: syncs that "
    "ended or went badly, providers that are down or want a login, data that went stale; and when each is over.",
)
def alert_sensor(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]) -> dg.SkipReason:
    """Go one round; it starts no run, and says in its tick what it did."""
    if not pipeline.settings.alert_urls:
        return dg.SkipReason("nobody is to be alerted: OPTSYNC_ALERT_URLS is empty")
    try:
        with pipeline.open_database() as database:
            done = go_round(database, pipeline.settings, pipeline.clock(), may_wait=True)
    except StorageError as error:
        return dg.SkipReason(str(error))
    if done.waits:
        return dg.SkipReason("many alerts were told just now: what is new waits, and goes out as one message")
    if done.untold:
        return dg.SkipReason(f"told {done.told}, not taken {done.untold}: {'; '.join(done.errors)}")
    return dg.SkipReason(f"told {done.told}" if done.told else "nothing new")
