"""The schedule: the whole universe once each trading day, by default half an hour after the close.

An early close (13:00) is before the usual hour, so the same hour serves it.
"""

from datetime import date, time

import dagster as dg

from optsync_pipeline.calendar import NEW_YORK, is_trading_day
from optsync_pipeline.resources import PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.storage import stocks


def build_daily_market_sync(at: time) -> dg.ScheduleDefinition:
    """Return the schedule that syncs every active stock at that New York time of each trading day."""

    @dg.schedule(
        name="daily_market_sync",
        job_name="sync_market_data",
        cron_schedule=f"{at.minute} {at.hour} * * *",
        execution_timezone=str(NEW_YORK),
        # The pipeline is to run unattended once `optsync up` was said.
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Sync all active stocks after the close of each trading day.",
    )
    def daily_market_sync(
        context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
    ) -> dg.RunRequest | dg.SkipReason:
        day = context.scheduled_execution_time.astimezone(NEW_YORK).date()
        if not is_trading_day(day):
            return dg.SkipReason(f"{day}: the exchange is closed ({closed_because(day)})")
        # A database that is down fails the tick, and the daemon repeats it (max_tick_retries): the day is not lost.
        with pipeline.open_database() as database:
            symbols = stocks.active_symbols(database)
        if not symbols:
            return dg.SkipReason("no active stocks: add some with `optsync stocks add` or `optsync stocks import`")
        # In the config and not as partitions: a run over partitions plans an event for each of them (9.5 ms each).
        return dg.RunRequest(run_config=sync_run_config(SyncConfig(symbols=list(symbols), sync_type="all")))

    return daily_market_sync


def closed_because(day: date) -> str:
    """Name the holiday, or the day of the weekend, on which the exchange does not trade."""
    if day.weekday() >= 5:
        return day.strftime("%A")
    # Imported at use: it takes most of a second, and on most days nobody asks.
    import exchange_calendars

    year = exchange_calendars.get_calendar("XNYS", start=f"{day.year}-01-01", end=f"{day.year}-12-31")
    names = year.regular_holidays.holidays(str(day), str(day), return_name=True)
    return str(names.iloc[0]) if len(names) else "an unscheduled closing"
