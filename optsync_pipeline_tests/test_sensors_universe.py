"""The sensor that keeps Dagster's partitions equal to the active stocks."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from optsync_pipeline.partitions import DIMENSION
from optsync_pipeline.sensors import universe
from optsync_pipeline.sensors.universe import universe_sensor
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.scripted_vendor import Bench, ScriptedVendor, pipeline_of

SYMBOLS = ["AAPL", "BRK.B", "MSFT"]


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def tick(bench: Bench) -> str:
    """Evaluate the sensor as the daemon does; return what it says."""
    context = dg.build_sensor_context(instance=bench.instance, resources={"pipeline": bench.pipeline})
    answer = universe_sensor(context)
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def keys(bench: Bench) -> list[str]:
    return sorted(bench.instance.get_dynamic_partitions(DIMENSION))


def test_equal_lists_are_left_alone(bench: Bench) -> None:
    assert tick(bench) == "the partitions are the 3 active stocks"


def test_a_whole_universe_gets_its_partitions_in_one_statement(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = [f"S{number}" for number in range(12_050 - len(SYMBOLS))]
    stocks.upsert_stocks(bench.database, [{"symbol": symbol} for symbol in symbols])
    calls = []
    add = bench.instance.add_dynamic_partitions

    def counted(name: str, partition_keys: list[str]) -> None:
        calls.append(len(partition_keys))
        add(name, partition_keys)

    monkeypatch.setattr(bench.instance, "add_dynamic_partitions", counted)

    assert tick(bench) == "partitions: 12,047 added, 0 deleted; no run is needed"
    assert len(keys(bench)) == 12_050
    assert calls == [12_047]
    assert tick(bench) == "the partitions are the 12,050 active stocks"


def test_an_inactive_stock_loses_its_partition_and_keeps_its_history(bench: Bench) -> None:
    bench.sync(partition="MSFT")
    stocks.deactivate(bench.database, ["MSFT"], datetime.now(UTC))

    assert tick(bench) == "partitions: 0 added, 1 deleted; no run is needed"
    assert keys(bench) == ["AAPL", "BRK.B"]
    assert bench.database.fetch_all("SELECT symbol FROM stock_data") == [{"symbol": "MSFT"}]
    records = bench.instance.fetch_materializations(dg.AssetKey("stock_premiums"), limit=10).records
    assert [record.partition_key for record in records] == ["MSFT"]
    assert [result["status"] for result in bench.database.fetch_all("SELECT status FROM sync_stock_results")] == [
        "success"
    ]


def test_what_one_evaluation_has_no_time_to_delete_goes_with_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(universe, "MAX_DELETED_AT_ONCE", 2)
    stocks.deactivate(bench.database, SYMBOLS, datetime.now(UTC))

    assert tick(bench) == "partitions: 0 added, 2 deleted, 1 more are to go; no run is needed"
    assert tick(bench) == "partitions: 0 added, 1 deleted; no run is needed"
    assert keys(bench) == []


def test_a_database_that_is_down_is_a_reason_and_changes_nothing() -> None:
    nowhere = pipeline_of("postgresql://nobody@127.0.0.1:1/none", ScriptedVendor())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(DIMENSION, ["AAPL"])
        answer = universe_sensor(dg.build_sensor_context(instance=instance, resources={"pipeline": nowhere}))

        assert isinstance(answer, dg.SkipReason)
        assert "127.0.0.1:1" in str(answer.skip_message)
        assert instance.get_dynamic_partitions(DIMENSION) == ["AAPL"]
