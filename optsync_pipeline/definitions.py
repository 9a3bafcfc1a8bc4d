"""The code location: puts assets, checks, jobs, schedule, sensors and the one resource together, and nothing else.

Loading it opens no connection: the UI works, and says what is wrong, while the database is down.
"""

import dagster as dg

from optsync_pipeline.assets.market_data import market_data
from optsync_pipeline.assets.premium_rankings import premium_rankings
from optsync_pipeline.checks import TABLE_CHECKS
from optsync_pipeline.jobs import JOBS
from optsync_pipeline.logs import configure_logging, is_configured
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.schedules import build_daily_market_sync
from optsync_pipeline.sensors import SENSORS
from optsync_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings, pipeline: PipelineResource | None = None) -> dg.Definitions:
    """Assemble the definitions. `pipeline`: another resource than the settings give (a clock, vendors, an observer)."""
    return dg.Definitions(
        assets=[market_data, premium_rankings],
        asset_checks=TABLE_CHECKS,
        jobs=JOBS,
        schedules=[build_daily_market_sync(settings.daily_sync_time)],
        sensors=SENSORS,
        resources={"pipeline": pipeline or PipelineResource(settings)},
        # For backfills and `dagster asset materialize` too: a process a step costs 10 s; checks.py relies on it.
        executor=dg.in_process_executor,
    )


settings = load_settings()
if not is_configured():  # a command sends its lines to the terminal too
    configure_logging(settings, terminal=False)

defs = build_definitions(settings)
