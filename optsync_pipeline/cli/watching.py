"""`optsync status --watch`: looks at a job every two seconds until it ends or Ctrl-C.

On a terminal the picture is drawn anew each time; into a pipe each look is a block of plain lines, or a line of JSON.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.job_view import read_view, view_lines
from optsync_pipeline.cli.output import print_json, terminal_width

if TYPE_CHECKING:
    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database

WATCH_SECONDS = 2.0

Show = Callable[[Mapping[str, Any]], None]


def watch_job(database: "Database", settings: "Settings", job_id: int, *, as_json: bool) -> bool:
    """Show a job until it ends or Ctrl-C; return whether it ended."""
    from optsync_pipeline.storage import sync_log

    try:
        with _canvas(as_json) as show:
            while True:
                job = sync_log.read_job(database, job_id)
                view = read_view(database, settings, [job] if job else [], datetime.now(UTC))
                show(view)
                if all(progress["status"] != "running" for progress in view["progress"]):
                    return True
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return False


@contextlib.contextmanager
def _canvas(as_json: bool) -> Iterator[Show]:
    if as_json:
        yield _show_json
    elif sys.stdout.isatty():
        with _drawing() as draw:
            yield draw
    else:
        yield _show_block


def _show_json(view: Mapping[str, Any]) -> None:
    print_json(view, on_one_line=True)
    sys.stdout.flush()


def _show_block(view: Mapping[str, Any]) -> None:
    click.echo("\n".join(view_lines(view, width=None)) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _drawing() -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), auto_refresh=False) as live:

        def draw(view: Mapping[str, Any]) -> None:
            live.update(Text("\n".join(view_lines(view, width=terminal_width()))), refresh=True)

        yield draw
