"""What `optsync metrics` reads, all of it in one short transaction that starts no server, migrates nothing and waits
for nobody.

What is made of it is metrics/'s; who counts what only grows is metric_totals.py's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2.errors
import psycopg2.extensions

from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database, fetch_rows
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseFault
from optsync_pipeline.storage.job_lock import LOCK_CLASS
from optsync_pipeline.storage.provider_limits import ProviderState

Row = dict[str, Any]

STATEMENT_TIMEOUT_MS = 4000


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database says at one moment. totals: (metric, provider, kind) → total. ages in seconds by the clock."""

    totals: dict[tuple[str, str, str], float]
    providers: list[ProviderState]
    last_syncs: list[Row]
    running: Row
    ages: Row
    tables: list[Row]
    sessions: list[Row]


def data_url(settings: Settings) -> str:
    """Return the URL of the data; of an embedded server, as it last ran. Raises DatabaseUnavailable: it never did."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return EmbeddedPostgres(settings.home).url()


def dagster_data_url(settings: Settings) -> str:
    """Return the URL of Dagster's tables, as data_url does."""
    chosen = settings.dagster_database_url or settings.database_url
    return chosen.get_secret_value() if chosen is not None else EmbeddedPostgres(settings.home).url("dagster")


def read_figures(database: Database, *, behind: datetime) -> Figures:
    """Read everything, without a second try. behind: stocks with an older quote are counted. Raises StorageError."""
    try:
        with database.transaction() as cursor:
            _limit_time(cursor)
            totals = fetch_rows(cursor, "SELECT metric, provider, kind, total FROM metric_totals")
            return Figures(
                totals={(row["metric"], row["provider"], row["kind"]): row["total"] for row in totals},
                providers=[ProviderState(**row) for row in fetch_rows(cursor, "list_provider_limits", {"now": None})],
                last_syncs=fetch_rows(cursor, "list_last_syncs"),
                running=fetch_rows(cursor, "count_running_jobs", {"lock_class": LOCK_CLASS})[0],
                ages=fetch_rows(cursor, "read_quote_ages", {"behind": behind})[0],
                tables=fetch_rows(cursor, "count_table_rows"),
                sessions=fetch_rows(cursor, "count_sessions"),
            )
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn):
        raise DatabaseFault(
            f"the database at {database.address} lacks tables of this version: run `optsync db migrate`",
            retryable=False,
        ) from None


def read_heartbeats(database: Database) -> dict[str, float]:
    """Return how many seconds ago each of Dagster's daemons said that it lives; empty where none ever did."""
    try:
        with database.transaction() as cursor:
            _limit_time(cursor)
            rows = fetch_rows(cursor, "list_daemon_heartbeats")
    except psycopg2.errors.UndefinedTable:
        return {}
    return {row["daemon_type"]: row["age_seconds"] for row in rows}


def _limit_time(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("SET LOCAL statement_timeout = %s", (STATEMENT_TIMEOUT_MS,))
    cursor.execute("SET LOCAL lock_timeout = '1s'")
