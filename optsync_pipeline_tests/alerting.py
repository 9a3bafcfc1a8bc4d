"""For the tests of alerts: jobs with given figures, and a service that keeps what it is sent."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from psycopg2.extras import Json

from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.chunks import open_job

START = datetime(2026, 7, 16, 20, 0, tzinfo=UTC)
"""A Thursday, 16:00 in New York: the close."""

TOKEN = "Tomato4Token"  # pragma: allowlist secret


class Inbox:
    """An alert service on loopback. answers: the status of each message to come; 200 when they are spent.

    drip: send a byte of the reply now and then instead of all of it, for ever.
    """

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.drip = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """Its address in Apprise's notation, with a token in the path."""
        return f"json://127.0.0.1:{self._server.server_port}/{TOKEN}"

    @property
    def titles(self) -> list[str]:
        """The titles of what it was sent and took."""
        return [message["title"].removeprefix("optsync: ") for message in self.messages]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if inbox.drip:
                    inbox._drip(self)
                    return
                status = inbox.answers.pop(0) if inbox.answers else 200
                if status == 200:
                    inbox.messages.append(message)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not self._closing.is_set():
            try:
                handler.wfile.write(b".")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)


@contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Serve an inbox until the block ends."""
    inbox = Inbox()
    thread = threading.Thread(target=inbox._server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield inbox
    finally:
        inbox._closing.set()
        inbox._server.shutdown()
        thread.join()
        inbox._server.server_close()


def alert_settings(database_url: str, *urls: str, **changes: Any) -> Settings:
    """Return settings that alert these services."""
    return load_settings(env_file=None, database_url=database_url, alert_urls=" ".join(urls), **changes)


def end_job(
    database: Database,
    results: Mapping[str, Mapping[str, Any]],
    *,
    ended: datetime = START,
    seconds: float = 60.0,
    status: str = "completed",
    **job: Any,
) -> int:
    """Put a job into the log that ended then and took so long; results: symbol → the columns that differ."""
    job_id = open_job(database, list(results), now=ended - timedelta(seconds=seconds), **job)
    for symbol, changes in results.items():
        set_result(database, job_id, symbol, **changes)
    sync_log.finish_job(database, job_id, status, ended)
    return job_id


def set_result(database: Database, job_id: int, symbol: str, **changes: Any) -> None:
    """Change the result of a symbol; without changes it is a success at the first try."""
    status = "failed" if changes.get("error_type") else "success"
    columns = {"status": status, "requests": 1, "retry_count": 0, "error_type": None} | changes
    if "attempts" not in columns:
        provider = {"provider": "yahoo", "error_type": columns["error_type"], "message": None, "duration_ms": 5}
        columns["attempts"] = [provider | {"requests": columns["requests"]}]
    columns["attempts"] = Json(columns["attempts"])
    assignments = ", ".join(f"{name} = %({name})s" for name in columns)
    database.execute(
        f"UPDATE sync_stock_results SET {assignments} WHERE job_id = %(job_id)s AND symbol = %(symbol)s",  # noqa: S608
        columns | {"job_id": job_id, "symbol": symbol},
    )


def symbols(count: int) -> list[str]:
    """Return so many symbols."""
    return [f"S{number:03}" for number in range(count)]


def well(count: int) -> dict[str, dict[str, Any]]:
    """Return the results of a sync in which all is well."""
    return {symbol: {} for symbol in symbols(count)}


def with_failures(count: int, failed: int, error_type: str = "api_timeout") -> dict[str, dict[str, Any]]:
    """Return the results of a sync of so many symbols, of which the first failed."""
    return well(count) | {symbol: {"error_type": error_type} for symbol in symbols(failed)}
