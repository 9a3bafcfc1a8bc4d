"""Looks at the databases for whoever asks: one look at a time, shared for some seconds, waited for only so long.

A scrape must answer while PostgreSQL does not, and ten scrapers must not cost more than one.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from optsync_pipeline.calendar import Session, latest_session
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.storage.metric_readings import (
    Figures,
    dagster_data_url,
    data_url,
    read_figures,
    read_heartbeats,
)

T = TypeVar("T")

FRESH_SECONDS = 3.0
PATIENCE_SECONDS = 5.0
"""Half of the 10 s after which Prometheus gives a scrape up."""


class SharedLook(Generic[T]):
    """The result of `look`, not older than fresh_seconds; safe for threads, which share one look."""

    def __init__(
        self,
        look: Callable[[], T],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._latest: Future[T] | None = None
        self._ended = 0.0

    def get(self) -> T:
        """Return the latest look, or raise what it raised; DatabaseUnavailable where it takes too long."""
        with self._lock:
            latest = self._latest
            if latest is None or (latest.done() and time.monotonic() - self._ended > self._fresh_seconds):
                latest = self._latest = Future()
                # A daemon: a look that hangs must not keep the process from ending.
                threading.Thread(target=self._fill, args=(latest,), name="look", daemon=True).start()
        try:
            return latest.result(timeout=self._patience_seconds)
        except TimeoutError:
            raise DatabaseUnavailable(f"PostgreSQL does not answer within {self._patience_seconds:g} s") from None

    def _fill(self, latest: "Future[T]") -> None:
        try:
            found = self._look()
        except BaseException as fault:  # noqa: BLE001 - raised where it is asked for
            self._ended = time.monotonic()
            latest.set_exception(fault)
        else:
            self._ended = time.monotonic()
            latest.set_result(found)


class Readings:
    """The figures of the data and the heartbeats of Dagster's daemons. Both getters raise StorageError."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.settings = settings
        self.clock = clock
        self._databases: dict[str, Database] = {}
        self._figures = SharedLook(self._read_figures)
        self._heartbeats = SharedLook(self._read_heartbeats)

    def figures(self) -> Figures:
        """Return what the database says."""
        return self._figures.get()

    def heartbeats(self) -> dict[str, float]:
        """Return how many seconds ago each of Dagster's daemons said that it lives."""
        return self._heartbeats.get()

    def close(self) -> None:
        """Let go of connections."""
        for database in self._databases.values():
            database.close()

    def _read_figures(self) -> Figures:
        behind = session_before_latest(self.clock()).open
        return read_figures(self._database("data", data_url(self.settings)), behind=behind)

    def _read_heartbeats(self) -> dict[str, float]:
        return read_heartbeats(self._database("dagster", dagster_data_url(self.settings)))

    def _database(self, whose: str, url: str) -> Database:
        """Return a database; another one than before where the embedded server came back on another port."""
        key = f"{whose} {url}"
        if key not in self._databases:
            for known in [one for one in self._databases if one.startswith(f"{whose} ")]:
                self._databases.pop(known).close()
            self._databases[key] = Database(url)
        return self._databases[key]


def session_before_latest(now: datetime) -> Session:
    """Return the session before the latest that has begun: what is older than it is older than a trading day."""
    return latest_session(latest_session(now).open - timedelta(seconds=1))
