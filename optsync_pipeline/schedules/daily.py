"""The whole universe once each trading day: by default half an hour after the close, on early closes as soon after it.

Two cron lines, because the calendar decides which of them counts on a day: the set time, and 13:30, which is half an
hour after each early close. The other tick says why it does nothing.
"""

from datetime import date, datetime, time, timedelta

import dagster as dg

from optsync_pipeline.calendar import NEW_YORK, Session, session_on
from optsync_pipeline.resources import PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.runs import DAILY_PRIORITY, symbols_taken, unattended_tags
from optsync_pipeline.sync.selection import pass_over_fresh, select_all

NAME = "daily_market_sync"
AFTER_CLOSE = timedelta(minutes=30)
USUAL_CLOSE = time(16, 0)
AFTER_EARLY_CLOSE = time(13, 30)
"""Early closes are at 13:00: before Independence Day and Christmas, and on the day after Thanksgiving."""


def build_daily_market_sync(at: time) -> dg.ScheduleDefinition:
    """Return the schedule that syncs every active stock at that New York time of each trading day."""

    @dg.schedule(
        name=NAME,
        job_name="sync_market_data",
        cron_schedule=[_cron(moment) for moment in dict.fromkeys((at, AFTER_EARLY_CLOSE))],
        execution_timezone=str(NEW_YORK),
        # The pipeline is to run unattended once `optsync up` was said.
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Syncs all active stocks at {at:%H:%M} New York on each trading day (OPTSYNC_DAILY_SYNC_TIME), "
        "and at 13:30 on days on which the exchange closes at 13:00. Stocks that were synced since the close are "
        "passed over. OPTSYNC_SYNC_SHARDS cuts it into so many runs. On holidays and weekends the tick names the day. "
        "Switched off: `optsync sync --all` does the same.",
    )
    def daily_market_sync(
        context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        due = context.scheduled_execution_time.astimezone(NEW_YORK)
        reason = why_not(due, at)
        return dg.SkipReason(reason) if reason else _requests(context, pipeline, due.date())

    return daily_market_sync


def _requests(
    context: dg.ScheduleEvaluationContext, pipeline: PipelineResource, day: date
) -> list[dg.RunRequest] | dg.SkipReason:
    # A database that is down fails the tick, and the daemon repeats it (max_tick_retries): the day is not lost.
    with pipeline.open_database() as database:
        every = select_all(database)
        stale = pass_over_fresh(database, pipeline.settings, pipeline.clock(), every)
        taken = symbols_taken(context.instance, database)
    if not every.symbols:
        return dg.SkipReason("no active stocks: add some with `optsync stocks add` or `optsync stocks import`")
    symbols = [symbol for symbol in stale.symbols if symbol not in taken]
    if not symbols:
        return dg.SkipReason(
            f"all {len(every.symbols)} stocks were synced since the close or are being synced by another run"
        )
    shards = min(pipeline.settings.sync_shards, len(symbols))
    return [
        dg.RunRequest(
            run_key=f"{day}:{number}/{shards}",
            # In the config and not as partitions: a run over partitions plans an event for each of them (9.5 ms each).
            # Each shard takes every so many of the order, so that the first that matter are in all of them.
            run_config=sync_run_config(SyncConfig(symbols=symbols[number - 1 :: shards], sync_type="all")),
            tags=unattended_tags(NAME, DAILY_PRIORITY, shard=f"{number}-of-{shards}"),
        )
        for number in range(1, shards + 1)
    ]


def why_not(due: datetime, at: time) -> str | None:
    """Say why a tick that is due at that New York time does nothing; None where it is the day's sync.

    at: the set time. Before an early close it counts on that day too: whoever set it wants quotes of that hour.
    """
    day = due.date()
    session = session_on(day)
    if session is None:
        return f"{day}: the exchange is closed ({closed_because(day)})"
    wanted = min(at, (_closes(session) + AFTER_CLOSE).time()) if closes_early(session) else at
    if (due.hour, due.minute) == (wanted.hour, wanted.minute):
        return None
    if closes_early(session):
        return f"{day}: the exchange closes early, at {_closes(session):%H:%M}; the day's sync is at {wanted:%H:%M}"
    return f"{day}: the exchange does not close early; the day's sync is at {wanted:%H:%M}"


def closes_early(session: Session) -> bool:
    """Whether a session ends before the usual hour."""
    return _closes(session).time() < USUAL_CLOSE


def closed_because(day: date) -> str:
    """Name the holiday, or the day of the weekend, on which the exchange does not trade."""
    if day.weekday() >= 5:
        return day.strftime("%A")
    # Imported at use: it takes most of a second, and on most days nobody asks.
    import exchange_calendars

    year = exchange_calendars.get_calendar("XNYS", start=f"{day.year}-01-01", end=f"{day.year}-12-31")
    names = year.regular_holidays.holidays(str(day), str(day), return_name=True)
    return str(names.iloc[0]) if len(names) else "an unscheduled closing"


def _closes(session: Session) -> datetime:
    return session.close.astimezone(NEW_YORK)


def _cron(moment: time) -> str:
    return f"{moment.minute} {moment.hour} * * *"
