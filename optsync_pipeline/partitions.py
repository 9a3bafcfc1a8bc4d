"""The one partitions definition: a partition is a stock symbol.

Dynamic, because the universe changes while the pipeline runs (`optsync stocks add`), and because 12,050 static keys
would make the code location's snapshot ten times larger. Keys are our own spelling of symbols (`BRK.B`).
"""

import dagster as dg

symbols = dg.DynamicPartitionsDefinition(name="symbol")
