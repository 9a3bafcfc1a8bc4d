"""Which stocks `optsync sync` asks, as the person chose them, and what is said of those that it does not ask."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import moment

if TYPE_CHECKING:
    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.sync.selection import Selection


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for. stale: hours of trading; fresh: what is fresh too, and nothing is continued."""

    symbols: tuple[str, ...]
    everything: bool
    stale: float | None
    failed: bool
    watchlist: str | None
    fresh: bool
    prices: bool
    dtes: tuple[int, ...]

    def check(self) -> None:
        """Raise UsageError where the choice is none, or more than one."""
        choices = (bool(self.symbols), self.everything, self.stale is not None, self.failed, self.watchlist is not None)
        if choices.count(True) != 1:
            raise click.UsageError(
                "say what to sync: either symbols, or --all, or --stale HOURS, or --failed, or --watchlist NAME"
            )
        if self.fresh and not (self.everything or self.watchlist is not None):
            raise click.UsageError("--fresh belongs to --all and --watchlist: the others pass over nothing")
        if self.prices and self.dtes:
            raise click.UsageError("--prices fetches no chains: --dte has no meaning with it")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be asked, and the job that is continued with it; symbols is empty where there is nothing to do."""

    symbols: tuple[str, ...]
    sync_type: str
    job_id: int | None = None


def choose(database: "Database", settings: "Settings", wanted: Wanted, now: datetime) -> Chosen:
    """Choose the stocks; say what is continued or passed over. Raises CommandError where there are no stocks at all."""
    selection = _select(database, wanted, now)
    if not selection.symbols:
        _say_nothing_selected(selection.sync_type, wanted)
        return Chosen((), selection.sync_type)
    if wanted.everything and not (wanted.fresh or wanted.prices):
        job_id = _job_to_continue(database, wanted.dtes or settings.target_dtes, now)
        if job_id is not None:
            return Chosen(selection.symbols, selection.sync_type, job_id)
    if not wanted.fresh and selection.sync_type in ("all", "watchlist"):
        selection = _without_fresh(database, settings, wanted, selection, now)
    return Chosen(selection.symbols, selection.sync_type)


def _select(database: "Database", wanted: Wanted, now: datetime) -> "Selection":
    from optsync_pipeline.sync import selection

    if wanted.symbols:
        return selection.select_named(database, wanted.symbols)
    if wanted.everything:
        return selection.select_all(database)
    if wanted.watchlist is not None:
        return selection.select_watchlist(database, wanted.watchlist)
    if wanted.stale is not None:
        return selection.select_older(database, wanted.stale, now, prices_only=wanted.prices, target_dtes=wanted.dtes)
    return selection.select_failed(database)


def _say_nothing_selected(sync_type: str, wanted: Wanted) -> None:
    if sync_type == "all":
        raise CommandError(
            "there are no stocks yet: `optsync stocks import sp500`, a file of yours, or `optsync stocks add AAPL`"
        )
    reasons = {
        "stale": "no stock is as old as that",
        "failed": "no stock's last sync failed",
        "watchlist": f"no stock of watchlist {wanted.watchlist!r} is synced; `optsync watchlist add` puts some on it",
    }
    click.echo(f"nothing to sync: {reasons[sync_type]}")


def _without_fresh(
    database: "Database", settings: "Settings", wanted: Wanted, selection: "Selection", now: datetime
) -> "Selection":
    from optsync_pipeline.sync.selection import pass_over_fresh

    chosen = pass_over_fresh(database, settings, now, selection, prices_only=wanted.prices, target_dtes=wanted.dtes)
    assert chosen.fresh_since is not None
    since = f"asked for since {moment(chosen.fresh_since)}"
    if not chosen.symbols:
        count = "the only stock is" if chosen.passed_over == 1 else f"all {chosen.passed_over:,} stocks are"
        click.echo(f"nothing to sync: {count} fresh, {since}; --fresh asks anyway")
    elif chosen.passed_over:
        click.echo(
            f"passing over {chosen.passed_over:,} of {len(selection.symbols):,} stocks, which are fresh: {since}; "
            "--fresh asks them too",
            err=True,
        )
    return chosen


def _job_to_continue(database: "Database", target_dtes: tuple[int, ...], now: datetime) -> int | None:
    from optsync_pipeline.calendar import latest_session
    from optsync_pipeline.storage import sync_log

    # What was done before the latest open is of the session before: to continue it would leave old quotes in.
    job_id = sync_log.find_unfinished_job(database, since=latest_session(now).open, target_dtes=target_dtes)
    if job_id is not None:
        click.echo(f"continuing job {job_id}, which did not finish; --fresh starts anew", err=True)
    return job_id
