"""Scraping a metrics server of ours over real HTTP, on a sandbox market that real syncs may fill it from."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from optsync_pipeline.metrics.reading import Readings
from optsync_pipeline.metrics.server import MetricsServer
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.recovery import settings_for

SYMBOLS = 6
NOBODY = "postgresql://optsync:planted-pw@127.0.0.1:1/optsync"  # pragma: allowlist secret

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=SYMBOLS) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, database_url: str, tmp_path: Path) -> Settings:
    return settings_for(sandbox, database_url, home=tmp_path)


@contextmanager
def serving(settings: Settings, clock: Any = lambda: datetime.now(UTC)) -> Iterator[str]:
    """Serve on a free port; give the URL."""
    readings = Readings(settings, clock)
    with MetricsServer(readings, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()
    readings.close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(url: str) -> Samples:
    """Return a scrape's samples by name and labels."""
    status, text = get(f"{url}/metrics")
    assert status == 200
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def health(url: str) -> tuple[int, dict[str, Any]]:
    status, text = get(f"{url}/health")
    return status, json.loads(text)


def only(samples: Samples, name: str, **labels: str) -> float:
    return samples[name][tuple(sorted(labels.items()))]


def beat(database: Database, folder: Path, seconds_ago: float) -> None:
    """Write heartbeats of Dagster's daemons as Dagster writes them."""
    from dagster._daemon.types import DaemonHeartbeat

    from optsync_pipeline.local_runs import open_instance

    url, home = database._url, folder / "dagster"
    home.mkdir()
    with open_instance(home, f"postgresql+psycopg2://{url.partition('://')[2]}") as made:
        for name in ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "BACKFILL"):
            made.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, name, "id", []))
