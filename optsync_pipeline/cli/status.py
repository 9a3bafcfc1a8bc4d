"""`optsync status`: the latest syncs, or one of them with what failed and why."""

from collections.abc import Mapping
from typing import Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import Column, moment, number, print_json, print_rows
from optsync_pipeline.cli.summary import JobStory, present_state, print_story, read_story


@command("status", examples="optsync status\noptsync status 12\noptsync status 12 --json")
@click.argument("job_id", type=click.IntRange(1), required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many syncs to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def status(app: App, job_id: int | None, limit: int, as_json: bool) -> None:
    """Show the latest syncs, or one with what failed and why."""
    if job_id is None:
        _show_jobs(app, limit, as_json)
    else:
        _show_job(app, job_id, as_json)


def _show_jobs(app: App, limit: int, as_json: bool) -> None:
    from optsync_pipeline.storage import sync_log

    with app.open_database() as database:
        jobs = [present_state(database, job) for job in sync_log.list_jobs(database, limit)]
    if as_json:
        print_json(jobs)
    elif jobs:
        print_rows(_JOB_COLUMNS, [{**job, "errors": _errors(job["error_summary"])} for job in jobs])
        click.echo("\nmore of one: `optsync status JOB_ID`", err=True)
    else:
        click.echo("no sync yet: `optsync sync --all`", err=True)


def _show_job(app: App, job_id: int, as_json: bool) -> None:
    with app.open_database() as database:
        story = read_story(database, job_id)
    if story is None:
        raise CommandError(f"there is no job {job_id}: `optsync status` lists the latest")
    if as_json:
        print_json({**story.job, "refused_by_rule": story.refused_by_rule, "results": story.results})
        return
    print_story(story)
    _print_symbols(story)


def _print_symbols(story: JobStory) -> None:
    rows = [row for row in story.results if row["status"] in ("failed", "skipped", "in_progress")]
    if rows:
        click.echo("")
        print_rows(_RESULT_COLUMNS, [{**row, "tried": _tried(row["attempts"])} for row in rows])


def _errors(summary: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(summary.items(), key=lambda item: -item[1]))


def _tried(attempts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{attempt['provider']}: {attempt['error_type'] or 'ok'}" for attempt in attempts)


_JOB_COLUMNS = (
    Column("job_id", "job", right=True),
    Column("sync_type", "what"),
    Column("status", "status"),
    Column("started_at", "started", moment),
    Column("duration_seconds", "seconds", number(1), right=True),
    Column("total_stocks", "symbols", number(0), right=True),
    Column("successful_stocks", "ok", number(0), right=True),
    Column("failed_stocks", "failed", number(0), right=True),
    Column("skipped_stocks", "skipped", number(0), right=True),
    Column("errors", "failed of", optional=True),
)

_RESULT_COLUMNS = (
    Column("symbol", "symbol"),
    Column("status", "status"),
    Column("error_type", "kind"),
    Column("tried", "tried", optional=True),
    Column("error_message", "reason"),
)
