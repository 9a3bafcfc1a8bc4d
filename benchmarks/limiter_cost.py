"""What do the shared limit and breaker cost a request?

    python -m benchmarks.limiter_cost

A request's cost is a token taken and its good reply noted, on a real PostgreSQL with a limit so high that nobody waits
for it: by one process alone; by 8 processes that together ask 100 times a second, three times what the default limits
of all vendors allow; and by 8 processes as fast as they can, where each waits for the others' row lock and for a core.
"""

import itertools
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.storage.provider_limits import ProviderLimits

PROVIDERS = ["yahoo", "cboe"]
NO_LIMIT = 100_000_000
REQUESTS = 2000
PROCESSES = 8
PACED_PER_SECOND = 100
TARGET_MS = 1.0


class Job(NamedTuple):
    """How many requests a process makes, and how long it pauses between them."""

    url: str
    requests: int
    pause_seconds: float


def request_ms(job: Job) -> list[float]:
    """Return what each request's token and note took, in milliseconds."""
    limits = ProviderLimits(Database(job.url))
    times = []
    for _ in range(job.requests):
        started = time.perf_counter()
        offer = limits.take(PROVIDERS)
        limits.note_success(offer.provider or "")
        times.append(1000 * (time.perf_counter() - started))
        time.sleep(job.pause_seconds)
    limits.close()
    return times[len(times) // 20 :]  # the first ones also connect


def report(name: str, times: list[float]) -> float:
    """Print one way of asking; return its median in milliseconds."""
    median, slow = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"{name:45}{median:9.2f}{slow:9.2f}{median / TARGET_MS:12.2f}")
    return median


def measure(url: str) -> None:
    """Print the costs and whether the target is reached."""
    limits = ProviderLimits(Database(url))
    for provider in PROVIDERS:
        limits.declare(provider, NO_LIMIT, NO_LIMIT)
    print(f"{'ms a request':45}{'median':>9}{'p95':>9}{'x 1 ms':>12}")
    alone = report("1 process", request_ms(Job(url, REQUESTS, 0)))
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        paced = [Job(url, REQUESTS // 4, PROCESSES / PACED_PER_SECOND)] * PROCESSES
        times = list(itertools.chain.from_iterable(pool.map(request_ms, paced, 1)))
        calm = report(f"{PROCESSES} processes, {PACED_PER_SECOND} requests a second", times)
        started = time.perf_counter()
        hurried = [Job(url, REQUESTS, 0)] * PROCESSES
        times = list(itertools.chain.from_iterable(pool.map(request_ms, hurried, 1)))
        rate = PROCESSES * REQUESTS / (time.perf_counter() - started)
    report(f"{PROCESSES} processes, {rate:,.0f} requests a second", times)
    reached = max(alone, calm) <= TARGET_MS
    print(f"target: median at most {TARGET_MS:g} ms: {'reached' if reached else 'MISSED'} ({max(alone, calm):.2f})")


def main() -> None:
    """Measure on a server that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user
        server = EmbeddedPostgres(Path(folder) / "home", system_folder=Path(folder) / "system")
        try:
            url = server.ensure_running()
            database = Database(url)
            apply_migrations(database)
            database.close()
            measure(url)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
