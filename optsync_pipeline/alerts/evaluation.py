"""One round of alerts: look for incidents, write what was found, tell what is to be told.

Any number of processes may do so at once: each incident is found by one, and each message claimed by one before it is
sent. What a service did not take is tried again in later rounds, a minute later, then 2, 4, 8, 16.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from optsync_pipeline.alerts import delivery
from optsync_pipeline.alerts.messages import Message, Part, messages_of, part_of
from optsync_pipeline.alerts.rules import fresh_since, judge
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import alerts
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import StorageError

log = logging.getLogger(__name__)

NEWS_AGE = timedelta(days=1)
"""A sync that ended before is no news: nobody looked for so long that what it left is known or over."""

CALM = timedelta(minutes=10)
MOST_WITHIN_CALM = 5
"""More within that time wait until they have waited as long, and then go out as one message."""


@dataclass(frozen=True, slots=True)
class Round:
    """How a round went. told, untold: incidents whose message was taken, and was not. waits: it was held back."""

    told: int = 0
    untold: int = 0
    waits: bool = False
    errors: tuple[str, ...] = ()


def go_round(
    database: Database,
    settings: Settings,
    now: datetime,
    *,
    may_wait: bool,
    deadline_seconds: float = delivery.DEADLINE_SECONDS,
) -> Round:
    """Look, write, tell. may_wait: in a flood, leave it to a later round, because there will be one.

    Raises StorageError; a service that fails raises nothing.
    """
    if not settings.alert_urls:
        return Round()
    alerts.start_watch(database, now)
    alerts.judge_news(
        database,
        partial(judge, settings=settings),
        now=now,
        oldest_end=now - NEWS_AGE,
        late_seconds=60 * settings.alert_max_minutes,
        fresh_since=fresh_since(now, settings.alert_stale_sessions),
    )
    if may_wait and _is_flood(database, now):
        return Round(waits=True)
    return _tell(database, settings, now, deadline_seconds)


def _is_flood(database: Database, now: datetime) -> bool:
    told, waiting_since = alerts.told_lately(database, now - CALM)
    return told >= MOST_WITHIN_CALM and waiting_since is not None and waiting_since > now - CALM


def _tell(database: Database, settings: Settings, now: datetime, deadline_seconds: float) -> Round:
    rows = alerts.claim_due(database, now)
    if not rows:
        return Round()
    parts = [part_of(row) for row in rows]
    names = delivery.names_of(settings.alert_urls)
    # What a service took already is not told to it again because another one did not.
    messages = [messages_of([part for part in parts if name not in part.taken_by]) for name in names]
    answers = delivery.send(settings.alert_urls, messages, deadline_seconds=deadline_seconds)
    last_try = {row["alert_id"] for row in rows if row["delivery_attempts"] >= alerts.MAX_ATTEMPTS}
    told, all_errors = 0, set()
    for part in parts:
        errors = _errors_of(part, names, messages, answers)
        all_errors |= set(errors.values())
        taken_by = part.taken_by | (set(names) - set(errors))
        told += _note(database, part, taken_by, errors, now, is_last=part.alert_id in last_try)
    return Round(told, len(parts) - told, errors=tuple(sorted(all_errors)))


def _errors_of(
    part: Part, names: Sequence[str], messages: Sequence[Sequence[Message]], answers: Sequence[delivery.Errors]
) -> dict[str, str]:
    """Return the services that did not take what tells the part, each with the reason."""
    return {
        name: f"{name}: {error}"
        for name, of_service, errors in zip(names, messages, answers, strict=True)
        for message, error in zip(of_service, errors, strict=True)
        if part.alert_id in message.alert_ids and error is not None
    }


def _note(
    database: Database, part: Part, taken_by: frozenset[str], errors: dict[str, str], now: datetime, *, is_last: bool
) -> bool:
    """Write what became of a part; return whether it is told."""
    text = "; ".join(errors.values()) or None
    if text is None or (is_last and taken_by):
        alerts.note_told(
            database, part.alert_id, opening=part.tells_opening, resolution=part.tells_end, error=text, now=now
        )
        return text is None
    alerts.note_untold(database, part.alert_id, taken_by=taken_by, error=text)
    return False


def begin_watch(pipeline: PipelineResource) -> None:
    """Before a sync that nobody else may tell of: its end is news, even where alerts were never looked for."""
    if not pipeline.settings.alert_urls:
        return
    try:
        with pipeline.open_database() as database:
            alerts.start_watch(database, pipeline.clock())
    except StorageError as error:
        log.warning("the watch for alerts could not begin: %s", error)


def tell_after_sync(pipeline: PipelineResource) -> None:
    """After a sync in this process: whoever runs no daemon is alerted all the same. Never hurts the sync."""
    if not pipeline.settings.alert_urls:
        return
    try:
        with pipeline.open_database() as database:
            told = go_round(database, pipeline.settings, pipeline.clock(), may_wait=False)
    except StorageError as error:
        log.warning("no alerts were told: %s", error)
        return
    for line in told.errors:
        log.warning("an alert was not taken, and is tried again: %s", line)
