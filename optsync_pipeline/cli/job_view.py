"""A sync job as it is at this moment, for `optsync status`: read once, shown as lines or as JSON.

What is told of a job at its end is summary.py's; looking again and again is watching.py's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optsync_pipeline.cli.output import span, table_lines
from optsync_pipeline.cli.provider_states import PROVIDER_COLUMNS, asked_providers, read_providers, table_rows
from optsync_pipeline.cli.summary import present_state

if TYPE_CHECKING:
    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database

Row = dict[str, Any]

SYMBOLS_SHOWN = 6
_JOB_KEYS = ("job_id", "sync_type", "status", "prices_only", "started_at", "resumed_at", "cancel_requested_at")
_PACE_KEYS = ("total", "done", "left", "ok", "failed", "skipped", "in_progress")


def read_view(database: "Database", settings: "Settings", jobs: Sequence[Mapping[str, Any]], now: datetime) -> Row:
    """Read the progress of some jobs, and the state of the providers. Its keys: docs/operations.md lists them."""
    return {
        "at": now,
        "progress": [read_progress(database, job, now) for job in jobs],
        "providers": read_providers(database, settings),
    }


def read_progress(database: "Database", job: Mapping[str, Any], now: datetime) -> Row:
    """Read how far a job is: counts, pace, errors by kind, symbols under way, each provider's share."""
    from optsync_pipeline.storage import job_progress

    job_id = job["job_id"]
    job = present_state(database, job)
    pace = job_progress.read_pace(database, job_id, now)
    errors = job_progress.errors_by_kind(database, job_id)
    running = job["status"] == "running"
    return {
        **{key: job[key] for key in _JOB_KEYS},
        **{key: getattr(pace, key) for key in _PACE_KEYS},
        "stocks_per_second": pace.stocks_per_second if running else job["stocks_per_second"],
        "seconds_left": pace.seconds_left if running else None,
        "failed_by_kind": errors["failed"],
        "skipped_by_kind": errors["skipped"],
        "under_way": [asdict(one) for one in job_progress.symbols_under_way(database, job_id, now)] if running else [],
        "shares": [asdict(share) for share in job_progress.provider_shares(database, job_id)],
    }


def view_lines(view: Mapping[str, Any], *, width: int | None) -> list[str]:
    """Write a view as lines: a block for each job, then the providers that a sync asks. width: None for a pipe."""
    now = view["at"]
    lines: list[str] = []
    for progress in view["progress"]:
        lines += [*progress_lines(progress, now), ""]
    return lines + table_lines(PROVIDER_COLUMNS, table_rows(asked_providers(view["providers"]), now), width=width)


def progress_lines(progress: Mapping[str, Any], now: datetime) -> list[str]:
    """Write how far a job is, as lines."""
    lines = [_headline(progress, now), f"symbols    {_counts(progress)}"]
    if progress["status"] == "running":
        lines.append(f"pace       {_pace(progress)}")
    lines += [
        f"{status:<11}{', '.join(f'{kind} {count:,}' for kind, count in by_kind.items())}"
        for status in ("failed", "skipped")
        if (by_kind := progress[f"{status}_by_kind"])
    ]
    if progress["shares"]:
        lines.append(f"served by  {_shares(progress['shares'])}")
    if progress["under_way"]:
        lines.append(f"asking     {_under_way(progress['under_way'])}")
    return lines


def _headline(progress: Mapping[str, Any], now: datetime) -> str:
    job_id, status = progress["job_id"], progress["status"]
    what = f"{progress['sync_type']}, prices alone" if progress["prices_only"] else progress["sync_type"]
    told = f"job {job_id} ({what}): {status}"
    if status == "running":
        told += f" for {span((now - (progress['resumed_at'] or progress['started_at'])).total_seconds())}"
        if progress["cancel_requested_at"] is not None:
            told += f", asked to end {span((now - progress['cancel_requested_at']).total_seconds())} ago"
    return f"{told}; `optsync retry {job_id}` finishes it" if status == "dead" else told


def _counts(progress: Mapping[str, Any]) -> str:
    total, done = progress["total"], progress["done"]
    share = f" ({100 * done // total} %)" if total else ""
    return (
        f"{done:,} of {total:,}{share}: {progress['ok']:,} ok, {progress['failed']:,} failed, "
        f"{progress['skipped']:,} skipped"
    )


def _pace(progress: Mapping[str, Any]) -> str:
    told = f"{progress['stocks_per_second']:,.1f} stocks/s over the last minute"
    if progress["seconds_left"] is None:
        return told
    return f"{told}, {span(progress['seconds_left'])} left"


def _shares(shares: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{share['provider']} {share['served']:,} of {share['asked']:,} ({share['requests']:,} requests)"
        for share in shares
    )


def _under_way(symbols: Sequence[Mapping[str, Any]]) -> str:
    shown = ", ".join(f"{one['symbol']} {span(one['seconds'])}" for one in symbols[:SYMBOLS_SHOWN])
    more = len(symbols) - SYMBOLS_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
