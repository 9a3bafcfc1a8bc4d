"""The one partitions definition: a partition is a stock symbol.

Dynamic, because the universe changes while the pipeline runs (`optsync stocks add`), and because 12,050 static keys
would make the code location's snapshot ten times larger. Keys are our own spelling of symbols (`BRK.B`).
"""

from collections.abc import Iterable
from typing import NamedTuple

import dagster as dg

DIMENSION = "symbol"
"""The name under which a Dagster instance keeps the keys: `instance.add_dynamic_partitions(DIMENSION, [...])`."""

symbols = dg.DynamicPartitionsDefinition(name=DIMENSION)


class PartitionChanges(NamedTuple):
    """What makes the partitions those of the active stocks: keys to add and keys to delete, sorted."""

    missing: list[str]
    gone: list[str]


def partition_changes(active: Iterable[str], known: Iterable[str]) -> PartitionChanges:
    """Compare the active stocks with the keys that an instance has. What happened on a deleted key stays recorded."""
    wanted, present = set(active), set(known)
    return PartitionChanges(sorted(wanted - present), sorted(present - wanted))
