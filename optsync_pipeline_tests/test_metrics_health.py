"""/health: well and unwell, each part with its reason, and no secret."""

from datetime import UTC, datetime, timedelta

import pytest

from optsync_pipeline.sandbox.running import Sandbox
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.recovery import list_market, run_sync
from optsync_pipeline_tests.scraping import SYMBOLS, beat, health, sandbox, serving, settings

__all__ = ["sandbox", "settings"]


def test_health_is_well_after_a_sync_while_the_daemon_lives(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    beat(database, settings.home, seconds_ago=20)
    with serving(settings) as url:
        status, told = health(url)
    assert (status, told["well"]) == (200, True), told
    assert {name for name in told if name not in ("well", "at")} == {"database", "providers", "last_sync", "daemon"}
    assert f"{SYMBOLS} ok, 0 failed" in told["last_sync"]["reason"]
    assert told["providers"]["reason"] == "yahoo: may be asked, cboe: may be asked"


@pytest.mark.parametrize("silence_seconds", [None, 400])
def test_health_is_unwell_without_the_daemon(
    silence_seconds: float | None, settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    if silence_seconds is not None:
        beat(database, settings.home, silence_seconds)
    with serving(settings) as url:
        status, told = health(url)
    assert status == 503
    assert [name for name, part in told.items() if isinstance(part, dict) and not part["well"]] == ["daemon"]
    assert "optsync up" in told["daemon"]["reason"]


def test_health_is_unwell_once_a_trading_day_has_passed_without_a_sync(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    run_sync(SyncEngine(database, settings), list_market(database, sandbox))
    with serving(settings, clock=lambda: datetime.now(UTC) + timedelta(days=5)) as url:
        told = health(url)[1]["last_sync"]
    assert not told["well"]
    assert "none has finished since the close" in told["reason"]


def test_health_wants_a_sync_only_where_there_are_stocks(
    settings: Settings, database: Database, sandbox: Sandbox
) -> None:
    with serving(settings) as url:
        assert health(url)[1]["last_sync"] == {"well": True, "reason": "no sync has finished yet"}
    list_market(database, sandbox)
    with serving(settings) as url:
        assert health(url)[1]["last_sync"] == {"well": False, "reason": "no sync has finished yet"}


def test_health_is_unwell_when_every_breaker_is_open_and_hides_secrets(settings: Settings, database: Database) -> None:
    opened = (
        "INSERT INTO api_rate_limits (provider, max_requests_per_minute, max_requests_per_hour,"
        " current_requests_per_minute, circuit_state, circuit_opened_at, last_error)"
        " VALUES (%s, 1, 1, 1, 'open', now(), 'auth_error: Authorization: Bearer planted.token')"
    )
    database.execute(opened, ("yahoo",))
    with serving(settings) as url:
        assert health(url)[1]["providers"]["well"]
    database.execute(opened, ("cboe",))
    with serving(settings) as url:
        told = health(url)[1]["providers"]
    assert not told["well"]
    assert "yahoo: its breaker is open (auth_error" in told["reason"]
    assert "planted" not in told["reason"]
