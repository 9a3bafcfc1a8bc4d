"""The partitions definition that all market assets share."""

import dagster as dg

from optsync_pipeline import partitions


def test_symbols_are_added_to_a_running_instance_under_the_dimensions_name() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(partitions.DIMENSION, ["AAPL", "BRK.B"])

        assert partitions.symbols.get_partition_keys(dynamic_partitions_store=instance) == ["AAPL", "BRK.B"]
