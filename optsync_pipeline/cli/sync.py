"""`optsync sync`: runs the sync in this process, says what came of it. Which symbols it asks: choosing.py."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.choosing import Wanted, choose
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, SOME_FAILED, STOPPED, CommandError
from optsync_pipeline.cli.progress import progress
from optsync_pipeline.cli.summary import JobStory, print_story, read_story

if TYPE_CHECKING:
    from optsync_pipeline.local_runs import SyncSummary
    from optsync_pipeline.resources import SyncConfig
    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database

TOLD_RETIRED = 10
DTE_RANGE = range(1, 1101)
STALE_HOURS = click.FloatRange(0, 2000)  # more than a year of trading


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
    optsync sync --watchlist wheel --fresh
    optsync sync --stale 6.5 --concurrency 20
    optsync sync --failed --dte 30,45
    optsync sync --all --prices
    """,
)
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--all", "everything", is_flag=True, help="Every stock. Continues such a sync that died or was stopped.")
@click.option("--watchlist", metavar="NAME", help="The stocks of a watchlist.")
@click.option("--stale", type=STALE_HOURS, metavar="HOURS", help="Stocks not asked for so many hours of trading.")
@click.option("--failed", is_flag=True, help="Stocks whose last sync failed.")
@click.option("--fresh", is_flag=True, help="With --all and --watchlist: what is fresh too. --all starts anew.")
@click.option("--prices", is_flag=True, help="Prices alone, without option chains: one request for many stocks.")
@click.option("--dte", "dtes", multiple=True, callback=_read_dtes, help="Days to expiration instead of the setting's.")
@click.option("--concurrency", type=click.IntRange(1, 100), help="Vendor calls at a time instead of the setting's.")
@pass_app
def sync(
    app: App,
    symbols: tuple[str, ...],
    everything: bool,
    watchlist: str | None,
    stale: float | None,
    failed: bool,
    fresh: bool,
    prices: bool,
    dtes: tuple[int, ...],
    concurrency: int | None,
) -> int:
    """Fetch prices and option chains, then rank the premiums.

    --all and --watchlist pass over what is fresh: asked for within the last hour of trading and since the last close.
    Symbols that fail keep the rows of their last good sync. Ctrl-C stops cleanly: what was fetched is kept.
    """
    wanted = Wanted(symbols, everything, stale, failed, watchlist, fresh, prices, dtes)
    wanted.check()
    check_providers(app.settings, prices_only=prices)
    with app.open_database() as database:
        chosen = choose(database, app.settings, wanted, datetime.now(UTC))
    if not chosen.symbols:
        return OK
    tell_providers(app.settings, prices_only=prices)

    from optsync_pipeline.resources import SyncConfig

    config = SyncConfig(
        symbols=list(chosen.symbols),
        sync_type=chosen.sync_type,
        job_id=chosen.job_id,
        target_dtes=list(dtes),
        concurrency=concurrency,
        prices_only=prices,
    )
    return sync_and_tell(app, config)


def sync_and_tell(app: App, config: "SyncConfig") -> int:
    """Run a sync in this process, print what came of it and where to look on; return the exit code."""
    summary = run_here(app, config)
    exit_code, failed = tell_ending(app, summary)
    more = [f"`optsync status {summary.job_id}`"]
    if failed and exit_code != STOPPED:  # who stopped it was told already
        more.append(f"`optsync retry {summary.job_id}` asks for the failed ones again")
    if not config.prices_only:
        more.append("`optsync rankings`")
    click.echo(f"\nmore: {', '.join(more)}")
    return exit_code


def tell_providers(settings: "Settings", *, prices_only: bool) -> None:
    """Say whom the sync asks, and who is left out and why. Raises CommandError where nobody can be asked.

    prices_only: raises ProviderSetupError where nobody gives prices alone.
    """
    check_providers(settings, prices_only=prices_only)
    _tell_left_out(settings)
    click.echo(f"asking {', then '.join(settings.usable_providers)}", err=True)


def check_providers(settings: "Settings", *, prices_only: bool) -> None:
    """Raise CommandError where nobody can be asked, ProviderSetupError where nobody gives prices alone."""
    if not settings.usable_providers:
        _tell_left_out(settings)
        raise CommandError("there is nobody to ask: name a provider in OPTSYNC_PROVIDERS; yahoo needs no account")
    if prices_only:
        _require_bulk_quotes(settings)


def _tell_left_out(settings: "Settings") -> None:
    for name in settings.providers:
        if reason := settings.why_left_out(name):
            click.echo(f"{name} is left out: it {reason}", err=True)


def _require_bulk_quotes(settings: "Settings") -> None:
    from optsync_pipeline.providers.build import build_providers, require_bulk_quotes

    providers = build_providers(settings)
    for provider in providers:
        provider.close()
    require_bulk_quotes(providers)


def run_here(app: App, config: "SyncConfig") -> "SyncSummary":
    """Run the sync and the ranking in this process, on this HOME's Dagster instance, with progress."""
    from optsync_pipeline.definitions import build_definitions
    from optsync_pipeline.local_runs import run_sync
    from optsync_pipeline.resources import PipelineResource

    with progress() as observer, app.open_instance() as instance:
        pipeline = PipelineResource(app.settings, observer=observer)
        return run_sync(build_definitions(app.settings, pipeline), instance, pipeline, config)


def tell_ending(app: App, summary: "SyncSummary") -> tuple[int, int]:
    """Print what came of a sync; return the exit code and the number of failed symbols."""
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
            _tell_retired(database, story)
            _tell_rankings(database, summary)
    if summary.cancelled:
        click.echo(f"stopped: what was fetched is kept; `optsync retry {summary.job_id}` finishes the sync", err=True)
        return STOPPED, story.count("failed")
    if summary.fault is not None and story.job["status"] not in ("completed", "failed"):
        raise CommandError(
            f"the sync ended before its time: {summary.fault}; `optsync retry {summary.job_id}` finishes it",
            exit_code=NOTHING_DONE,
        )
    return _exit_code(story, summary), story.count("failed")


def _tell_retired(database: "Database", story: JobStory) -> None:
    from optsync_pipeline.storage.retirement import retired_since

    retired = retired_since(database, story.job["resumed_at"] or story.job["started_at"])
    if retired:
        named = ", ".join(f"{stock.symbol} ({stock.reason})" for stock in retired[:TOLD_RETIRED])
        more = f" and {len(retired) - TOLD_RETIRED:,} more" if len(retired) > TOLD_RETIRED else ""
        click.echo(f"retired    {named}{more}; `optsync stocks list --inactive`, `optsync stocks add` brings them back")


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
