"""The schedules: what runs because it is time. One file a kind, and here what the definitions take.

Each looks at the exchange's calendar and at what is already under way; a tick that does nothing says why. What runs
because something happened is in sensors/. Which symbols, and in which order, is sync/selection.py's.
"""

import dagster as dg

from optsync_pipeline.schedules.daily import build_daily_market_sync
from optsync_pipeline.schedules.incremental import incremental_sync, watched_sync
from optsync_pipeline.settings import Settings


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return the schedules; of the settings, the daily sync's time is part of its definition."""
    return [build_daily_market_sync(settings.daily_sync_time), incremental_sync, watched_sync]
