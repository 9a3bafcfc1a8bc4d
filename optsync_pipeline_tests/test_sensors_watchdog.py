"""Syncs whose process is gone: marked failed, finished by another run, at most twice."""

import dagster as dg
import pytest

from optsync_pipeline.resources import LOCAL_RUN_TAG, SyncConfig
from optsync_pipeline.runs import this_process
from optsync_pipeline.sensors.watchdog import watchdog_sensor
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.sync_log import JobLock
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench
from optsync_pipeline_tests.ticks import SYMBOLS, bench, configs, reason, requests, tick

__all__ = ["bench"]

GONE = "{}:1:0.00".format(this_process().split(":")[0])
"""A process of this machine that is no more: nothing but the first process has the number 1, and that one is older."""


def died(bench: Bench, tags: dict[str, str] | None = None, **options: object) -> dg.DagsterRun:
    """Log a sync of three symbols whose run died after it began."""
    run = start_run(bench, tags)
    job = {"sync_type": "all", "concurrency_level": 10, "target_dtes": (30,), "now": OPEN_MARKET, **options}
    sync_log.open_job(bench.database, symbols=SYMBOLS, run_id=run.run_id, **job).release()  # type: ignore[arg-type]
    return run


def start_run(bench: Bench, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    return bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("sync_market_data"), status=dg.DagsterRunStatus.STARTED, tags=tags
    )


def after_a_minute(bench: Bench, minutes: float = 5) -> dg.SensorResult | dg.SkipReason:
    """Tick twice, a minute apart: a job has to be dead for that long."""
    first = tick(watchdog_sensor, bench, minutes)
    assert isinstance(first, dg.SensorResult)
    assert not first.run_requests
    return tick(watchdog_sensor, bench, minutes + 1, cursor=first.cursor)


def status_of(bench: Bench, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = bench.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_where_all_is_well_it_says_so(bench: Bench) -> None:
    bench.sync(SyncConfig(symbols=SYMBOLS, sync_type="all"))

    assert reason(tick(watchdog_sensor, bench)) == "every sync that is called running has its process"


def test_a_dead_job_is_finished_by_another_run(bench: Bench) -> None:
    died(bench)
    job_id = bench.job()["job_id"]

    (request,) = requests(after_a_minute(bench))

    assert request.run_config == {"ops": {"market_data": {"config": {"job_id": job_id, "sync_type": "all"}}}}
    assert request.tags["optsync/job_id"] == str(job_id)
    bench.sync(SyncConfig(job_id=job_id, sync_type="all"), tags=dict(request.tags))
    assert (bench.job()["job_id"], bench.job()["status"], bench.job()["successful_stocks"]) == (job_id, "completed", 3)
    assert bench.vendor.asked == dict.fromkeys(SYMBOLS, 1)


def test_the_run_of_a_dead_job_is_marked_failed(bench: Bench) -> None:
    run = died(bench)

    after_a_minute(bench)

    assert status_of(bench, run) == dg.DagsterRunStatus.FAILURE


def test_a_job_that_has_just_died_is_given_half_a_minute(bench: Bench) -> None:
    run = died(bench)

    assert "looked at again in half a minute" in reason(tick(watchdog_sensor, bench))
    assert status_of(bench, run) == dg.DagsterRunStatus.STARTED


def test_a_job_whose_process_took_its_lock_again_is_left_alone(bench: Bench) -> None:
    run = died(bench)
    first = tick(watchdog_sensor, bench)
    assert isinstance(first, dg.SensorResult)
    lock = JobLock(bench.database, bench.job()["job_id"])
    assert lock.acquire()

    assert "has its process" in reason(tick(watchdog_sensor, bench, 6, cursor=first.cursor))
    assert status_of(bench, run) == dg.DagsterRunStatus.STARTED
    lock.release()


def test_a_killed_optsync_sync_is_marked_failed_at_once_and_finished(bench: Bench) -> None:
    run = died(bench, {LOCAL_RUN_TAG: GONE, "dagster/max_retries": "0"})

    first = tick(watchdog_sensor, bench)

    assert isinstance(first, dg.SensorResult)
    assert run.run_id in reason(first)
    assert status_of(bench, run) == dg.DagsterRunStatus.FAILURE
    assert len(requests(tick(watchdog_sensor, bench, 6, cursor=first.cursor))) == 1


def test_an_optsync_sync_that_lives_and_lost_its_lock_is_left_alone(bench: Bench) -> None:
    run = died(bench, {LOCAL_RUN_TAG: this_process()})

    reason(after_a_minute(bench))

    assert status_of(bench, run) == dg.DagsterRunStatus.STARTED


def test_what_dagster_itself_starts_again_is_left_to_it(bench: Bench) -> None:
    run = died(bench)
    bench.instance.report_run_failed(run)
    bench.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})

    assert "Dagster's own retries" in reason(after_a_minute(bench))


@pytest.mark.parametrize("retry_number", ["1", "2"])
def test_dagsters_retries_count(retry_number: str, bench: Bench) -> None:
    run = died(bench, {"dagster/retry_number": retry_number})
    bench.instance.report_run_failed(run)

    assert len(requests(after_a_minute(bench))) == 2 - int(retry_number)


def test_a_job_is_finished_at_most_twice(bench: Bench) -> None:
    died(bench)
    job_id = bench.job()["job_id"]
    for _ in range(2):
        (request,) = requests(after_a_minute(bench))
        bench.instance.report_run_failed(start_run(bench, dict(request.tags)))

    assert requests(after_a_minute(bench)) == []
    assert bench.job()["job_id"] == job_id


def test_while_a_run_goes_on_with_a_job_no_other_is_asked_for(bench: Bench) -> None:
    died(bench)
    (request,) = requests(after_a_minute(bench))
    start_run(bench, dict(request.tags))

    assert requests(after_a_minute(bench)) == []


@pytest.mark.parametrize("how", ["terminated in the UI", "by optsync cancel"])
def test_a_sync_that_a_person_ended_stays_ended(how: str, bench: Bench) -> None:
    run = died(bench)
    if how == "by optsync cancel":
        bench.database.execute("UPDATE sync_jobs SET cancel_requested_at = now()")
    else:
        bench.instance.report_run_canceled(run)

    assert requests(after_a_minute(bench)) == []


@pytest.mark.parametrize("minutes", [24 * 60 + 1])
def test_yesterdays_job_is_left_alone(minutes: float, bench: Bench) -> None:
    died(bench)

    assert requests(after_a_minute(bench, minutes)) == []


def test_prices_alone_are_not_finished(bench: Bench) -> None:
    died(bench, prices_only=True)

    assert configs(after_a_minute(bench)) == []
