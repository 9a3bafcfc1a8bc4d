"""What is told of the providers, by `optsync providers` and `optsync status`: state, limits, what is left of them.

The limits and the breaker live in the database, shared by all processes; a provider that no process has asked yet is
told by its settings.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optsync_pipeline.cli.output import Column, age, number, span

if TYPE_CHECKING:
    from optsync_pipeline.settings import ProviderName, Settings
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.provider_limits import ProviderState

Row = dict[str, Any]

REFUSALS = ("auth_error", "not_entitled")
"""Kinds of error that no waiting mends: a provider whose latest reply is one is not ready, whatever its limits."""


def read_providers(database: "Database", settings: "Settings") -> list[Row]:
    """Return each provider there is, those of OPTSYNC_PROVIDERS first and in their order.

    Keys: docs/operations.md lists them. state: ready, paused, circuit_open, probing, hour_spent, auth_error,
    not_entitled, left_out, not_used; wait_seconds: until a request may go out again, where that is known.
    """
    from optsync_pipeline.settings import PROVIDER_NAMES
    from optsync_pipeline.storage.provider_limits import ProviderLimits

    with closing(ProviderLimits(database)) as limits:
        known = {state.provider: state for state in limits.read()}
    others = [name for name in PROVIDER_NAMES if name not in settings.providers]
    return [_row(name, settings, known.get(name)) for name in (*settings.providers, *others)]


def asked_providers(rows: Sequence[Row]) -> list[Row]:
    """Return those that a sync asks."""
    return [row for row in rows if row["state"] not in ("left_out", "not_used")]


def _row(name: "ProviderName", settings: "Settings", known: "ProviderState | None") -> Row:
    order = settings.providers.index(name) + 1 if name in settings.providers else None
    reason = settings.why_left_out(name) if order else "is not in OPTSYNC_PROVIDERS"
    state, wait_seconds = ("left_out" if order else "not_used", None) if reason else _state(known)
    told = {"provider": name, "order": order, "state": state, "reason": reason, "wait_seconds": wait_seconds}
    if known is None:
        per_minute, per_hour = settings.limits_of(name)
        return told | {
            "requests_per_minute": float(per_minute),
            "max_requests_per_minute": per_minute,
            "max_requests_per_hour": per_hour,
            "left_this_minute": per_minute,
            "left_this_hour": per_hour,
            "consecutive_failures": 0,
            "total_requests": 0,
            "rate_limited_count": 0,
            "last_error": None,
            "last_error_at": None,
        }
    return told | {
        "requests_per_minute": known.current_requests_per_minute,
        "max_requests_per_minute": known.max_requests_per_minute,
        "max_requests_per_hour": known.max_requests_per_hour,
        "left_this_minute": known.left_this_minute,
        "left_this_hour": known.left_this_hour,
        "consecutive_failures": known.consecutive_failures,
        "total_requests": known.total_requests,
        "rate_limited_count": known.rate_limited_count,
        "last_error": known.last_error,
        "last_error_at": known.last_error_at,
    }


def _state(known: "ProviderState | None") -> tuple[str, float | None]:
    if known is None:
        return "ready", None
    kind = (known.last_error or "").partition(":")[0]
    if kind in REFUSALS and known.last_error_is_latest:
        return kind, None
    if known.circuit_state == "half_open":
        return "probing", known.probe_in_seconds or None
    if known.circuit_state == "open":
        return "circuit_open", known.probe_in_seconds
    if known.paused_seconds and known.paused_seconds > 0:
        return "paused", known.paused_seconds
    if known.left_this_hour <= 0:
        return "hour_spent", known.next_token_seconds
    return "ready", None


def say_state(row: Mapping[str, Any]) -> str:
    """Write a provider's state as a person says it."""
    wait = None if row["wait_seconds"] is None else span(row["wait_seconds"])
    if row["state"] == "left_out":
        # The names of the settings that it lacks are in the JSON, in `doctor` and at the start of each sync.
        return f"left out: {row['reason'].partition(' (')[0].removeprefix('has ')}"
    return {
        "ready": "ready",
        "not_used": "not used",
        **{kind: f"refused ({kind})" for kind in REFUSALS},
        "paused": f"paused {wait}",
        "circuit_open": f"circuit open, probe in {wait}" if row["wait_seconds"] else "circuit open, probe due",
        "probing": "circuit open, probing",
        "hour_spent": f"hour spent, next in {wait}",
    }[row["state"]]


def table_rows(rows: Sequence[Row], now: datetime | None = None) -> list[Row]:
    """Return the rows as PROVIDER_COLUMNS show them."""
    now = now or datetime.now(UTC)
    return [
        row | {"state": say_state(row), "pace": _pace(row), "error": _last_error(row, now), "why": _why(row)}
        for row in rows
    ]


def _pace(row: Mapping[str, Any]) -> str:
    now = f"{row['requests_per_minute']:,.1f}".removesuffix(".0")
    return f"{now}/{row['max_requests_per_minute']:,}"


def _last_error(row: Mapping[str, Any], now: datetime) -> str | None:
    if not row["last_error"] or row["last_error_at"] is None:
        return None
    return f"{row['last_error'].partition(':')[0]} {age(now - row['last_error_at'])}"


def _why(row: Mapping[str, Any]) -> str | None:
    return (row["last_error"] or "").partition(":")[2].strip() or None


PROVIDER_COLUMNS = (
    Column("provider", "provider"),
    Column("state", "state"),
    Column("pace", "per min", right=True),
    Column("left_this_minute", "left min", number(0), right=True),
    Column("max_requests_per_hour", "per h", number(0), right=True, optional=True),
    Column("left_this_hour", "left h", number(0), right=True),
    Column("total_requests", "requests", number(0), right=True, optional=True),
    Column("rate_limited_count", "429s", number(0), right=True),
    Column("error", "last error", optional=True),
    Column("why", "that is", optional=True),
)
"""per min: how many requests may go out in a minute now, and at most."""
