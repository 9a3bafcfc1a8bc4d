"""Incidents and their messages: found once, told once, ended once, whichever processes look at the same time.

    judge_news ──► a row of alerts_sent ──► claim_due ──► sent by alerts/ ──► note_told or note_untold
                   (unique while it is open)  (one process, for a minute)      (tried again, 6 times at most)

What makes an incident is decided in alerts/ by the function that judge_news calls; how it is sent is decided there too.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg2.extensions

from optsync_pipeline.storage.database import Database, fetch_rows
from optsync_pipeline.storage.queries import sql_text
from optsync_pipeline.storage.refused_rows import RULE as REFUSED_BY_DATABASE

Row = dict[str, Any]

MAX_ATTEMPTS = 6
"""With 1, 2, 4, 8, 16 minutes between them: half an hour, which an alert service that restarts does not need."""


@dataclass(frozen=True, slots=True)
class News:
    """What the rules look at.

    jobs: figures of jobs as sql/queries/list_jobs_to_judge.sql gives them, in the order of their ends. providers: rows
    of api_rate_limits. open_alerts: incidents that are open. newest_quote: of the active stocks; None without data.
    stocks, old_stocks: how many active ones have a quote, and how many of these are from before fresh_since.
    """

    now: datetime
    fresh_since: datetime
    jobs: Sequence[Row]
    providers: Sequence[Row]
    open_alerts: Sequence[Row]
    newest_quote: datetime | None
    stocks: int
    old_stocks: int

    @property
    def newest_job(self) -> Row | None:
        """The job that was started last."""
        return max(self.jobs, key=lambda job: job["job_id"], default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says about its subject now.

    opens: the incident is there; told where it is not open yet. ends: it is over; told where it is open. tells:
    something that happened and has no end; told once for each incident.
    """

    kind: Literal["opens", "ends", "tells"]
    rule: str
    incident: str
    title: str
    body: str
    job_id: int | None = None


def start_watch(database: Database, now: datetime) -> None:
    """Note that somebody is to be alerted from now on; the first time counts."""
    database.execute("INSERT INTO alert_watch (since) VALUES (%s) ON CONFLICT DO NOTHING", (now,))


def judge_news(
    database: Database,
    judge: Callable[[News], Sequence[Verdict]],
    *,
    now: datetime,
    oldest_end: datetime,
    late_seconds: float,
    fresh_since: datetime,
) -> None:
    """Read the news, have it judged, write what came of it: in one transaction, one process at a time.

    oldest_end: jobs that ended before are no news. late_seconds: running jobs are looked at from then on. fresh_since:
    quotes before are old. `judge` must be pure: the transaction may be run again.
    """

    def work(cursor: psycopg2.extensions.cursor) -> None:
        (watch,) = fetch_rows(cursor, "SELECT since FROM alert_watch FOR UPDATE")
        params = {
            "since": max(watch["since"], oldest_end),
            "now": now,
            "limit_seconds": late_seconds,
            "refused": REFUSED_BY_DATABASE,
        }
        jobs = fetch_rows(cursor, "list_jobs_to_judge", params)
        news = News(
            now=now,
            fresh_since=fresh_since,
            jobs=jobs,
            providers=fetch_rows(cursor, "SELECT * FROM api_rate_limits ORDER BY provider"),
            open_alerts=fetch_rows(cursor, "list_open_alerts"),
            **fetch_rows(cursor, "find_newest_quote", {"fresh_since": fresh_since})[0],
        )
        for verdict in judge(news):
            _write(cursor, verdict, now)
        for job in jobs:
            if job["has_ended"]:
                cursor.execute(
                    "UPDATE sync_jobs SET alerts_saw = %s WHERE job_id = %s", (job["completed_at"], job["job_id"])
                )

    database.run_transaction(work)


def _write(cursor: psycopg2.extensions.cursor, verdict: Verdict, now: datetime) -> None:
    params = {
        "rule": verdict.rule,
        "incident": verdict.incident,
        "job_id": verdict.job_id,
        "now": now,
        "resolved_at": now if verdict.kind == "tells" else None,
        "title": verdict.title,
        "body": verdict.body,
    }
    if verdict.kind == "ends":
        cursor.execute(
            "UPDATE alerts_sent SET resolved_at = %(now)s, resolution = %(body)s"
            " WHERE rule = %(rule)s AND incident = %(incident)s AND resolved_at IS NULL",
            params,
        )
        return
    cursor.execute(sql_text("insert_alert"), params)


def claim_due(database: Database, now: datetime) -> list[Row]:
    """Take upon the caller to tell what is to be told now, the oldest first; nobody else does within a minute."""
    rows = database.fetch_all("claim_alerts", {"now": now, "max_attempts": MAX_ATTEMPTS})
    return sorted(rows, key=lambda row: int(row["alert_id"]))


def told_lately(database: Database, since: datetime) -> tuple[int, datetime | None]:
    """Return how much was told since then, and since when what waits has waited (None: nothing does)."""
    row = database.fetch_one("count_told_alerts", {"since": since, "max_attempts": MAX_ATTEMPTS}) or {}
    return row["told"], row["waiting_since"]


def note_told(
    database: Database, alert_id: int, *, opening: bool, resolution: bool, error: str | None, now: datetime
) -> None:
    """Note that a message was taken; what of the incident it told. error: who did not take it and was given up."""
    params = {"alert_id": alert_id, "opening": opening, "resolution": resolution, "error": error, "now": now}
    database.execute("note_alert_told", params)


def note_untold(database: Database, alert_id: int, *, taken_by: Collection[str], error: str) -> None:
    """Note that some service did not take a message, why, and which did."""
    update = "UPDATE alerts_sent SET taken_by = %s, delivery_error = %s WHERE alert_id = %s"
    database.execute(update, (sorted(taken_by), error, alert_id))


def latest(database: Database, limit: int = 20) -> list[Row]:
    """Return the latest incidents, the open ones first."""
    return database.fetch_all("list_alerts", {"limit": limit})
