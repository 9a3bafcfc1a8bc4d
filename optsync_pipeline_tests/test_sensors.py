"""What follows a finished sync: a ranking, and another asking of the few symbols that failed."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from optsync_pipeline.resources import SyncConfig
from optsync_pipeline.sensors import failed_symbols_sensor, ranking_sensor
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import OPEN_MARKET, Bench, ScriptedVendor, fails, pipeline_of

SYMBOLS = ["AAPL", "BRK.B", "MSFT"]
IN_BULK = SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def tick(sensor: dg.SensorDefinition, bench: Bench, minutes_later: int = 5) -> dg.SensorResult | dg.SkipReason:
    """Evaluate a sensor as the daemon does, some minutes after the sync."""
    url = bench.pipeline.settings.database_url
    assert url is not None
    now = OPEN_MARKET + timedelta(minutes=minutes_later)
    pipeline = pipeline_of(url.get_secret_value(), bench.vendor, now=now)
    context = dg.build_sensor_context(
        instance=bench.instance, resources={"pipeline": pipeline}, definitions=bench.definitions
    )
    answer = sensor(context)
    if isinstance(answer, dg.RunRequest):
        return dg.SensorResult(run_requests=[answer])
    assert isinstance(answer, dg.SensorResult | dg.SkipReason)
    return answer


def requests(answer: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    """Return the runs that a sensor asks for."""
    assert isinstance(answer, dg.SensorResult)
    return list(answer.run_requests or [])


def reason(answer: dg.SensorResult | dg.SkipReason) -> str:
    """Return why a sensor asks for nothing."""
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


# -- the ranking -------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("sensor", [ranking_sensor, failed_symbols_sensor])
def test_a_database_that_is_down_is_a_reason_and_no_traceback(sensor: dg.SensorDefinition) -> None:
    nowhere = pipeline_of("postgresql://nobody@127.0.0.1:1/none", ScriptedVendor())

    answer = sensor(dg.build_sensor_context(resources={"pipeline": nowhere}))

    assert isinstance(answer, dg.SkipReason)
    assert "127.0.0.1:1" in str(answer.skip_message)


# -- failed symbols ----------------------------------------------------------------------------------------------------


def test_each_failed_symbol_of_a_bulk_sync_gets_a_run_with_its_partition(bench: Bench) -> None:
    bench.vendor.faults |= {"AAPL": fails("AAPL"), "MSFT": fails("MSFT")}
    bench.sync(IN_BULK)
    job_id = bench.job()["job_id"]

    asked = requests(tick(failed_symbols_sensor, bench))

    assert [request.partition_key for request in asked] == ["AAPL", "MSFT"]
    assert asked[0].run_config == {
        "ops": {"market_data": {"config": {"job_id": job_id, "target_dtes": [30], "tries": 1}}}
    }
    assert asked[0].tags["optsync/job_id"] == str(job_id)


def test_failed_symbols_are_asked_again_once(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    tick(failed_symbols_sensor, bench)

    assert "that were not asked again" in reason(tick(failed_symbols_sensor, bench))


def test_a_sync_that_ended_just_now_is_left_to_the_command_that_started_it(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    assert isinstance(tick(failed_symbols_sensor, bench, minutes_later=0), dg.SkipReason)


def test_a_failed_partition_is_not_asked_again(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(SyncConfig(tries=1), partition="MSFT")

    assert isinstance(tick(failed_symbols_sensor, bench), dg.SkipReason)


def test_more_than_fifty_failed_symbols_are_one_fault_and_not_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_pipeline.sensors.MAX_REASKED_SYMBOLS", 2)
    bench.vendor.faults |= {symbol: fails(symbol) for symbol in SYMBOLS}
    bench.sync(IN_BULK)

    assert "at most 2 of them" in reason(tick(failed_symbols_sensor, bench))


def test_failed_symbols_that_somebody_else_asks_again_are_left_to_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)
    list_failed = sync_log.failed_symbols

    def claimed_meanwhile(database: Database, job_id: int) -> list[str]:
        assert sync_log.claim_reask(database, job_id, OPEN_MARKET)
        return list_failed(database, job_id)

    monkeypatch.setattr(sync_log, "failed_symbols", claimed_meanwhile)

    assert "somebody else" in reason(tick(failed_symbols_sensor, bench))


def test_a_symbol_without_a_partition_gets_one_first(bench: Bench) -> None:
    bench.instance.delete_dynamic_partition("symbol", "MSFT")
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.sync(IN_BULK)

    answer = tick(failed_symbols_sensor, bench)

    assert isinstance(answer, dg.SensorResult)
    assert [list(add.partition_keys) for add in answer.dynamic_partitions_requests or []] == [["MSFT"]]
