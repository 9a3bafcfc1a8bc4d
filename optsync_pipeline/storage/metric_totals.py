"""Counters that only grow, whatever becomes of old jobs: what syncs add to them, in the table metric_totals.

Requests and 429s are counted in api_rate_limits already. How the figures are shown is metrics/'s.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from optsync_pipeline.storage.database import Database

ATTEMPT_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 300.0)
"""Upper bounds in seconds. An answer takes a second or less; 25 s is our timeout; above, waits between tries."""

WRITE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; a chunk of 100 symbols takes some 0.3 s."""

BEYOND = "+Inf"
Key = tuple[str, str, str]


def add_chunk(database: Database, results: Sequence[Mapping[str, Any]], *, write_seconds: float, rows: int) -> None:
    """Count a chunk that is committed: its rows of sync_stock_results, the rows it wrote and how long that took.

    After the commit, so that no two syncs wait for each other's transactions; a process that is killed in between has
    one chunk less in its counters.
    """
    added = _of_results(results)
    added["chunk_write_seconds", "", bucket_of(write_seconds, WRITE_BUCKETS)] += 1
    added["chunk_write_seconds_sum", "", ""] += write_seconds
    added["rows_written", "", ""] += rows
    kept = [(key, amount) for key, amount in added.items() if amount > 0]
    columns = {
        "metrics": [metric for (metric, _, _), _ in kept],
        "providers": [provider for (_, provider, _), _ in kept],
        "kinds": [kind for (_, _, kind), _ in kept],
        "amounts": [amount for _, amount in kept],
    }
    database.execute("add_metric_totals", columns)


def bucket_of(seconds: float, bounds: Sequence[float]) -> str:
    """Return the upper bound of the bucket that a duration falls into, as metric_totals.kind has it."""
    place = bisect_left(bounds, seconds)
    return str(bounds[place]) if place < len(bounds) else BEYOND


def _of_results(results: Sequence[Mapping[str, Any]]) -> dict[Key, float]:
    added: dict[Key, float] = defaultdict(float)
    for result in results:
        added["symbols", "", result["status"]] += 1
        added["retries", "", ""] += result["retry_count"]
        if result["status"] == "failed":
            added["symbol_failures", "", result["error_type"]] += 1
        for attempt in result["attempts"]:
            provider, seconds = attempt["provider"], attempt["duration_ms"] / 1000
            if attempt["error_type"] is not None:
                added["provider_errors", provider, attempt["error_type"]] += 1
            # A bulk request is told once, by its first symbol; who was passed over was not asked.
            if attempt["requests"] > 0:
                added["attempt_seconds", provider, bucket_of(seconds, ATTEMPT_BUCKETS)] += 1
                added["attempt_seconds_sum", provider, ""] += seconds
    return added
