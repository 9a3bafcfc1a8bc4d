"""An installation that runs by itself: `optsync up` with web server and daemon, a sandbox market, fresh databases.

Runs are asked for through the web server's GraphQL, as the UI asks; what became of them is read from the instance.
"""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from optsync_pipeline.local_runs import open_instance
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline_tests.commands import run_program, start_program
from optsync_pipeline_tests.limits import UNLIMITED_ENVIRONMENT
from optsync_pipeline_tests.postgres import TEMPLATE, new_database, new_open_folder

LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
SELECTOR = {
    "repositoryLocationName": "optsync_pipeline",
    "repositoryName": "__repository__",
    "pipelineName": "sync_market_data",
}


@dataclass
class Unattended:
    """What runs: its settings as environment, its market, its databases, its web server."""

    environment: dict[str, str]
    url: str
    sandbox: Sandbox
    database: Database
    instance: dg.DagsterInstance

    def launch(self, config: dict[str, Any], tags: dict[str, str] | None = None) -> str:
        """Ask for a run of the sync; return its id."""
        params = {
            "selector": SELECTOR,
            "runConfigData": json.dumps({"ops": {"market_data": {"config": config}}}),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        body = json.dumps({"query": LAUNCH, "variables": {"params": params}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            told = json.load(reply)
        assert told["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", told
        return str(told["data"]["launchRun"]["run"]["runId"])

    def run(self, run_id: str) -> dg.RunRecord:
        """Return what Dagster knows of a run."""
        record = self.instance.get_run_record_by_id(run_id)
        assert record is not None
        return record

    def status(self, run_id: str) -> str:
        """Return a run's status."""
        return self.run(run_id).dagster_run.status.value

    def process_of(self, run_id: str) -> int:
        """Return the id of the process that does a run, as Dagster's events tell it."""
        entries = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        told = [re.search(r"pid: (\d+)", entry.message) for entry in entries]
        return int(next(match[1] for match in told if match))

    def job_of(self, run_id: str) -> dict[str, Any] | None:
        """Return the job of sync_jobs that a run opened or continued."""
        job_id = sync_log.find_job_of_runs(self.database, [run_id])
        return sync_log.read_job(self.database, job_id) if job_id is not None else None

    def jobs(self, sync_type: str) -> list[dict[str, Any]]:
        """Return the jobs of a kind, the oldest first."""
        return self.database.fetch_all("SELECT * FROM sync_jobs WHERE sync_type = %s ORDER BY job_id", (sync_type,))


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    """Wait until something is so, and return it; fail after that long."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come to be in {seconds:g} s: {what}"
        time.sleep(0.2)
    return found


@contextmanager
def running_unattended(server: EmbeddedPostgres, port: int, *, symbols: int) -> Iterator[Unattended]:
    """Start it all and stop it all."""
    with (
        new_open_folder() as folder,
        new_database(server, f" TEMPLATE {TEMPLATE}") as data_url,
        new_database(server) as dagster_url,
        running_sandbox(symbols=symbols) as sandbox,
    ):
        environment = {
            **UNLIMITED_ENVIRONMENT,
            **sandbox.environment_of("yahoo"),
            "OPTSYNC_HOME": str(folder / "home"),
            "OPTSYNC_DATABASE_URL": data_url,
            "OPTSYNC_DAGSTER_DATABASE_URL": dagster_url,
            "OPTSYNC_PROVIDERS": "yahoo",
            "OPTSYNC_CHUNK_SYMBOLS": "2",
            "OPTSYNC_WEBSERVER_PORT": str(port),
        }
        database = Database(data_url)
        stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in sandbox.symbols()])
        up = start_program("up", settings=environment)
        try:
            assert up.stdout is not None
            assert any("optsync is up at" in line for line in up.stdout), up.communicate()
            with open_instance(_own_home(folder), dagster_url) as instance:
                yield Unattended(environment, f"http://127.0.0.1:{port}", sandbox, database, instance)
        finally:
            run_program("down", settings=environment)
            up.communicate(timeout=60)
            database.close()


def _own_home(folder: Path) -> Path:
    """Return a Dagster home for the test's own look at the instance, with the checkout's dagster.yaml."""
    home = folder / "looking"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    return home


def spans(records: Sequence[dg.RunRecord]) -> list[tuple[float, float]]:
    """Return when each run worked, from and to, in seconds since 1970, by their beginning."""
    found = [(record.start_time, record.end_time) for record in records]
    assert all(start is not None and end is not None for start, end in found)
    return sorted((start, end) for start, end in found if start is not None and end is not None)
