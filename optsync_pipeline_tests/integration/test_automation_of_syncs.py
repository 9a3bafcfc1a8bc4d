"""What runs by itself while `optsync up` runs: daemon, queue, limits and sensors are the real ones, beside each other.

One installation for all tests of this file, and everything that takes its time is begun before the first: a sync on
a terminal is killed, a symbol fails and heals, backfills fill the queue, and a full sync runs slowly.
"""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pytest

from optsync_pipeline.runs import DAILY_PRIORITY, unattended_tags
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline_tests.commands import start_program
from optsync_pipeline_tests.recovery import assert_whole, done_symbols, kill
from optsync_pipeline_tests.unattended import Unattended, running_unattended, spans, wait_for

BACKFILLS = 3


@dataclass
class Story:
    """What was begun: the runs, the symbols that they are about, the job of the sync that was killed."""

    place: Unattended
    full: list[str]
    full_run: str
    backfill_runs: list[str]
    healed: str
    healing_run: str
    killed: list[str]
    killed_job: int


@pytest.fixture(scope="module")
def story(postgres_server: EmbeddedPostgres) -> Iterator[Story]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_unattended(postgres_server, port, symbols=40) as place:
        yield begin(place)


def begin(place: Unattended) -> Story:
    """Begin everything that the tests look at."""
    place.instance.add_dynamic_partitions("symbol", place.sandbox.symbols())
    # In the order of the partitions, which the universe's sensor may have made before: backfills are ranges of it.
    names = list(place.instance.get_dynamic_partitions("symbol"))
    filled, failing, killed, full = names[:8], names[8:10], names[10:16], names[16:]
    place.sandbox.fault("connection_reset", symbol=failing[0])
    healing_run = place.launch({"symbols": failing, "sync_type": "symbols", "tries": 1})
    killed_job = killed_sync(place, killed)
    wait_for(lambda: place.status(healing_run) == "FAILURE", "the sync with a bad symbol ended")
    place.sandbox.clear_faults()
    # Held up at symbols that nobody answers for: with one call at once, it does not come to those behind them.
    for symbol in full[2:6]:
        place.sandbox.fault("timeout", symbol=symbol, seconds=600)
    backfill_runs = [
        place.launch(
            {},
            {
                "dagster/backfill": f"backfill{number}",
                "dagster/asset_partition_range_start": filled[2 * number],
                "dagster/asset_partition_range_end": filled[2 * number + 1],
            },
        )
        for number in range(BACKFILLS)
    ]
    config = {"symbols": full, "sync_type": "all", "concurrency": 1}
    full_run = place.launch(config, unattended_tags("daily_market_sync", DAILY_PRIORITY, shard="1-of-1"))
    return Story(place, full, full_run, backfill_runs, failing[0], healing_run, killed, killed_job)


def killed_sync(place: Unattended, symbols: list[str]) -> int:
    """Kill `optsync sync` when it has written something; return its job."""
    for symbol in symbols[2:]:
        place.sandbox.fault("timeout", symbol=symbol, seconds=600)
    process = start_program("sync", *symbols, settings=place.environment)

    def begun() -> int | None:
        rows = place.database.fetch_all(
            "SELECT job_id FROM sync_stock_results WHERE symbol = ANY(%s) AND status = 'success'", (symbols,)
        )
        return int(rows[0]["job_id"]) if rows else None

    job_id: int = wait_for(begun, "a symbol of `optsync sync` was written")
    kill(process)
    return job_id


def is_finished(place: Unattended, job_id: int) -> bool:
    job = sync_log.read_job(place.database, job_id)
    return job is not None and job["status"] == "completed" and not sync_log.is_alive(place.database, job_id)


def test_a_refresh_overtakes_a_running_full_sync(story: Story) -> None:
    place, wanted = story.place, story.full[-1]
    wait_for(
        lambda: (job := place.job_of(story.full_run)) and len(done_symbols(place.database, job["job_id"])) >= 2,
        "the full sync has done its first symbols and is held up",
    )

    asked = run_refresh(place, wanted)

    (job,) = wait_for(lambda: [job for job in place.jobs("refresh") if job["status"] == "completed"], "a refresh")
    assert (job["successful_stocks"], job["failed_stocks"]) == (1, 0)
    assert place.status(story.full_run) == "STARTED"
    full = place.job_of(story.full_run)
    assert full is not None
    assert wanted not in done_symbols(place.database, full["job_id"])
    print(f"the refresh's sync began {(job['started_at'] - asked).total_seconds():.1f} s after it was asked for")


def run_refresh(place: Unattended, symbol: str) -> datetime:
    """Ask for a refresh as a person does; return when."""
    place.database.execute("INSERT INTO refresh_requests (symbol, requested_at) VALUES (%s, now())", (symbol,))
    row = place.database.fetch_one("SELECT requested_at FROM refresh_requests ORDER BY request_id DESC LIMIT 1")
    assert row is not None
    asked: datetime = row["requested_at"]
    return asked


def test_a_full_sync_starts_beside_backfills_that_start_one_after_the_other(story: Story) -> None:
    place = story.place
    wait_for(lambda: all(place.status(run) == "SUCCESS" for run in story.backfill_runs), "the backfills ended")

    worked = spans([place.run(run) for run in story.backfill_runs])

    assert all(end <= start for (_, end), (start, _) in pairwise(worked))
    full_start = place.run(story.full_run).start_time
    assert full_start is not None
    assert full_start < worked[-1][0]  # asked for after all of them


def test_a_full_sync_whose_process_is_killed_is_finished_by_itself(story: Story) -> None:
    place = story.place
    job = place.job_of(story.full_run)
    assert job is not None
    assert job["status"] == "running"
    place.sandbox.reset_requests()
    done = done_symbols(place.database, job["job_id"])
    os.kill(place.process_of(story.full_run), signal.SIGKILL)
    place.sandbox.clear_faults()

    wait_for(lambda: is_finished(place, job["job_id"]), "the killed full sync was finished")
    assert_whole(place.database, place.sandbox, story.full, job["job_id"])
    assert not done & set(place.sandbox.requests("yahoo")["by_symbol"])
    assert place.status(story.full_run) == "FAILURE"
    last = sync_log.read_job(place.database, job["job_id"])
    assert last is not None
    assert place.run(last["run_id"]).dagster_run.parent_run_id == story.full_run


def test_a_killed_optsync_sync_is_finished_by_the_watchdog(story: Story) -> None:
    place = story.place

    wait_for(lambda: is_finished(place, story.killed_job), "the watchdog finished what `optsync sync` began")
    assert_whole(place.database, place.sandbox, story.killed, story.killed_job)
    job = sync_log.read_job(place.database, story.killed_job)
    assert job is not None
    assert place.run(job["run_id"]).dagster_run.tags["optsync/unattended"] == "watchdog_sensor"


def test_a_failed_symbol_is_asked_again_as_its_own_partition_and_turns_green(story: Story) -> None:
    place = story.place
    job = place.job_of(story.healing_run)
    assert job is not None

    def healed() -> bool:
        return done_symbols(place.database, job["job_id"]) >= {story.healed}

    wait_for(healed, "the failed symbol was asked again")
    again = sync_log.read_job(place.database, job["job_id"])
    assert again is not None
    assert again["reask_rounds"] == 1


def test_every_sync_is_followed_by_a_ranking(story: Story) -> None:
    place = story.place
    wait_for(lambda: not sync_log.jobs_to_rank(place.database), "every finished sync was ranked")


def test_no_symbol_was_synced_by_two_jobs_that_nobody_asked_for(story: Story) -> None:
    rows = story.place.database.fetch_all("SELECT symbol FROM sync_stock_results")
    doubled = {symbol for symbol, times in Counter(row["symbol"] for row in rows).items() if times > 1}
    assert doubled == {story.full[-1]}  # the one that a person asked for
