"""What a person sees while a sync runs: a bar on a terminal, a line every few seconds elsewhere. On standard error.

Both are observers of resources.SyncObserver. Standard output is for what comes of the sync.
"""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from optsync_pipeline.sync.outcome import SymbolOutcome
    from optsync_pipeline.sync.run import SyncRun

LINE_SECONDS = 5.0


class Progressing(Protocol):
    """A SyncObserver, named here without importing Dagster."""

    def sync_started(self, run: "SyncRun", *, reask: bool) -> None:
        """Be told of a run that begins."""
        ...

    def symbol_done(self, outcome: "SymbolOutcome") -> None:
        """Be told of a symbol whose rows are committed."""
        ...


@contextlib.contextmanager
def progress() -> Iterator[Progressing]:
    """Give the observer that fits where standard error goes, for the length of a sync."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=False,
    )
    with bar:
        yield Bar(bar)


class Bar:
    """A bar for the sync, and one for the symbols that are asked again."""

    def __init__(self, bar: "Progress") -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._reasking: TaskID | None = None
        self._done: Counter[str] = Counter()

    def sync_started(self, run: "SyncRun", *, reask: bool) -> None:
        """Add the bar of this run, or make room for one more symbol that is asked again."""
        if not reask:
            self._task = self._bar.add_task("syncing", total=run.total, told="")
        elif self._reasking is None:
            self._reasking = self._task = self._bar.add_task("asking again", total=1, told="")
            self._done.clear()
        else:
            self._bar.update(self._reasking, total=self._done.total() + 1)

    def symbol_done(self, outcome: "SymbolOutcome") -> None:
        """Move the bar."""
        self._done[outcome.status] += 1
        assert self._task is not None
        self._bar.update(self._task, advance=1, told=counts_of(self._done))


class Lines:
    """A line at the start and every few seconds: for pipes and logs."""

    def __init__(self) -> None:
        self._done: Counter[str] = Counter()
        self._total = 0
        self._told_at = 0.0
        self._reasked = False

    def sync_started(self, run: "SyncRun", *, reask: bool) -> None:
        """Say what begins."""
        if reask and not self._reasked:
            self._reasked = True
            click.echo("asking the failed symbols again", err=True)
        if not reask:
            self._total = run.total
            self._told_at = time.monotonic()
            click.echo(f"job {run.job_id}: syncing {run.total:,} symbol{'' if run.total == 1 else 's'}", err=True)

    def symbol_done(self, outcome: "SymbolOutcome") -> None:
        """Say how far it is, when the last line is a while ago or nothing is left."""
        if self._reasked:
            click.echo(f"{outcome.symbol}: {outcome.status}", err=True)
            return
        self._done[outcome.status] += 1
        finished = self._done.total() == self._total
        if finished or time.monotonic() - self._told_at >= LINE_SECONDS:
            self._told_at = time.monotonic()
            click.echo(f"{self._done.total():,} of {self._total:,}: {counts_of(self._done)}", err=True)


def counts_of(statuses: Counter[str]) -> str:
    """Write counts by status as a person says them."""
    parts = [f"{statuses['success']:,} ok"]
    parts += [f"{statuses[status]:,} {status}" for status in ("failed", "skipped") if statuses[status]]
    return ", ".join(parts)
