"""What follows a finished sync: a ranking."""

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.sensors import SENSORS
from optsync_pipeline.sensors.ranking import ranking_sensor
from optsync_pipeline_tests.scripted_vendor import Bench, ScriptedVendor, fails, pipeline_of
from optsync_pipeline_tests.ticks import SYMBOLS, bench, reason, requests, tick

__all__ = ["bench"]

IN_BULK = SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)


def test_without_a_new_sync_nothing_is_ranked(bench: Bench) -> None:
    assert reason(tick(ranking_sensor, bench)) == "every finished sync is ranked"


@pytest.mark.parametrize("how", ["in bulk", "as a partition"])
def test_a_finished_sync_is_ranked_however_it_was_started(how: str, bench: Bench) -> None:
    bench.sync(IN_BULK) if how == "in bulk" else bench.sync(partition="AAPL")

    (request,) = requests(tick(ranking_sensor, bench))

    assert str(request.run_key).startswith(f"{bench.job()['job_id']}@")


def test_several_syncs_are_ranked_once(bench: Bench) -> None:
    bench.sync(partition="AAPL")
    bench.sync(partition="MSFT")

    assert len(requests(tick(ranking_sensor, bench))) == 1


def test_a_sync_with_failed_symbols_is_ranked_too(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    assert len(requests(tick(ranking_sensor, bench))) == 1


def test_a_sync_that_was_ranked_is_not_ranked_again(bench: Bench) -> None:
    bench.sync(IN_BULK)
    bench.rank()

    assert reason(tick(ranking_sensor, bench)) == "every finished sync is ranked"


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_database_that_is_down_is_a_reason_and_no_traceback(sensor: dg.SensorDefinition) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    nowhere = pipeline_of(url, ScriptedVendor(), alert_urls="json://127.0.0.1:1")

    with dg.DagsterInstance.ephemeral() as instance:
        answer = sensor(dg.build_sensor_context(instance=instance, resources={"pipeline": nowhere}))

    assert isinstance(answer, dg.SkipReason)
    assert "127.0.0.1:1" in str(answer.skip_message)
