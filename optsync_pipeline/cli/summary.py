"""What is told of a sync job that is over: at the end of `optsync sync` and `retry`, and by `optsync status`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.output import Column, print_rows

if TYPE_CHECKING:
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.job_progress import ProviderShare

NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class JobStory:
    """A job with its results, the refused contracts by rule, and each provider's share."""

    job: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]
    refused_by_rule: Mapping[str, int]
    shares: Sequence["ProviderShare"]

    def total(self, column: str) -> int:
        """Sum a count over the symbols."""
        return sum(row[column] or 0 for row in self.results)

    def count(self, *statuses: str) -> int:
        """Count the symbols with one of the statuses."""
        return sum(row["status"] in statuses for row in self.results)

    def reasons(self, status: str) -> dict[str, list[Mapping[str, Any]]]:
        """Return the results with a status by error_type, the commonest first."""
        by_type: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self.results:
            if row["status"] == status:
                by_type[row["error_type"] or "unknown"].append(row)
        return dict(sorted(by_type.items(), key=lambda item: (-len(item[1]), item[0])))


def read_story(database: "Database", job_id: int) -> JobStory | None:
    """Read all that is told of a job; None where there is no such job."""
    from optsync_pipeline.storage import job_progress, sync_log
    from optsync_pipeline.storage.table_checks import tally_job

    job = sync_log.read_job(database, job_id)
    if job is None:
        return None
    return JobStory(
        present_state(database, job),
        sync_log.read_results(database, job_id),
        tally_job(database, job_id).refused_by_rule,
        job_progress.provider_shares(database, job_id),
    )


def present_state(database: "Database", job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as it is now: one that runs with its counts so far, one whose process is gone as `dead`."""
    from optsync_pipeline.storage import sync_log
    from optsync_pipeline.storage.table_checks import tally_job

    if job["status"] != "running":
        return dict(job)
    status = "running"
    if not sync_log.is_alive(database, job["job_id"]):
        # It may have ended, and let its lock go, since its row was read.
        job = sync_log.read_job(database, job["job_id"]) or job
        status = "dead" if job["status"] == "running" else job["status"]
    counts = tally_job(database, job["job_id"]).symbols_by_status
    return {
        **job,
        "status": status,
        "successful_stocks": counts.get("success", 0),
        "failed_stocks": counts.get("failed", 0),
        "skipped_stocks": counts.get("skipped", 0),
    }


def print_story(story: JobStory) -> None:
    """Print how a job went: symbols, contracts, requests, seconds, who served, and what failed or was skipped."""
    job = story.job
    what = f"{job['sync_type']}, prices alone" if job["prices_only"] else job["sync_type"]
    pace = f", {job['stocks_per_second']:.1f} stocks/s" if job["stocks_per_second"] else ""
    lasted = f" in {job['duration_seconds']:.1f} s{pace}" if job["duration_seconds"] is not None else ""
    dead = f"; `optsync retry {job['job_id']}` finishes it" if job["status"] == "dead" else ""
    click.echo(f"job {job['job_id']} ({what}): {job['status']}{lasted}{dead}")
    left = story.count("pending", "in_progress")
    click.echo(
        f"symbols    {len(story.results):,}: {story.count('success'):,} ok, {story.count('failed'):,} failed, "
        f"{story.count('skipped'):,} skipped" + (f", {left:,} not done" if left else "")
    )
    if not job["prices_only"]:
        _print_contracts(story)
    _print_requests(story)
    for status in ("failed", "skipped"):
        _print_reasons(status, story.reasons(status))


def _print_contracts(story: JobStory) -> None:
    click.echo(
        f"contracts  {story.total('options_fetched'):,} fetched, {story.total('options_inserted'):,} stored, "
        f"{story.total('premiums_inserted'):,} sellable"
    )
    if story.refused_by_rule:
        by_rule = ", ".join(f"{rule} {count:,}" for rule, count in story.refused_by_rule.items())
        click.echo(f"refused    {sum(story.refused_by_rule.values()):,}: {by_rule}")


def _print_requests(story: JobStory) -> None:
    click.echo(f"requests   {story.total('requests'):,}, {story.total('retry_count'):,} retries")
    width = 2 + max((7, *(len(share.provider) for share in story.shares)))
    for share in story.shares:
        errors = ", ".join(f"{kind} {count:,}" for kind, count in sorted(share.errors.items(), key=lambda it: -it[1]))
        name = f"{share.provider:<{width}}"
        click.echo(
            f"  {name}{share.served:,} of {share.asked:,} symbols served, {share.requests:,} requests"
            + (f"; {errors}" if errors else "")
        )


def _print_reasons(status: str, reasons: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    if not reasons:
        return
    click.echo("")
    rows = [
        {"kind": kind, "count": len(rows), "symbols": names(rows), "example": rows[0]["error_message"]}
        for kind, rows in reasons.items()
    ]
    columns = (
        Column("kind", status),
        Column("count", "count", right=True),
        Column("symbols", "symbols"),
        Column("example", "for example", optional=True),
    )
    print_rows(columns, rows)


def names(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the first few symbols of results."""
    shown = ", ".join(row["symbol"] for row in rows[:NAMES_SHOWN])
    return f"{shown} and {len(rows) - NAMES_SHOWN:,} more" if len(rows) > NAMES_SHOWN else shown
