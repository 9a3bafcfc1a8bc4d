"""`optsync status`: what runs now and how far it is, the latest syncs, or one of them with what failed and why."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.job_view import read_view, view_lines
from optsync_pipeline.cli.output import Column, moment, number, print_json, print_rows, terminal_width
from optsync_pipeline.cli.summary import JobStory, present_state, print_story, read_story
from optsync_pipeline.cli.watching import watch_job

if TYPE_CHECKING:
    from optsync_pipeline.storage.database import Database


@command(
    "status",
    examples="""
    optsync status
    optsync status --watch
    optsync status 12
    optsync status 12 --json
    """,
)
@click.argument("job_id", type=click.IntRange(1), required=False)
@click.option("--watch", is_flag=True, help="Look again every 2 seconds until the sync ends or Ctrl-C.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many syncs to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch a line a look.")
@pass_app
def status(app: App, job_id: int | None, watch: bool, limit: int, as_json: bool) -> None:
    """Show what runs, the latest syncs, or one with its failures."""
    with app.open_database() as database:
        if watch:
            _watch(app, database, job_id, as_json)
        elif job_id is None:
            _show_jobs(app, database, limit, as_json)
        else:
            _show_job(app, database, job_id, as_json)


def _watch(app: App, database: "Database", job_id: int | None, as_json: bool) -> None:
    if job_id is None:
        running = _running_jobs(database)
        if not running:
            click.echo("no sync runs: `optsync status` lists the latest", err=True)
            return
        job_id = running[0]["job_id"]
    else:
        _require_story(database, job_id)
    if watch_job(database, app.settings, job_id, as_json=as_json) and not as_json:
        click.echo("")
        print_story(_require_story(database, job_id))


def _running_jobs(database: "Database") -> list[dict[str, Any]]:
    """Return the jobs that living processes run, the newest first."""
    from optsync_pipeline.storage import sync_log

    return [job for job in sync_log.running_jobs(database) if sync_log.is_alive(database, job["job_id"])]


def _show_jobs(app: App, database: "Database", limit: int, as_json: bool) -> None:
    from optsync_pipeline.storage import sync_log

    view = read_view(database, app.settings, _running_jobs(database), datetime.now(UTC))
    jobs = [present_state(database, job) for job in sync_log.list_jobs(database, limit)]
    if as_json:
        print_json({**view, "jobs": jobs})
        return
    if view["progress"]:
        click.echo("\n".join(view_lines(view, width=terminal_width())) + "\n")
    if jobs:
        print_rows(_JOB_COLUMNS, [{**job, "errors": _errors(job["error_summary"])} for job in jobs])
        click.echo("\nmore of one: `optsync status JOB_ID`", err=True)
    else:
        click.echo("no sync yet: `optsync sync --all`", err=True)


def _show_job(app: App, database: "Database", job_id: int, as_json: bool) -> None:
    story = _require_story(database, job_id)
    runs = story.job["status"] == "running"
    if as_json or runs:
        view = read_view(database, app.settings, [story.job], datetime.now(UTC))
    if as_json:
        print_json({**story.job, "refused_by_rule": story.refused_by_rule, "results": story.results, **view})
        return
    if runs:
        click.echo("\n".join(view_lines(view, width=terminal_width())))
    else:
        print_story(story)
    _print_symbols(story)


def _require_story(database: "Database", job_id: int) -> JobStory:
    story = read_story(database, job_id)
    if story is None:
        raise CommandError(f"there is no job {job_id}: `optsync status` lists the latest")
    return story


def _print_symbols(story: JobStory) -> None:
    # What a living process is asking for is told with how long; of a dead one it is what was cut off.
    cut_off = () if story.job["status"] == "running" else ("in_progress",)
    rows = [row for row in story.results if row["status"] in ("failed", "skipped", *cut_off)]
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
