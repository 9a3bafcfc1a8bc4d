"""Do 8 processes on one limit keep it, and use it?

    python -m benchmarks.shared_limit [--per-minute 600] [--seconds 65]

They share a real PostgreSQL, and ask an HTTP server on loopback that notes when each request arrives: what counts is
what the vendor sees. Printed: the most requests in any second and any minute, and the share of the budget used.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.storage.provider_limits import ProviderLimits

PROCESSES = 8
NO_LIMIT = 1_000_000
TARGET_SHARE = 0.95


class Job(NamedTuple):
    """What a process is told: the database, the vendor's port, when to stop (seconds since 1970)."""

    url: str
    port: int
    until: float


class CountingVendor(ThreadingHTTPServer):
    """Answers everything, and notes when each request arrived."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.arrivals: list[float] = []


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, CountingVendor)
        self.server.arrivals.append(time.monotonic())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def ask(job: Job) -> None:
    """Ask the vendor for as long as the job says, each request with a token of its own."""
    limits = ProviderLimits(Database(job.url))
    with closing(HTTPConnection("127.0.0.1", job.port)) as connection:
        while time.time() < job.until:
            offer = limits.take(["yahoo"])
            time.sleep(offer.wait_seconds)
            if not limits.still_good(offer):
                continue
            connection.request("GET", "/")
            connection.getresponse().read()
            limits.note_success("yahoo")
    limits.close()


def most_within(arrivals: list[float], window_seconds: float) -> int:
    """Return the most arrivals in any window of that length."""
    first, most = 0, 0
    for last, arrival in enumerate(arrivals):
        while arrivals[first] <= arrival - window_seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def measure(url: str, per_minute: int, seconds: float) -> None:
    """Let the processes ask, and print what the vendor saw."""
    ProviderLimits(Database(url)).declare("yahoo", per_minute, NO_LIMIT)
    burst = min(max(per_minute // 10, 1), 10)
    with CountingVendor() as vendor, multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
        pool.map(abs, range(PROCESSES), 1)  # all have started
        pool.map(ask, [Job(url, vendor.server_port, time.time() + seconds)] * PROCESSES, 1)
        vendor.shutdown()
        arrivals = sorted(vendor.arrivals)
    length = arrivals[-1] - arrivals[0]
    share = (len(arrivals) - 1) / (length * per_minute / 60)
    second, minute = most_within(arrivals, 1), most_within(arrivals, 60)
    print(f"{PROCESSES} processes, {per_minute} a minute, {length:.1f} s: {len(arrivals)} requests")
    print(f"most in any second: {second}; limit and burst: {per_minute / 60 + burst:g}")
    print(f"most in any minute: {minute}; limit: {per_minute}")
    print(f"share of the budget used: {100 * share:.1f} %")
    reached = second <= per_minute / 60 + burst and minute <= per_minute and share >= TARGET_SHARE
    print(f"target: limits kept, at least {100 * TARGET_SHARE:g} % used: {'reached' if reached else 'MISSED'}")


def main() -> None:
    """Measure on a server that is gone afterwards."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--per-minute", type=int, default=600)
    arguments.add_argument("--seconds", type=float, default=65)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user
        server = EmbeddedPostgres(Path(folder) / "home", system_folder=Path(folder) / "system")
        try:
            url = server.ensure_running()
            database = Database(url)
            apply_migrations(database)
            database.close()
            measure(url, options.per_minute, options.seconds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
