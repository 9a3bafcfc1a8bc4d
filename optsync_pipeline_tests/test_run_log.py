"""What a real sync on the sandbox market writes to HOME/logs: every line about its job, its symbol, its provider."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.logs import configure_logging, stop_logging
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.recovery import list_market, run_sync, settings_for
from optsync_pipeline_tests.test_logs import lines_of

SYMBOLS = 6


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, database_url: str, tmp_path: Path) -> Iterator[Settings]:
    chosen = settings_for(sandbox, database_url, home=tmp_path)
    configure_logging(chosen, terminal=False)
    yield chosen
    stop_logging()


def lines_with(lines: list[dict[str, Any]], start: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"].startswith(start)]


def test_a_sync_tells_its_start_commits_outcomes_and_end(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    symbols = list_market(database, sandbox)
    outcomes, job_id = run_sync(SyncEngine(database, settings), symbols)
    lines = lines_of(settings.home)
    assert {line["job"] for line in lines} == {job_id}
    assert lines[0]["event"] == f"sync begins: {SYMBOLS} symbols to do, 0 done before"
    assert lines[-1]["event"] == f"sync ends: completed, {SYMBOLS} ok, 0 failed, 0 skipped in this run"
    commits = lines_with(lines, "committed")
    assert sum(line["symbols"] for line in commits) == SYMBOLS
    written = sum(one.options_inserted + one.premiums_inserted + 2 for one in outcomes.values())  # quote and bar
    assert sum(line["rows"] for line in commits) == written
    told = {line["symbol"]: line for line in lines_with(lines, "success")}
    assert {symbol: line["provider"] for symbol, line in told.items()} == {
        symbol: outcome.data_provider for symbol, outcome in outcomes.items()
    }


def test_each_failed_try_and_each_retry_says_of_whom_and_for_what(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    symbols = list_market(database, sandbox)
    sandbox.fault("html", symbol=symbols[0])
    sandbox.fault("connection_reset", provider="yahoo", symbol=symbols[1], times=1)
    _, job_id = run_sync(SyncEngine(database, settings.model_copy(update={"providers": ("yahoo",)})), symbols, tries=2)
    lines = lines_of(settings.home)
    tries = [line for line in lines_with(lines, "try ") if line["symbol"] == symbols[0]]
    assert [(line["job"], line["provider"], line["error_type"]) for line in tries] == [
        (job_id, "yahoo", "invalid_data")
    ]
    (again,) = lines_with(lines, "asking again, try 2")
    assert (again["job"], again["symbol"], again["provider"]) == (job_id, symbols[1], "yahoo")
    (failed,) = lines_with(lines, "failed: ")
    assert (failed["symbol"], failed["error_type"], failed["level"]) == (symbols[0], "invalid_data", "info")


def test_breakers_and_429s_are_told_once(settings: Settings, database: Database, sandbox: Sandbox) -> None:
    symbols = list_market(database, sandbox)
    sandbox.fault("rate_limited", provider="yahoo", retry_after_seconds=30)
    run_sync(SyncEngine(database, settings), symbols)
    lines = lines_of(settings.home)
    pauses = [line for line in lines if "answered 429: nobody asks it" in line["event"]]
    assert len(pauses) == 1
    assert pauses[0]["provider"] == "yahoo"
    assert pauses[0]["seconds"] > 0


def test_a_breaker_that_opens_and_closes_is_told(settings: Settings, database: Database) -> None:
    from optsync_pipeline.storage.provider_limits import ProviderLimits
    from optsync_pipeline_tests.recovery import let_a_minute_pass

    limits = ProviderLimits(database)
    limits.declare("yahoo", 6000, 6000)
    for _ in range(25):
        limits.note_failure("yahoo", 1, "api_timeout: no answer")
    let_a_minute_pass(database)
    offer = limits.take(["yahoo"])
    assert offer.is_probe
    limits.note_failure("yahoo", 1, "api_timeout: still none", probe=True)
    let_a_minute_pass(database)
    assert limits.take(["yahoo"]).is_probe
    limits.note_success("yahoo", probe=True)
    limits.close()
    assert [(line["event"], line["level"], line["provider"]) for line in lines_of(settings.home)] == [
        ("yahoo is left alone: its breaker is open: api_timeout: no answer", "warning", "yahoo"),
        ("yahoo is left alone: its breaker is open: api_timeout: still none", "warning", "yahoo"),
        ("yahoo answers again: its breaker is closed", "warning", "yahoo"),
    ]


def test_a_sync_counts_what_it_did(settings: Settings, database: Database, sandbox: Sandbox) -> None:
    symbols = list_market(database, sandbox)
    outcomes, _ = run_sync(SyncEngine(database, settings), symbols)
    rows = database.fetch_all("SELECT metric, sum(total) AS total FROM metric_totals GROUP BY metric")
    totals = {row["metric"]: row["total"] for row in rows}
    attempts = sum(len(one.attempts) for one in outcomes.values())
    assert (totals["symbols"], totals["attempt_seconds"]) == (SYMBOLS, attempts)
    written = sum(one.options_inserted + one.premiums_inserted + 2 for one in outcomes.values())
    assert totals["rows_written"] == written
