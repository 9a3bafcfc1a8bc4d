"""Evaluating sensors and schedules as the daemon does, on a Bench: what they ask for, or why they ask for nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench, pipeline_of

SYMBOLS = ["AAPL", "BRK.B", "MSFT"]


@pytest.fixture
def bench(database_url: str, database: Database, tmp_path: Path) -> Iterator[Bench]:
    """Three stocks, a vendor, and a Dagster instance in files: a schedule's context takes none in memory."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def tick(
    sensor: dg.SensorDefinition, bench: Bench, minutes_later: float = 5, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate a sensor some minutes after the syncs of the bench."""
    now = OPEN_MARKET + timedelta(minutes=minutes_later)
    context = dg.build_sensor_context(
        instance=bench.instance,
        cursor=cursor,
        resources={"pipeline": pipeline_of(_url(bench), bench.vendor, now=now)},
        definitions=bench.definitions,
    )
    answer = sensor(context)
    if isinstance(answer, dg.RunRequest):
        return dg.SensorResult(run_requests=[answer])
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def schedule_tick(
    schedule: dg.ScheduleDefinition, bench: Bench, due: datetime, **settings: Any
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate a schedule at the time at which it is due."""
    pipeline = pipeline_of(_url(bench), bench.vendor, now=due, **settings)
    with dg.build_schedule_context(
        instance=bench.instance, scheduled_execution_time=due, resources={"pipeline": pipeline}
    ) as context:
        answer = schedule(context)
    if isinstance(answer, list):
        return dg.SensorResult(run_requests=answer)
    assert isinstance(answer, dg.SkipReason)
    return answer


def requests(answer: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    """Return the runs that are asked for."""
    assert isinstance(answer, dg.SensorResult), answer
    return list(answer.run_requests or [])


def configs(answer: dg.SensorResult | dg.SkipReason) -> list[dict[str, Any]]:
    """Return the op's config of each run that is asked for."""
    return [request.run_config["ops"]["market_data"]["config"] for request in requests(answer)]


def reason(answer: dg.SensorResult | dg.SkipReason) -> str:
    """Return why nothing is asked for."""
    if isinstance(answer, dg.SensorResult):
        assert not answer.run_requests
        assert answer.skip_reason is not None
        answer = answer.skip_reason
    return str(answer.skip_message)


def _url(bench: Bench) -> str:
    url = bench.pipeline.settings.database_url
    assert url is not None
    return url.get_secret_value()
