"""`optsync cancel`: asks the process that runs a sync, on whichever machine, to end it, and waits until it has."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, CommandError
from optsync_pipeline.cli.summary import present_state

if TYPE_CHECKING:
    from optsync_pipeline.storage.database import Database

# The process looks twice a second; calls under way have 3 s to end, and what came has 5 s to be committed.
WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.3


@command("cancel", examples="optsync cancel 12")
@click.argument("job_id", type=click.IntRange(1))
@pass_app
def cancel(app: App, job_id: int) -> int:
    """End a running sync, from any terminal.

    What was fetched is kept; `optsync retry` finishes it. Waits until the sync has ended.
    """
    from optsync_pipeline.storage import sync_log

    with app.open_database() as database:
        if not sync_log.request_cancel(database, job_id, datetime.now(UTC)):
            raise _why_not(database, job_id)
        asked = sync_log.read_job(database, job_id)
        if asked is not None and asked["status"] != "running":
            click.echo(f"job {job_id} has ended already ({asked['status']}); its failed symbols are asked no more")
            return OK
        click.echo(f"job {job_id} is asked to end: waiting until it has committed what it fetched", err=True)
        job = _wait_for_end(database, job_id)
    return _tell(job)


def _why_not(database: "Database", job_id: int) -> CommandError:
    from optsync_pipeline.storage import sync_log

    job = sync_log.read_job(database, job_id)
    if job is None:
        return CommandError(f"there is no job {job_id}: `optsync status` lists the latest")
    if present_state(database, job)["status"] in ("dead", "running"):  # running: it began to live just now
        return CommandError(f"the process of job {job_id} is gone: `optsync retry {job_id}` finishes it")
    return CommandError(f"job {job_id} has ended already: {job['status']}")


def _wait_for_end(database: "Database", job_id: int) -> dict[str, Any]:
    from optsync_pipeline.storage import sync_log

    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        job = sync_log.read_job(database, job_id)
        if job is None:  # somebody deleted the row
            raise CommandError(f"there is no job {job_id} any more", exit_code=NOTHING_DONE)
        job = present_state(database, job)
        if job["status"] != "running" or time.monotonic() > deadline:
            return job
        time.sleep(LOOK_SECONDS)


def _tell(job: dict[str, Any]) -> int:
    job_id, status = job["job_id"], job["status"]
    if status == "cancelled":
        click.echo(f"job {job_id} is cancelled; `optsync retry {job_id}` finishes it")
        return OK
    if status == "running":
        raise CommandError(
            f"job {job_id} goes on after {WAIT_SECONDS:g} s; it stays asked to end: `optsync status {job_id} --watch`",
            exit_code=NOTHING_DONE,
        )
    if status == "dead":
        raise CommandError(
            f"the process of job {job_id} died before it ended: `optsync retry {job_id}` finishes it",
            exit_code=NOTHING_DONE,
        )
    click.echo(f"job {job_id} was done before it could be cancelled: {status}")
    return OK
