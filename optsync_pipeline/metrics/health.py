"""Whether this installation is well: database, providers, Dagster's daemon, the last sync, each with its reason.

Unwell is what needs somebody: a provider that fails while another serves is told and is well.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from optsync_pipeline.metrics.reading import Readings, session_before_latest
from optsync_pipeline.redaction import redact
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.errors import StorageError
from optsync_pipeline.storage.metric_readings import Figures
from optsync_pipeline.storage.provider_limits import ProviderState

NEEDED_DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""Dagster's names of those without which nothing starts by itself."""

DAEMON_SILENCE_SECONDS = 300.0
"""They speak every 30 s; one that evaluates a slow sensor is silent for a minute."""

BULK = ("all", "stale", "watchlist", "symbols")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the installation. reason: why it is unwell, or what is to be known of it."""

    well: bool
    reason: str


def read_health(readings: Readings) -> tuple[bool, dict[str, Any]]:
    """Return whether all is well, and the answer of /health: `well`, `at`, and each part. It holds no secret."""
    now, settings = readings.clock(), readings.settings
    parts: dict[str, Part] = {}
    try:
        figures = readings.figures()
    except StorageError as fault:
        parts["database"] = Part(False, str(fault))
        unknown = Part(False, "not known: the database cannot be read")
        parts |= {"providers": unknown, "last_sync": unknown}
    else:
        parts["database"] = Part(True, "answers")
        parts["providers"] = _providers(settings, figures)
        parts["last_sync"] = _last_sync(figures, now)
    try:
        parts["daemon"] = _daemon(readings.heartbeats())
    except StorageError as fault:
        parts["daemon"] = Part(False, f"Dagster's database: {fault}")
    well = all(part.well for part in parts.values())
    told: dict[str, Any] = redact({name: asdict(part) for name, part in parts.items()})
    return well, {"well": well, "at": now.isoformat(timespec="seconds"), **told}


def _providers(settings: Settings, figures: Figures) -> Part:
    states = {state.provider: state for state in figures.providers}
    if not settings.usable_providers:
        return Part(False, "there is nobody to ask: none of OPTSYNC_PROVIDERS has what it needs")
    shut = {name: why for name in settings.usable_providers if (why := _why_shut(states.get(name)))}
    told = ", ".join(f"{name}: {shut.get(name, 'may be asked')}" for name in settings.usable_providers)
    return Part(len(shut) < len(settings.usable_providers), told)


def _why_shut(state: ProviderState | None) -> str | None:
    if state is None or state.circuit_state == "closed":
        return None
    return f"its breaker is {state.circuit_state.replace('_', ' ')} ({state.last_error or 'no reason noted'})"


def _last_sync(figures: Figures, now: datetime) -> Part:
    bulk = [row for row in figures.last_syncs if row["sync_type"] in BULK and not row["prices_only"]]
    if not bulk:
        return Part(figures.ages["stocks"] == 0, "no sync has finished yet")
    last = max(bulk, key=lambda row: row["completed_at"])
    job, ended = f"sync job {last['job_id']}", last["completed_at"]
    if last["status"] == "failed":
        return Part(False, f"{job} failed: of {last['total_stocks']} symbols none could be done")
    counts = f"{job} ended {ended.isoformat(timespec='seconds')}: {_counts(last)}"
    # Last night's sync may have been missed without harm; since the open, a whole trading day has no sync.
    if ended < session_before_latest(now).close:
        return Part(False, f"{counts}; none has finished since the close of the session before the latest")
    return Part(True, counts)


def _counts(row: Mapping[str, Any]) -> str:
    return f"{row['successful_stocks']} ok, {row['failed_stocks']} failed, {row['skipped_stocks']} skipped"


def _daemon(silent_seconds: Mapping[str, float]) -> Part:
    if not silent_seconds:
        return Part(False, "Dagster's daemon has never run here: start it with `optsync up`")
    missing = [name for name in NEEDED_DAEMONS if silent_seconds.get(name, float("inf")) > DAEMON_SILENCE_SECONDS]
    if missing:
        names = ", ".join(name.lower() for name in missing)
        return Part(
            False, f"no sign of life for {DAEMON_SILENCE_SECONDS:g} s of: {names}; start them with `optsync up`"
        )
    return Part(True, f"last sign of life {max(silent_seconds[name] for name in NEEDED_DAEMONS):.0f} s ago")
