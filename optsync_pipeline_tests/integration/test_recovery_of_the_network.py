"""The network is gone in the middle of a sync, or for all of it: nothing is lost, and what is done stays done."""

import time
from collections.abc import Iterator

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.sync.engine import SyncEngine, SyncPlan
from optsync_pipeline_tests.limits import limits
from optsync_pipeline_tests.recovery import (
    assert_whole,
    done_symbols,
    hold_up,
    kill,
    let_a_minute_pass,
    run_sync,
    settings_for,
    start_sync_process,
    wait_until,
)

__all__ = ["limits"]

SYMBOLS = 30


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


def open_breakers(database: Database) -> int:
    row = database.fetch_one("SELECT count(*) AS open FROM api_rate_limits WHERE circuit_state <> 'closed'")
    return int((row or {})["open"])


def asked_symbols(sandbox: Sandbox) -> set[str]:
    return {symbol for provider in ("yahoo", "cboe") for symbol in sandbox.requests(provider)["by_symbol"]}


def test_a_sync_waits_for_a_network_that_comes_back_and_loses_nothing(
    engine: SyncEngine, sandbox: Sandbox, database: Database, symbols: list[str]
) -> None:
    hold_up(sandbox, symbols[8:])
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes) for _ in range(8)]
        sandbox.down("*")
        sandbox.clear_faults()
        wait_until(lambda: open_breakers(database) == 2)
        time.sleep(3)  # so that each symbol comes to its next try, and finds the breaker open
        sandbox.reset_requests()
        sandbox.up("*")
        let_a_minute_pass(database)
        told.extend(outcomes)

    assert sorted(outcome.symbol for outcome in told) == sorted(symbols)
    assert_whole(database, sandbox, symbols, running.job_id)
    assert asked_symbols(sandbox) == set(symbols[8:])


def test_a_sync_that_ends_without_a_network_is_finished_by_retry(
    engine: SyncEngine, sandbox: Sandbox, database: Database, symbols: list[str], limits: ProviderLimits
) -> None:
    hold_up(sandbox, symbols[8:])
    outcomes, job_id = run_sync(engine, symbols)
    failures = {outcome.error_type for outcome in outcomes.values() if outcome.status == "failed"}
    assert failures <= {"network_error", "circuit_open"}
    left = set(symbols) - done_symbols(database, job_id)
    assert left >= set(symbols[8:])  # and who came to no turn before the breakers opened

    sandbox.clear_faults()
    sandbox.reset_requests()
    for provider in ("yahoo", "cboe"):
        limits.reset(provider)
    run_sync(engine, continue_job_id=job_id, retry=True)

    assert_whole(database, sandbox, symbols, job_id)
    assert asked_symbols(sandbox) == left


def test_a_probe_whose_process_is_killed_gives_way_to_another(
    sandbox: Sandbox, database: Database, database_url: str, symbols: list[str], limits: ProviderLimits
) -> None:
    limits.note_failure("cboe", 20, "network_error: gone")
    let_a_minute_pass(database)
    sandbox.down("cboe", how="hang")
    prober = start_sync_process(database_url, sandbox, symbols, OPTSYNC_PROVIDERS="cboe")
    wait_until(lambda: sandbox.requests("cboe")["at_once"] == 1, prober)
    kill(prober)
    sandbox.up("cboe")

    assert limits.take(["cboe"]).provider is None
    let_a_minute_pass(database)
    engine = SyncEngine(database, settings_for(sandbox, database_url, providers="cboe"))
    _, job_id = run_sync(engine, symbols[:1], tries=2)

    assert_whole(database, sandbox, symbols[:1], job_id)
