"""`optsync providers`: who may be asked how often, what became of it, and changing that while syncs run."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@pytest.fixture
def limits(database: Database) -> Iterator[ProviderLimits]:
    with closing(ProviderLimits(database)) as opened:
        yield opened


def row_of(run: Run, name: str) -> dict[str, object]:
    (found,) = [row for row in run("providers", "--json").json if row["provider"] == name]
    assert isinstance(found, dict)
    return found


def test_before_the_first_sync_the_settings_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_CBOE_REQUESTS_PER_MINUTE", "17")
    row = row_of(run, "cboe")
    assert (row["order"], row["state"], row["max_requests_per_minute"], row["total_requests"]) == (2, "ready", 17, 0)


def test_the_order_is_that_of_the_settings_and_others_follow(run: Run) -> None:
    rows = run("providers", "--json").json
    assert [(row["provider"], row["order"]) for row in rows] == [
        ("yahoo", 1),
        ("cboe", 2),
        ("robinhood", None),
        ("polygon", None),
    ]


def test_who_lacks_credentials_is_left_out_with_the_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_PROVIDERS", "yahoo,polygon")
    row = row_of(run, "polygon")
    assert (row["state"], row["reason"]) == ("left_out", "has no credentials (OPTSYNC_POLYGON_API_KEY)")
    assert "left out: no credentials" in run("providers").out


def test_a_vendor_that_asked_for_a_pause_is_shown_paused(run: Run, limits: ProviderLimits) -> None:
    limits.declare("yahoo", 30, 2000)
    limits.note_rate_limited("yahoo", 40.0)
    row = row_of(run, "yahoo")
    assert row["state"] == "paused"
    assert row["requests_per_minute"] == 15
    assert row["rate_limited_count"] == 1
    assert "15/30" in run("providers").out


def test_a_vendor_that_failed_too_often_is_shown_with_its_open_circuit(run: Run, limits: ProviderLimits) -> None:
    limits.declare("yahoo", 30, 2000)
    limits.note_failure("yahoo", 20, "network_error: gone")
    assert row_of(run, "yahoo")["state"] == "circuit_open"
    (line,) = [line for line in run("providers").out.splitlines() if " yahoo " in line]
    assert "circuit open, probe in " in line
    assert line.endswith("network_error just now  gone")


@pytest.mark.parametrize("kind", ["auth_error", "not_entitled"])
def test_a_vendor_that_refuses_us_is_not_ready_until_a_good_reply(run: Run, limits: ProviderLimits, kind: str) -> None:
    limits.declare("yahoo", 30, 2000)
    limits.note_failure("yahoo", 1, f"{kind}: no")
    assert row_of(run, "yahoo")["state"] == kind
    assert f"refused ({kind})" in run("providers").out
    limits.note_success("yahoo")
    assert row_of(run, "yahoo")["state"] == "ready"


def test_what_refused_us_and_then_failed_otherwise_is_not_called_a_refusal(run: Run, limits: ProviderLimits) -> None:
    limits.declare("yahoo", 30, 2000)
    limits.note_failure("yahoo", 1, "auth_error: no")
    limits.note_failure("yahoo", 1, "api_timeout: slow")
    assert row_of(run, "yahoo")["state"] == "ready"


def test_limits_are_set_at_once_and_the_setting_that_keeps_them_is_said(run: Run, limits: ProviderLimits) -> None:
    ended = run("providers", "set", "Polygon", "--per-minute", "100", "--per-hour", "6000")
    assert ended.exit_code == 0
    assert "OPTSYNC_POLYGON_REQUESTS_PER_MINUTE=100 and OPTSYNC_POLYGON_REQUESTS_PER_HOUR=6000" in ended.out
    (state,) = limits.read()
    assert (state.provider, state.max_requests_per_minute, state.max_requests_per_hour) == ("polygon", 100, 6000)


def test_a_limit_that_is_not_named_stays(run: Run, limits: ProviderLimits) -> None:
    run("providers", "set", "yahoo", "--per-minute", "60")
    run("providers", "set", "yahoo", "--per-hour", "90")
    (state,) = limits.read()
    assert (state.max_requests_per_minute, state.max_requests_per_hour) == (60, 90)


def test_a_reset_closes_the_circuit(run: Run, limits: ProviderLimits) -> None:
    limits.declare("yahoo", 30, 2000)
    limits.note_failure("yahoo", 20, "network_error: gone")
    assert run("providers", "reset", "yahoo").exit_code == 0
    assert row_of(run, "yahoo")["state"] == "ready"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("set", "bloomberg", "--per-minute", "5"),
            "no provider bloomberg: there are robinhood, yahoo, polygon, cboe",
        ),
        (("reset", "bloomberg"), "there is no provider bloomberg"),
        (("set", "yahoo"), "say what to set"),
        (("set", "yahoo", "--per-minute", "0"), "'--per-minute'"),
    ],
)
def test_wrong_use_is_said(arguments: tuple[str, ...], said: str, run: Run) -> None:
    ended = run("providers", *arguments)
    assert ended.exit_code == 2
    assert said in ended.err
