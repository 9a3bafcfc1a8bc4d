"""What is out of date while the exchange trades: of the watched stocks every 5 minutes, of all every 15.

A chain is fresh for OPTSYNC_CHAIN_FRESH_MINUTES, a price for OPTSYNC_PRICE_FRESH_MINUTES. Where only the price is out
of date, it is asked for in bulk: hundreds of stocks a request. So a tick asks for at most two runs.

The watched stocks are refreshed unless somebody switches it off. All stocks are refreshed only where somebody switches
it on: at a vendor's default limits a universe's chains cannot be had anew every hour (Yahoo's 2,000 requests an hour
are some 900 stocks), and whoever runs it all day has no requests left for the daily sync.
"""

import dagster as dg

from optsync_pipeline.calendar import NEW_YORK, is_market_open
from optsync_pipeline.resources import PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.runs import WATCHED_PRIORITY, symbols_taken, unattended_tags
from optsync_pipeline.sync.selection import select_stale

INCREMENTAL, WATCHED = "incremental_sync", "watched_sync"
PRICES_IN_BULK = frozenset({"yahoo", "robinhood"})
"""The providers that tell the prices of many stocks in one request."""


@dg.schedule(
    name=WATCHED,
    job_name="sync_market_data",
    # From 9:00 to 15:55 on weekdays; which of these ticks fall into a session, the calendar says.
    cron_schedule="*/5 9-15 * * 1-5",
    execution_timezone=str(NEW_YORK),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 5 minutes while the exchange trades: refreshes what is out of date of the watched stocks, those "
    "on a list of `optsync watchlist`. Chains after OPTSYNC_CHAIN_FRESH_MINUTES, prices after "
    "OPTSYNC_PRICE_FRESH_MINUTES, in bulk. Does nothing where nobody watches anything. Switched off: watched stocks "
    "are as old as the last full sync.",
)
def watched_sync(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for what is stale of the watched stocks and in no other run's hands."""
    return _stale_requests(context, pipeline, started_by=WATCHED, priority=WATCHED_PRIORITY, watched_only=True)


@dg.schedule(
    name=INCREMENTAL,
    job_name="sync_market_data",
    cron_schedule="*/15 9-15 * * 1-5",
    execution_timezone=str(NEW_YORK),
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every 15 minutes while the exchange trades: refreshes what is out of date of all active stocks. Off "
    "by default: at a vendor's default limits some 900 chains an hour can be had, so a larger universe is never fresh "
    "and uses up what the daily sync needs. Switch it on for a small universe or a vendor with higher limits.",
)
def incremental_sync(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for what is stale of all stocks and in no other run's hands."""
    return _stale_requests(context, pipeline, started_by=INCREMENTAL, priority=0, watched_only=False)


def _stale_requests(
    context: dg.ScheduleEvaluationContext,
    pipeline: PipelineResource,
    *,
    started_by: str,
    priority: int,
    watched_only: bool,
) -> list[dg.RunRequest] | dg.SkipReason:
    due, now, settings = context.scheduled_execution_time, pipeline.clock(), pipeline.settings
    if not is_market_open(now):
        return dg.SkipReason("the exchange does not trade at this moment: what the daily sync brought stays fresh")
    with pipeline.open_database() as database:
        chains = select_stale(database, settings, now, watched_only=watched_only).symbols
        prices = select_stale(database, settings, now, watched_only=watched_only, prices_only=True).symbols
        taken = symbols_taken(context.instance, database) if chains or prices else set()
    if not PRICES_IN_BULK & set(settings.usable_providers):
        prices = ()
    # A chain comes with its stock's price.
    prices = tuple(symbol for symbol in prices if symbol not in taken and symbol not in chains)
    chains = tuple(symbol for symbol in chains if symbol not in taken)
    tags = unattended_tags(started_by, priority)
    requests = []
    if chains:
        config = SyncConfig(symbols=list(chains), sync_type="stale")
        requests.append(dg.RunRequest(f"{due:%Y-%m-%dT%H:%M}:chains", sync_run_config(config), tags))
    if prices:
        config = SyncConfig(symbols=list(prices), sync_type="stale", prices_only=True)
        key = dg.AssetKey("stock_prices")
        requests.append(
            dg.RunRequest(f"{due:%Y-%m-%dT%H:%M}:prices", sync_run_config(config), tags, asset_selection=[key])
        )
    whose = "watched stock" if watched_only else "active stock"
    return requests or dg.SkipReason(f"no {whose} is out of date, those aside that a sync is already asking for")
