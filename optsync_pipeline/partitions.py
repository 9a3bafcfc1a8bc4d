"""The one partitions definition: a partition is a stock symbol.

Dynamic, because the universe changes while the pipeline runs (`optsync stocks add`), and because 12,050 static keys
would make the code location's snapshot ten times larger. Keys are our own spelling of symbols (`BRK.B`).
"""

import dagster as dg

DIMENSION = "symbol"
"""The name under which a Dagster instance keeps the keys: `instance.add_dynamic_partitions(DIMENSION, [...])`."""

symbols = dg.DynamicPartitionsDefinition(name=DIMENSION)
