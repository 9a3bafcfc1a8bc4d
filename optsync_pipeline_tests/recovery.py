"""Syncs that are struck in their middle, and what must be in the database once the next run has finished the job."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from optsync_pipeline.sandbox.running import Sandbox
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline.sync.outcome import SymbolOutcome
from optsync_pipeline_tests.limits import UNLIMITED, UNLIMITED_ENVIRONMENT

SYNC = """
import sys
from optsync_pipeline.settings import load_settings
from optsync_pipeline.storage.database import open_database
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan

settings = load_settings(env_file=None)
engine = SyncEngine(open_database(settings), settings)
with engine.start(SyncPlan(symbols=tuple(sys.argv[1:]), sync_type="symbols")) as running:
    print(running.job_id, flush=True)
    sys.exit(sum(outcome.status != "success" for outcome in running))
"""
"""A sync in a process of its own, without Dagster around it; ends with the number of symbols that failed."""


def settings_for(sandbox: Sandbox, database_url: str, **changes: Any) -> Settings:
    """Return the settings of a sync on a sandbox market's Yahoo and Cboe, with small chunks and no limits."""
    chosen = {
        "providers": "yahoo,cboe",
        "yahoo_url": sandbox.yahoo_url,
        "cboe_url": sandbox.cboe_url,
        "chunk_symbols": 4,
        **UNLIMITED,
    }
    return load_settings(env_file=None, database_url=database_url, **(chosen | changes))


def list_market(database: Database, sandbox: Sandbox) -> list[str]:
    """Make stocks of the market's symbols; return them."""
    symbols = sandbox.symbols()
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
    return symbols


def run_sync(engine: SyncEngine, symbols: Iterable[str] = (), **plan: Any) -> tuple[dict[str, SymbolOutcome], int]:
    """Run a sync to its end; return what became of each symbol, and the job."""
    with engine.start(SyncPlan(symbols=tuple(symbols), **{"sync_type": "all", "tries": 1, **plan})) as running:
        outcomes = [outcome for outcome in running]
    told = Counter(outcome.symbol for outcome in outcomes)
    assert set(told.values()) <= {1}, f"told twice: {told.most_common(3)}"
    return {outcome.symbol: outcome for outcome in outcomes}, running.job_id


def hold_up(sandbox: Sandbox, symbols: Iterable[str]) -> None:
    """Let no vendor serve these symbols, so that a sync is still busy with them when the test strikes."""
    for symbol in symbols:
        sandbox.fault("connection_reset", symbol=symbol)


def start_sync_process(
    database_url: str, sandbox: Sandbox, symbols: Iterable[str], **environment: str
) -> "subprocess.Popen[str]":
    """Start a sync in a process of its own."""
    own = {"OPTSYNC_DATABASE_URL": database_url, "OPTSYNC_CHUNK_SYMBOLS": "4"}
    return subprocess.Popen(
        [sys.executable, "-c", SYNC, *symbols],
        env={**os.environ, **UNLIMITED_ENVIRONMENT, **sandbox.environment, **own, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def job_of(process: "subprocess.Popen[str]") -> int:
    """Return the job of a sync process, once it is open."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    return int(line)


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process as nothing can prepare for."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def kill_postgresql(server: EmbeddedPostgres) -> None:
    """Kill a server with all its processes, as a power cut does."""
    process_id = server.status().process_id
    assert process_id is not None
    family = [psutil.Process(process_id), *psutil.Process(process_id).children(recursive=True)]
    for member in family:
        with contextlib.suppress(ProcessLookupError):  # a server's process of one connection may have ended meanwhile
            os.kill(member.pid, signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def wait_until(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait until something is so; fail after a minute, or when the process ends before."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, process and process.communicate()
        assert time.monotonic() < deadline, "it did not come to be within a minute"
        time.sleep(0.02)


def let_a_minute_pass(database: Database) -> None:
    """Set the times of the breakers back, so that their next probes are due."""
    database.execute(
        "UPDATE api_rate_limits SET circuit_opened_at = circuit_opened_at - interval '1 minute',"
        " probe_until = probe_until - interval '2 minutes'"
    )


def done_symbols(database: Database, job_id: int) -> set[str]:
    """Return the symbols of a job that are done."""
    return {row["symbol"] for row in sync_log.read_results(database, job_id) if row["status"] == "success"}


def assert_whole(database: Database, sandbox: Sandbox, symbols: Iterable[str], job_id: int) -> None:
    """Assert that a job is completed: one success a symbol, each of the market's contracts once, no other rows."""
    wanted = sorted(symbols)
    job, results = sync_log.read_job(database, job_id), sync_log.read_results(database, job_id)
    assert [(row["symbol"], row["status"]) for row in results] == [(symbol, "success") for symbol in wanted]
    assert job is not None
    counts = (job["status"], job["total_stocks"], job["successful_stocks"], job["failed_stocks"], job["skipped_stocks"])
    assert counts == ("completed", len(wanted), len(wanted), 0, 0)
    assert not sync_log.is_alive(database, job_id)
    for row in results:
        assert_rows_whole(database, sandbox, row)


def assert_rows_whole(database: Database, sandbox: Sandbox, result: dict[str, Any]) -> None:
    """Assert that a symbol's rows are those that its result tells of: of one reply, every contract, none twice."""
    symbol = result["symbol"]
    expirations = {str(expiration) for expiration in result["expirations"]}
    listed = [row for row in sandbox.truth(symbol)["contracts"] if row["expiration"] in expirations]
    stored = _rows(database, "SELECT contract_symbol, data_provider FROM option_chains WHERE symbol = %s", symbol)
    assert Counter(row["contract_symbol"] for row in stored) == Counter(row["contract_symbol"] for row in listed)
    assert {row["data_provider"] for row in stored} == {result["data_provider"]}
    premiums = _rows(database, "SELECT contract_symbol FROM stock_premiums WHERE symbol = %s", symbol)
    assert (len(stored), len(premiums)) == (result["options_inserted"], result["premiums_inserted"])
    quotes = _rows(database, "SELECT data_provider FROM stock_data WHERE symbol = %s", symbol)
    assert [row["data_provider"] for row in quotes] == [result["data_provider"]]
    assert len(_rows(database, "SELECT price_date FROM stock_prices WHERE symbol = %s", symbol)) == 1


def _rows(database: Database, query: str, symbol: str) -> list[dict[str, Any]]:
    return database.fetch_all(query, (symbol,))
