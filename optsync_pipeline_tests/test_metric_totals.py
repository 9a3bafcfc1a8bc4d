"""The counters of syncs: what a committed chunk adds, and that nothing sets them back."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from optsync_pipeline.storage import metric_totals
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.metric_totals import ATTEMPT_BUCKETS, add_chunk, bucket_of


def result(status: str = "success", *attempts: dict[str, Any], error_type: str | None = None, retries: int = 0) -> Any:
    return {"status": status, "error_type": error_type, "retry_count": retries, "attempts": attempts}


def attempt(provider: str, seconds: float, error_type: str | None = None, requests: int = 1) -> dict[str, Any]:
    return {"provider": provider, "error_type": error_type, "requests": requests, "duration_ms": 1000 * seconds}


def totals_of(database: Database) -> dict[tuple[str, str, str], float]:
    rows = database.fetch_all("SELECT metric, provider, kind, total FROM metric_totals")
    return {(row["metric"], row["provider"], row["kind"]): row["total"] for row in rows}


def test_a_chunk_adds_its_symbols_errors_retries_durations_and_rows(database: Database) -> None:
    chunk = [
        result("success", attempt("yahoo", 26.0, "api_timeout"), attempt("cboe", 0.2), retries=4),
        result("failed", attempt("yahoo", 0.5, "invalid_data"), error_type="invalid_data"),
        result("skipped", attempt("cboe", 0.0, "circuit_open", requests=0), error_type="no_options"),
    ]
    add_chunk(database, chunk, write_seconds=0.3, rows=50)
    add_chunk(database, chunk[:1], write_seconds=99.0, rows=5)
    assert totals_of(database) == {
        ("symbols", "", "success"): 2,
        ("symbols", "", "failed"): 1,
        ("symbols", "", "skipped"): 1,
        ("symbol_failures", "", "invalid_data"): 1,
        ("retries", "", ""): 8,
        ("provider_errors", "yahoo", "api_timeout"): 2,
        ("provider_errors", "yahoo", "invalid_data"): 1,
        ("provider_errors", "cboe", "circuit_open"): 1,
        ("attempt_seconds", "yahoo", "60.0"): 2,
        ("attempt_seconds", "yahoo", "0.5"): 1,
        ("attempt_seconds_sum", "yahoo", ""): 52.5,
        ("attempt_seconds", "cboe", "0.25"): 2,
        ("attempt_seconds_sum", "cboe", ""): 0.4,
        ("chunk_write_seconds", "", "0.5"): 1,
        ("chunk_write_seconds", "", "+Inf"): 1,
        ("chunk_write_seconds_sum", "", ""): 99.3,
        ("rows_written", "", ""): 55,
    }


def test_a_bucket_holds_its_upper_bound() -> None:
    assert [bucket_of(seconds, (1.0, 5.0)) for seconds in (0.0, 1.0, 1.1, 5.0, 5.1)] == [
        "1.0",
        "1.0",
        "5.0",
        "5.0",
        "+Inf",
    ]
    assert list(ATTEMPT_BUCKETS) == sorted(set(ATTEMPT_BUCKETS))
    assert list(metric_totals.WRITE_BUCKETS) == sorted(set(metric_totals.WRITE_BUCKETS))


def test_syncs_that_add_at_once_lose_nothing_and_do_not_block_each_other(database: Database) -> None:
    forward = [result("success", attempt("cboe", 1.0), attempt("yahoo", 1.0))]
    backward = [result("failed", attempt("yahoo", 1.0), attempt("cboe", 1.0), error_type="db_error")]

    def add(number: int) -> None:
        add_chunk(database, forward if number % 2 else backward, write_seconds=0.1, rows=1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(80)))
    totals = totals_of(database)
    assert totals["symbols", "", "success"] == totals["symbols", "", "failed"] == 40
    assert totals["attempt_seconds", "yahoo", "1.0"] == totals["attempt_seconds", "cboe", "1.0"] == 80


def test_deleting_jobs_sets_no_counter_back(database: Database) -> None:
    add_chunk(database, [result()], write_seconds=0.1, rows=1)
    before = totals_of(database)
    database.execute("DELETE FROM sync_jobs")
    assert totals_of(database) == before
