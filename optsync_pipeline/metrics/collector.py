"""Figures as Prometheus' families. Names, labels and meanings: docs/operations.md (a test holds the two together).

Counters come from tables that only grow, so that neither a restart nor the deletion of old jobs sets one back.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from optsync_pipeline.metrics.reading import Readings
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.storage.metric_readings import Figures
from optsync_pipeline.storage.metric_totals import ATTEMPT_BUCKETS, BEYOND, WRITE_BUCKETS

CIRCUIT_STATES = ("closed", "open", "half_open")
SYNC_LABELS = ("sync_type", "fetches")

Samples = Iterable[tuple[Sequence[str], float | None]]


class OptsyncCollector(Collector):
    """Reads the figures at each scrape; where the database cannot be read, only optsync_up (0) is told."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        try:
            figures = self._readings.figures()
        except StorageError:
            figures = None
        yield _gauge("up", "Whether the database could be read.", (), [((), 0 if figures is None else 1)])
        yield _gauge(
            "build_info", "1, with the version of optsync.", ("version",), [((version("optsync-pipeline"),), 1)]
        )
        if figures is not None:
            yield from _counted(figures.totals)
            yield from _providers(figures)
            yield from _syncs(figures)
            yield from _stored(figures)


def _counted(totals: Mapping[tuple[str, str, str], float]) -> Iterator[Metric]:
    def by_kind(metric: str) -> Samples:
        return [((kind,), total) for (name, _, kind), total in sorted(totals.items()) if name == metric]

    def alone(metric: str) -> Samples:
        return [((), totals.get((metric, "", ""), 0.0))]

    yield _counter("symbols", "Symbols that syncs are done with.", ("status",), by_kind("symbols"))
    yield _counter("symbol_failures", "Symbols that failed.", ("error_type",), by_kind("symbol_failures"))
    yield _counter("retries", "Tries after the first of a provider for a symbol.", (), alone("retries"))
    errors = [((who, kind), total) for (name, who, kind), total in sorted(totals.items()) if name == "provider_errors"]
    about = "Symbols for which an error was a provider's last word."
    yield _counter("provider_errors", about, ("provider", "error_type"), errors)
    about = "Seconds that a provider took for a symbol (in bulk: for a request), tries and waits between them included."
    who_answered = sorted({who for name, who, _ in totals if name == "attempt_seconds"})
    yield _histogram("provider_attempt_seconds", about, "attempt_seconds", ATTEMPT_BUCKETS, totals, who_answered)
    about = "Seconds that the transaction of a chunk of symbols took."
    yield _histogram("chunk_write_seconds", about, "chunk_write_seconds", WRITE_BUCKETS, totals)
    about = "Rows of quotes, bars, chains and premiums written."
    yield _counter("rows_written", about, (), alone("rows_written"))


def _providers(figures: Figures) -> Iterator[Metric]:
    def each(field: str) -> Samples:
        return [((state.provider,), float(getattr(state, field))) for state in figures.providers]

    label = ("provider",)
    yield _counter("provider_requests", "HTTP requests.", label, each("total_requests"))
    yield _counter("provider_rate_limited", "Answers with status 429.", label, each("rate_limited_count"))
    yield _gauge(
        "provider_circuit_state",
        "1 for the state that the provider's breaker is in.",
        ("provider", "state"),
        [
            ((one.provider, state), float(one.circuit_state == state))
            for one in figures.providers
            for state in CIRCUIT_STATES
        ],
    )
    gauges = {
        "provider_requests_per_minute": ("current_requests_per_minute", "What is allowed in a minute now."),
        "provider_requests_per_minute_max": ("max_requests_per_minute", "What is allowed in a minute at most."),
        "provider_requests_left_hour": ("left_this_hour", "What the last 60 minutes leave of the hour's limit."),
        "provider_paused_seconds": ("paused_seconds", "How long nobody asks the provider, because it answered 429."),
        "provider_consecutive_failures": ("consecutive_failures", "Requests that failed since the last good reply."),
    }
    for name, (field, about) in gauges.items():
        yield _gauge(name, about, label, each(field))


def _syncs(figures: Figures) -> Iterator[Metric]:
    syncs = [((row["sync_type"], "prices" if row["prices_only"] else "chains"), row) for row in figures.last_syncs]
    yield _gauge(
        "last_sync_success_ratio",
        "Share of the symbols of the last finished sync that are done: written, or proven to have nothing.",
        SYNC_LABELS,
        [(labels, _share(row)) for labels, row in syncs],
    )
    yield _gauge(
        "last_sync_symbols",
        "Symbols of the last finished sync by what became of them.",
        (*SYNC_LABELS, "status"),
        [
            ((*labels, status), row[column])
            for labels, row in syncs
            for status, column in (
                ("success", "successful_stocks"),
                ("failed", "failed_stocks"),
                ("skipped", "skipped_stocks"),
            )
        ],
    )
    about = "How long the last finished sync worked."
    yield _gauge("last_sync_duration_seconds", about, SYNC_LABELS, [(at, row["duration_seconds"]) for at, row in syncs])
    ends = [(labels, _epoch(row["completed_at"])) for labels, row in syncs]
    about = "When the last finished sync ended, in seconds since 1970."
    yield _gauge("last_sync_completed_timestamp_seconds", about, SYNC_LABELS, ends)
    running = figures.running
    about = "Syncs that did not end: running, or dead (their process is gone; the next sync tidies up)."
    yield _gauge("sync_jobs", about, ("state",), [(("running",), running["alive"]), (("dead",), running["dead"])])
    statuses = ("success", "failed", "skipped", "in_progress", "pending")
    about = "Symbols of the running syncs by what became of them so far."
    yield _gauge("running_sync_symbols", about, ("status",), [((status,), running[status]) for status in statuses])


def _stored(figures: Figures) -> Iterator[Metric]:
    ages = figures.ages
    about = "Seconds by the clock since the quotes of the active stocks: of the newest, the median, the oldest."
    which = ("newest", "median", "oldest")
    yield _gauge("quote_wall_age_seconds", about, ("quote",), [((name,), ages[name]) for name in which])
    yield _gauge("ranking_wall_age_seconds", "Seconds by the clock since the ranking.", (), [((), ages["ranking"])])
    yield _gauge("active_stocks", "Stocks that are synced.", (), [((), ages["stocks"])])
    yield _gauge("stocks_without_quote", "Those that have no quote yet.", (), [((), ages["without_quote"])])
    about = "Those without a quote, or with one from before the session before the latest."
    yield _gauge("stale_stocks", about, (), [((), ages["behind"])])
    tables = figures.tables
    about = "Rows of a table; above 32 MB, PostgreSQL's estimate."
    yield _gauge("table_rows", about, ("table",), [((row["table_name"],), row["rows"]) for row in tables])
    about = "Bytes of a table, its indexes included."
    yield _gauge("table_bytes", about, ("table",), [((row["table_name"],), row["bytes"]) for row in tables])
    sessions = {"active": 0, "idle": 0, "idle in transaction": 0}
    sessions |= {row["state"]: row["sessions"] for row in figures.sessions}
    about = "Connections of all optsync processes to the database, by what they do."
    yield _gauge("database_sessions", about, ("state",), [((state,), n) for state, n in sorted(sessions.items())])


def _gauge(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"optsync_{name}", about, labels=labels)
    for values, value in samples:
        if value is not None:  # unknown is no sample
            family.add_metric(values, value)
    return family


def _counter(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"optsync_{name}", about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value or 0.0)
    return family


def _histogram(
    name: str,
    about: str,
    metric: str,
    bounds: Sequence[float],
    totals: Mapping[tuple[str, str, str], float],
    providers: Sequence[str] | None = None,
) -> Metric:
    """A family of one histogram, or of one for each provider."""
    family = HistogramMetricFamily(f"optsync_{name}", about, labels=() if providers is None else ("provider",))
    for who in ("",) if providers is None else providers:
        so_far, buckets = 0.0, []
        for bound in (*map(str, bounds), BEYOND):
            so_far += totals.get((metric, who, bound), 0.0)
            buckets.append((bound, so_far))
        family.add_metric((who,) if who else (), buckets, sum_value=totals.get((f"{metric}_sum", who, ""), 0.0))
    return family


def _share(row: Mapping[str, Any]) -> float | None:
    total = row["total_stocks"]
    return (row["successful_stocks"] + row["skipped_stocks"]) / total if total else None


def _epoch(moment: datetime) -> float:
    return moment.timestamp()
