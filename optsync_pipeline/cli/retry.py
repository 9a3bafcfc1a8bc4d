"""`optsync retry`: finishes a job: what failed, what was never asked, what was cut off."""

from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import OK, CommandError
from optsync_pipeline.cli.sync import sync_and_tell, tell_providers

if TYPE_CHECKING:
    from optsync_pipeline.resources import SyncConfig
    from optsync_pipeline.storage.database import Database

LEFT = ("failed", "pending", "in_progress")


@command("retry", examples="optsync retry\noptsync retry 12")
@click.argument("job_id", type=click.IntRange(1), required=False)
@pass_app
def retry(app: App, job_id: int | None) -> int:
    """Finish a sync: its failed and undone symbols.

    Failed ones go to another provider first. Without JOB_ID: the newest sync that left something no later one has done.
    """
    with app.open_database() as database:
        job = _chosen_job(database, job_id)
        if job is None:
            click.echo("nothing to finish: no sync has failed or undone symbols that no later one has done")
            return OK
        left = _count_left(database, job["job_id"])
        if not any(left.values()):
            click.echo(f"nothing to finish: job {job['job_id']} has no failed and no undone symbols")
            return OK
    tell_providers(app.settings, prices_only=job["prices_only"])
    undone = left["pending"] + left["in_progress"]
    click.echo(f"finishing job {job['job_id']}: {left['failed']:,} failed, {undone:,} undone", err=True)
    return sync_and_tell(app, _config(job))


def _chosen_job(database: "Database", job_id: int | None) -> dict[str, Any] | None:
    from optsync_pipeline.storage import sync_log

    if job_id is None:
        job_id = sync_log.newest_unfinished_job(database)
        return None if job_id is None else sync_log.read_job(database, job_id)
    job = sync_log.read_job(database, job_id)
    if job is None:
        raise CommandError(f"there is no job {job_id}: `optsync status` lists the latest")
    if sync_log.is_alive(database, job_id):
        raise CommandError(f"job {job_id} still runs: wait for it, or end it with `optsync cancel {job_id}`")
    return job


def _count_left(database: "Database", job_id: int) -> dict[str, int]:
    from optsync_pipeline.storage.table_checks import tally_job

    counts = tally_job(database, job_id).symbols_by_status
    return {status: counts.get(status, 0) for status in LEFT}


def _config(job: dict[str, Any]) -> "SyncConfig":
    from optsync_pipeline.resources import SyncConfig

    return SyncConfig(
        job_id=job["job_id"],
        retry=True,
        symbols=[],
        sync_type=job["sync_type"],
        target_dtes=job["target_dtes"],
        prices_only=job["prices_only"],
    )
