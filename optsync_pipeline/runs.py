"""What is read from Dagster's runs: which symbols are about to be synced, and which runs have no process any more.

Also the tags that runs without a person behind them carry: dagster.yaml limits runs by them. What starts runs is in
schedules/, sensors/ and local_runs.py; what a sync is told is resources.py's.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import psutil

from optsync_pipeline import partitions
from optsync_pipeline.resources import LOCAL_RUN_TAG, MARKET_DATA_OP
from optsync_pipeline.storage import job_watch, sync_log
from optsync_pipeline.storage.database import Database

UNATTENDED_TAG = "optsync/unattended"
"""Marks syncs that no person waits for; dagster.yaml keeps them from taking every slot. The value says what started."""

JOB_TAG = "optsync/job_id"
"""Names the job of sync_jobs that a run goes on with: dagster.yaml lets a job have one such run at a time."""

PRIORITY_TAG = "dagster/priority"
REFRESH_PRIORITY = 10
DAILY_PRIORITY = 2
WATCHED_PRIORITY = 1
REASK_PRIORITY = -1
"""Queued runs start in the order of their priority: a person's request, the daily sync, the watched stocks; backfills
and the rest have 0, and whoever failed waits behind those that were not asked at all."""

UNFINISHED = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
TO_COME = [dg.DagsterRunStatus.QUEUED, *UNFINISHED]
START_TOLERANCE_SECONDS = 2.0  # a clock that is set moves the start that the system tells


def unattended_tags(started_by: str, priority: int, **more: str) -> dict[str, str]:
    """Return the tags of a sync that no person waits for. more: tags of our own, named without their prefix."""
    own = {f"optsync/{name}": value for name, value in more.items()}
    return {UNATTENDED_TAG: started_by, PRIORITY_TAG: str(priority), **own}


def symbols_taken(instance: dg.DagsterInstance, database: Database) -> set[str]:
    """Return the symbols that a sync is doing, or that a run in the queue or just starting is going to do."""
    return sync_log.symbols_under_way(database) | symbols_to_come(instance, database)


def symbols_to_come(
    instance: dg.DagsterInstance, database: Database, tags: Mapping[str, str] | None = None
) -> set[str]:
    """Return the symbols of runs that are queued or have opened no job yet; with tags: of those runs that have them.

    A run that continues a job without naming symbols is about what that job has left.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=TO_COME, tags=tags))
    begun = job_watch.runs_with_a_job(database, [run.run_id for run in runs])
    keys: Sequence[str] | None = None
    found: set[str] = set()
    for run in runs:
        config = _sync_config(run)
        if run.run_id in begun or config is None:
            continue
        found.update(config.get("symbols", ()))
        if "dagster/partition" in run.tags:
            found.add(run.tags["dagster/partition"])
        if "dagster/asset_partition_range_start" in run.tags:
            keys = keys if keys is not None else instance.get_dynamic_partitions(partitions.DIMENSION)
            found.update(_range(keys, run.tags))
        elif not config.get("symbols") and config.get("job_id") and "dagster/partition" not in run.tags:
            found.update(job_watch.unfinished_symbols(database, config["job_id"]))
    return found


def _sync_config(run: dg.DagsterRun) -> dict[str, Any] | None:
    """Return the config of a run's sync; None where the run is no sync: a ranking, or assets of somebody else."""
    ops: Any = run.run_config.get("ops") or {}
    if (op := ops.get(MARKET_DATA_OP)) is not None:
        return dict(op.get("config", {}))
    names_no_config = run.job_name == "sync_market_data" or (
        run.asset_selection is not None and dg.AssetKey("option_chains") in run.asset_selection
    )
    return {} if names_no_config else None


def _range(keys: Sequence[str], tags: Mapping[str, str]) -> Sequence[str]:
    """Return the partitions of a range, which has the order in which they were added."""
    ends = (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
    if not set(ends) <= set(keys):  # one was deleted since: the run will say so itself
        return [key for key in ends if key in keys]
    first, last = (keys.index(end) for end in ends)
    return keys[first : last + 1]


def count_runs(instance: dg.DagsterInstance, tags: dict[str, str], *, unfinished: bool = False) -> int:
    """Count the runs with these tags, all of them or those that have not ended."""
    return instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=TO_COME if unfinished else None))


def report_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process on this machine is gone (kill -9, power cut); return their ids.

    Nobody else can tell: to Dagster a run in process is alive until it says otherwise, and it would hold its place in
    the pool for ever.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        process = run.tags.get(LOCAL_RUN_TAG)
        if process is not None and is_gone(process):
            instance.report_run_failed(run, "The process that ran it is gone without a word (killed?).")
            dead.append(run.run_id)
    return dead


def this_process() -> str:
    """Name this process, as LOCAL_RUN_TAG's value does."""
    process = psutil.Process()
    # With its start, because process ids are used again.
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def is_gone(name: str) -> bool:
    """Whether a process of this machine, named as LOCAL_RUN_TAG does, has ended. Of other machines': never."""
    host, pid, started = name.rsplit(":", 2)
    return host == socket.gethostname() and living_process(int(pid), float(started)) is None


def living_process(pid: int, started: float) -> psutil.Process | None:
    """Return the process with that id and start (seconds since 1970), or None where it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < START_TOLERANCE_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def missing_partitions(instance: dg.DagsterInstance, symbols: Iterable[str]) -> list[str]:
    """Return those of the symbols that have no partition yet."""
    known = set(instance.get_dynamic_partitions(partitions.DIMENSION))
    return [symbol for symbol in symbols if symbol not in known]
