"""The partitions definition that all market assets share."""

import dagster as dg

from optsync_pipeline import partitions


def test_symbols_are_added_to_a_running_instance_under_the_dimensions_name() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(partitions.DIMENSION, ["AAPL", "BRK.B"])

        assert partitions.symbols.get_partition_keys(dynamic_partitions_store=instance) == ["AAPL", "BRK.B"]


def test_changes_are_what_is_missing_and_what_is_gone() -> None:
    assert partitions.partition_changes(["MSFT", "AAPL", "NVDA"], ["NVDA", "GONE"]) == (["AAPL", "MSFT"], ["GONE"])
    assert partitions.partition_changes(["AAPL"], ["AAPL"]) == ([], [])
