"""`optsync sync`: chooses the symbols, runs the sync in this process, says what came of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, SOME_FAILED, STOPPED, CommandError
from optsync_pipeline.cli.progress import progress
from optsync_pipeline.cli.summary import JobStory, print_story, read_story

if TYPE_CHECKING:
    from optsync_pipeline.local_runs import SyncSummary
    from optsync_pipeline.resources import SyncConfig
    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.sync.selection import Selection

DTE_RANGE = range(1, 1101)


def _read_dtes(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
    if (given and not parts) or not all(part.isdigit() and int(part) in DTE_RANGE for part in parts):
        raise click.BadParameter("give days to expiration from 1 to 1100, like 30 or 30,45")
    return tuple(dict.fromkeys(int(part) for part in parts))


@command(
    "sync",
    examples="""
    optsync sync AAPL MSFT BRK.B
    optsync sync --all
    optsync sync --stale 24 --concurrency 20
    optsync sync --failed --dte 30,45
    optsync sync --all --prices
    """,
)
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--all", "everything", is_flag=True, help="Every stock. Continues such a sync that died or was stopped.")
@click.option("--stale", type=click.FloatRange(0), metavar="HOURS", help="Stocks not updated for so many hours.")
@click.option("--failed", is_flag=True, help="Stocks whose last sync failed.")
@click.option("--fresh", is_flag=True, help="With --all: start anew instead of continuing.")
@click.option("--prices", is_flag=True, help="Prices alone, without option chains: one request for many stocks.")
@click.option("--dte", "dtes", multiple=True, callback=_read_dtes, help="Days to expiration instead of the setting's.")
@click.option("--concurrency", type=click.IntRange(1, 100), help="Vendor calls at a time instead of the setting's.")
@pass_app
def sync(
    app: App,
    symbols: tuple[str, ...],
    everything: bool,
    stale: float | None,
    failed: bool,
    fresh: bool,
    prices: bool,
    dtes: tuple[int, ...],
    concurrency: int | None,
) -> int:
    """Fetch prices and option chains, then rank the premiums.

    Symbols that fail keep the rows of their last good sync. Ctrl-C stops cleanly: what was fetched is kept.
    """
    if [bool(symbols), everything, stale is not None, failed].count(True) != 1:
        raise click.UsageError("say what to sync: either symbols, or --all, or --stale HOURS, or --failed")
    if fresh and not everything:
        raise click.UsageError("--fresh belongs to --all")
    if prices and dtes:
        raise click.UsageError("--prices fetches no chains: --dte has no meaning with it")
    tell_providers(app.settings)
    now = datetime.now(UTC)
    with app.open_database() as database:
        selection = _select(database, symbols, everything, stale, now)
        if not selection.symbols:
            return _nothing_selected(selection.sync_type)
        anew = fresh or prices or not everything
        job_id = None if anew else _job_to_continue(database, dtes or app.settings.target_dtes, now)

    from optsync_pipeline.resources import SyncConfig

    config = SyncConfig(
        symbols=list(selection.symbols),
        sync_type=selection.sync_type,
        job_id=job_id,
        target_dtes=list(dtes),
        concurrency=concurrency,
        prices_only=prices,
    )
    return sync_and_tell(app, config)


def sync_and_tell(app: App, config: "SyncConfig") -> int:
    """Run a sync in this process, print what came of it and where to look on; return the exit code."""
    summary = run_here(app, config)
    exit_code = tell_ending(app, summary)
    more = [f"`optsync status {summary.job_id}`"]
    if exit_code == SOME_FAILED:
        more.append(f"`optsync retry {summary.job_id}` asks for the failed ones again")
    if not config.prices_only:
        more.append("`optsync rankings`")
    click.echo(f"\nmore: {', '.join(more)}")
    return exit_code


def tell_providers(settings: "Settings") -> None:
    """Say whom the sync asks, and who is left out and why. Raises CommandError where nobody can be asked."""
    for name in settings.providers:
        if reason := settings.why_left_out(name):
            click.echo(f"{name} is left out: it {reason}", err=True)
    if not settings.usable_providers:
        raise CommandError("there is nobody to ask: name a provider in OPTSYNC_PROVIDERS; yahoo needs no account")
    click.echo(f"asking {', then '.join(settings.usable_providers)}", err=True)


def run_here(app: App, config: "SyncConfig") -> "SyncSummary":
    """Run the sync and the ranking in this process, on this HOME's Dagster instance, with progress."""
    from optsync_pipeline.definitions import build_definitions
    from optsync_pipeline.local_runs import run_sync
    from optsync_pipeline.resources import PipelineResource

    with progress() as observer, app.open_instance() as instance:
        pipeline = PipelineResource(app.settings, observer=observer)
        return run_sync(build_definitions(app.settings, pipeline), instance, pipeline, config)


def tell_ending(app: App, summary: "SyncSummary") -> int:
    """Print what came of a sync; return the exit code."""
    if summary.job_id is None:
        if summary.cancelled:
            raise KeyboardInterrupt
        raise CommandError(f"the sync did not begin: {summary.fault}", exit_code=NOTHING_DONE)
    with app.open_database() as database:
        story = read_story(database, summary.job_id)
        assert story is not None
        print_story(story)
        for line in summary.left_out.values():
            click.echo(f"left out   {line}")
        if not story.job["prices_only"]:
            _tell_rankings(database, summary)
    if summary.cancelled:
        click.echo(f"stopped: what was fetched is kept; `optsync retry {summary.job_id}` finishes the sync", err=True)
        return STOPPED
    if summary.fault is not None and story.job["status"] not in ("completed", "failed"):
        raise CommandError(f"the sync ended before its time: {summary.fault}", exit_code=NOTHING_DONE)
    return _exit_code(story, summary)


def _exit_code(story: JobStory, summary: "SyncSummary") -> int:
    if story.job["status"] == "failed":
        return NOTHING_DONE
    return SOME_FAILED if story.count("failed") or summary.ranking_fault else OK


def _tell_rankings(database: "Database", summary: "SyncSummary") -> None:
    from optsync_pipeline.options.ranking import STRATEGIES
    from optsync_pipeline.storage.rankings import read_rankings

    if summary.ranking_fault is not None:
        click.echo(f"optsync: warning: there is no new ranking: {summary.ranking_fault}", err=True)
        return
    if not summary.cancelled:
        ranked = [row["strategy"] for row in read_rankings(database)]
        told = ", ".join(f"{ranked.count(strategy):,} {strategy}" for strategy in STRATEGIES)
        click.echo(f"\nranked     {told}")


def _select(
    database: "Database", symbols: tuple[str, ...], everything: bool, stale: float | None, now: datetime
) -> "Selection":
    from optsync_pipeline.sync import selection

    if symbols:
        return selection.select_named(database, symbols)
    if everything:
        return selection.select_all(database)
    return selection.select_failed(database) if stale is None else selection.select_older(database, stale, now)


def _nothing_selected(sync_type: str) -> int:
    if sync_type == "all":
        raise CommandError("there are no stocks yet: `optsync stocks import FILE` or `optsync stocks add AAPL`")
    reason = "no stock is as old as that" if sync_type == "stale" else "no stock's last sync failed"
    click.echo(f"nothing to sync: {reason}")
    return OK


def _job_to_continue(database: "Database", target_dtes: tuple[int, ...], now: datetime) -> int | None:
    from optsync_pipeline.calendar import latest_session
    from optsync_pipeline.storage import sync_log

    # What was done before the latest open is of the session before: to continue it would leave old quotes in.
    job_id = sync_log.find_unfinished_job(database, since=latest_session(now).open, target_dtes=target_dtes)
    if job_id is not None:
        click.echo(f"continuing job {job_id}, which did not finish; --fresh starts anew", err=True)
    return job_id
