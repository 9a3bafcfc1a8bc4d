"""Clocks jump in the middle of a sync: the process's own, which dates rows; the server's, by which tokens are due."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

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
    run_sync,
    settings_for,
)

__all__ = ["limits"]

SYMBOLS = 16
TRADING = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # Monday, 11:00 in New York
HOUR = timedelta(hours=1)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = TRADING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A market on which it stays 11:00, whatever other clocks say."""
    with running_sandbox(symbols=SYMBOLS, clock=lambda: TRADING) as running:
        yield running


@pytest.fixture
def engine(sandbox: Sandbox, database: Database, database_url: str, clock: Clock) -> SyncEngine:
    return SyncEngine(database, settings_for(sandbox, database_url), clock)


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_sync_whose_clock_jumps_loses_nothing(
    engine: SyncEngine, sandbox: Sandbox, database: Database, symbols: list[str], clock: Clock, jump: timedelta
) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.1})
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes)]
        clock.now += jump
        told.extend(outcomes)

    assert sorted(outcome.symbol for outcome in told) == sorted(symbols)
    assert_whole(database, sandbox, symbols, running.job_id)
    row = database.fetch_one("SELECT duration_seconds >= 0 AS sane FROM sync_jobs")
    assert row == {"sane": True}


def test_a_job_is_finished_by_a_process_whose_clock_is_behind(
    engine: SyncEngine, sandbox: Sandbox, database: Database, symbols: list[str], clock: Clock
) -> None:
    hold_up(sandbox, symbols[-4:])
    _, job_id = run_sync(engine, symbols)
    done = done_symbols(database, job_id)
    sandbox.clear_faults()
    sandbox.reset_requests()
    clock.now -= HOUR

    run_sync(engine, continue_job_id=job_id, retry=True)

    assert_whole(database, sandbox, symbols, job_id)
    asked = {symbol for vendor in ("yahoo", "cboe") for symbol in sandbox.requests(vendor)["by_symbol"]}
    assert asked == set(symbols) - done


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_sync_goes_on_at_once_when_the_servers_clock_jumps(
    engine: SyncEngine,
    sandbox: Sandbox,
    database: Database,
    symbols: list[str],
    limits: ProviderLimits,
    jump: timedelta,
) -> None:
    sandbox.control("POST", "latency", {"provider": "yahoo", "seconds": 0.1})
    with engine.start(SyncPlan(symbols=tuple(symbols), sync_type="all")) as running:
        outcomes = iter(running)
        told = [next(outcomes)]
        jump_of_the_server(database, jump)
        told.extend(outcomes)

    assert_whole(database, sandbox, symbols, running.job_id)
    assert all(state.next_token_seconds < 60 for state in limits.read())


def jump_of_the_server(database: Database, jump: timedelta) -> None:
    """Move every time of the limits against the clock: what is left when the server's clock has jumped."""
    times = ("next_token_at", "burst_until", "paused_until", "circuit_opened_at", "probe_until", "updated_at")
    moved = ", ".join(f"{name} = {name} - %(jump)s" for name in times)
    database.execute(
        f"UPDATE api_rate_limits SET {moved}, hour_minute = hour_minute - %(minutes)s",  # noqa: S608 - names of ours
        {"jump": jump, "minutes": int(jump.total_seconds() // 60)},
    )
