"""Syncs whose process is gone without a word: their runs are marked failed, and their jobs finished by another run.

Three watch over a run. Dagster's code server sees at once that a run's process ended, and run retries (dagster.yaml)
start it again. Run monitoring ends what never starts or never stops. What neither can see is left to this sensor:
`optsync sync` on a terminal, a machine that lost its power, a run whose retries are spent.
"""

import json
from datetime import datetime, timedelta

import dagster as dg

from optsync_pipeline.resources import LOCAL_RUN_TAG, PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.runs import (
    DAILY_PRIORITY,
    JOB_TAG,
    TO_COME,
    UNATTENDED_TAG,
    count_runs,
    is_gone,
    report_dead_runs,
    symbols_taken,
    unattended_tags,
)
from optsync_pipeline.storage import job_watch, sync_log
from optsync_pipeline.storage.errors import StorageError

INTERVAL_SECONDS = 30
MAX_CONTINUATIONS = 2
"""A job that killed three processes would kill the fourth too."""

GRACE = timedelta(seconds=30)
"""A process whose database restarts loses its lock and takes it again; Dagster's own retries need a moment as well."""

CONTINUED_FOR = timedelta(days=1)
"""An older job is of no use to anybody: the daily sync has its symbols."""

NAME = "watchdog_sensor"


@dg.sensor(
    name=NAME,
    job_name="sync_market_data",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finishes syncs whose process died (kill -9, power cut, out of memory), also those of `optsync sync`: "
    "half a minute after it is gone its run is marked failed, and a new run does what is left of its job, at most "
    f"{MAX_CONTINUATIONS} times. What was fetched is not fetched again. Syncs that a person ended stay ended. Switched "
    "off: `optsync retry` finishes a job, and the next full sync has its symbols.",
)
def watchdog_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Mark dead runs as failed; ask for a run that goes on with each job that has been dead for a while."""
    now = pipeline.clock()
    dead_runs = report_dead_runs(context.instance)
    try:
        with pipeline.open_database() as database:
            jobs = job_watch.dead_jobs(database, not_before=now - CONTINUED_FOR)
            seen = _first_seen(context.cursor, jobs, now)
            taken = symbols_taken(context.instance, database) if jobs else set()
            due = [
                job
                for job in jobs
                if now - seen[job["job_id"]] >= GRACE
                and taken.isdisjoint(job_watch.unfinished_symbols(database, job["job_id"]))
            ]
    except StorageError as error:
        return dg.SkipReason(str(error))
    requests = [request for job in due if (request := _continuation(context.instance, job)) is not None]
    waiting = [job["job_id"] for job in jobs if job not in due]
    told = [
        f"runs without a process, now marked failed: {', '.join(dead_runs)}" if dead_runs else "",
        f"sync jobs without a process, looked at again in half a minute: {waiting}" if waiting else "",
        "every sync that is called running has its process" if not (dead_runs or jobs) else "",
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason="; ".join(filter(None, told)) or "Dagster's own retries go on with what died, or it is given up"
        if not requests
        else None,
        cursor=json.dumps({job_id: first.isoformat() for job_id, first in seen.items()}),
    )


def _first_seen(cursor: str | None, jobs: list[sync_log.Row], now: datetime) -> dict[int, datetime]:
    """Return since when each job is known to be dead: as the cursor remembers it, or since it was found dead before."""
    before = {int(job_id): datetime.fromisoformat(first) for job_id, first in json.loads(cursor or "{}").items()}
    return {job["job_id"]: before.get(job["job_id"], job["died_at"] or now) for job in jobs}


def _continuation(instance: dg.DagsterInstance, job: sync_log.Row) -> dg.RunRequest | None:
    """Return the run that goes on with a dead job; None where Dagster does it, or where it was tried often enough."""
    job_id = job["job_id"]
    if job["cancel_requested_at"] is not None:
        return None
    run = instance.get_run_by_id(job["run_id"]) if job["run_id"] else None
    if run is not None and run.status in TO_COME:
        if LOCAL_RUN_TAG in run.tags and not is_gone(run.tags[LOCAL_RUN_TAG]):
            return None
        # Its retry, where it gets one, is seen at the next tick.
        instance.report_run_failed(run, f"Nobody holds sync job {job_id} any more: the process of this run is gone.")
        run = instance.get_run_by_id(run.run_id)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        return None
    if run is not None and run.tags.get("dagster/will_retry") == "true":
        retry = instance.get_run_by_id(run.tags.get("dagster/auto_retry_run_id", ""))
        if retry is None or retry.status in TO_COME:
            return None
    tags = {JOB_TAG: str(job_id), UNATTENDED_TAG: NAME}
    if count_runs(instance, tags, unfinished=True):
        return None
    retries = int(run.tags.get("dagster/retry_number", "0")) if run is not None else 0
    continued = count_runs(instance, tags)
    if retries + continued >= MAX_CONTINUATIONS:
        return None
    return dg.RunRequest(
        run_key=f"continue:{job_id}:{continued + 1}",
        run_config=sync_run_config(SyncConfig(job_id=job_id, sync_type=job["sync_type"])),
        # Dagster is not to retry it: this sensor counts.
        tags={**tags, **unattended_tags(NAME, DAILY_PRIORITY), "dagster/max_retries": "0"},
    )
