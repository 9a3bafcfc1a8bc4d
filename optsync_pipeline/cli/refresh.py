"""`optsync refresh`: asks whoever runs the daemon on this database for stocks at once, ahead of a running full sync."""

import os
import pwd
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, SOME_FAILED, CommandError

if TYPE_CHECKING:
    from optsync_pipeline.storage.database import Database

LOOK_SECONDS = 0.5
SUCCESS = "success"
SKIPPED = ("no_options", "delisted")


@command(
    "refresh",
    examples="optsync refresh AAPL\noptsync refresh AAPL brk-b --wait\noptsync refresh AAPL --wait --timeout 60",
)
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--wait", is_flag=True, help="Wait until they are synced, and say what came of it.")
@click.option("--timeout", type=click.IntRange(1, 86400), default=300, show_default=True, help="Seconds to wait.")
@pass_app
def refresh(app: App, symbols: tuple[str, ...], wait: bool, timeout: int) -> int:
    """Have stocks synced at once by the daemon.

    They come before whatever it syncs at the moment. Needs `optsync up` on any machine of this database; `optsync sync
    SYMBOL` needs none.
    """
    from optsync_pipeline.storage.refresh_requests import request_refresh
    from optsync_pipeline.sync.selection import select_named

    with app.open_database() as database:
        wanted = select_named(database, symbols).symbols
        asked_at = datetime.now(UTC)
        asked = request_refresh(database, wanted, asked_at, _who_asks())
        _say_asked(len(wanted), asked)
        _say_who_takes_it_up(app.settings.home, wanted)
        return _wait(database, wanted, asked_at, timeout) if wait else OK


def _who_asks() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _say_asked(wanted: int, asked: int) -> None:
    waiting = wanted - asked
    before = f", {waiting:,} waited already" if waiting else ""
    click.echo(f"asked for {asked:,} stock{'' if asked == 1 else 's'}{before}")


def _say_who_takes_it_up(home: Path, symbols: Sequence[str]) -> None:
    note = processes.read_note(home / "up.json")
    if note is not None and any(child.name == "daemon" and child.find() for child in note.children):
        click.echo("the daemon starts them within 30 seconds; `optsync status` shows the sync")
        return
    click.echo(
        f"optsync: warning: no daemon runs on {home}: they wait until `optsync up` runs, here or on another machine of "
        f"this database; `optsync sync {' '.join(symbols)}` asks now",
        err=True,
    )


def _wait(database: "Database", symbols: Sequence[str], since: datetime, timeout_seconds: int) -> int:
    from optsync_pipeline.storage.refresh_requests import results_since, waiting_symbols

    deadline = time.monotonic() + timeout_seconds
    told = -1
    while True:
        results = results_since(database, symbols, since)
        if len(results) != told:
            told = len(results)
            click.echo(f"{told:,} of {len(symbols):,} synced", err=True)
        if len(results) == len(symbols):
            return _tell(symbols, results)
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    missing = [symbol for symbol in symbols if symbol not in results]
    unclaimed = [symbol for symbol in missing if symbol in set(waiting_symbols(database))]
    if unclaimed:
        why = "nobody took them up: `optsync up` does, and they wait for it"
    else:
        why = "they are taken up: `optsync status` shows what runs"
    raise CommandError(
        f"not synced within {timeout_seconds} s: {', '.join(missing)}; {why}",
        exit_code=SOME_FAILED if results else NOTHING_DONE,
    )


def _tell(symbols: Sequence[str], results: Mapping[str, str]) -> int:
    """Print what became of each; return the exit code, as a sync does."""
    for symbol in symbols:
        click.echo(f"{symbol}: {'synced' if results[symbol] == SUCCESS else results[symbol]}")
    failed = [symbol for symbol in symbols if results[symbol] not in (SUCCESS, *SKIPPED)]
    if len(failed) == len(symbols):
        return NOTHING_DONE
    return SOME_FAILED if failed else OK
