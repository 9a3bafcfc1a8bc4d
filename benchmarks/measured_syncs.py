"""Runs `optsync sync` in a home and database of its own against a sandbox, and tells what that took.

The command is the whole process as a user starts it. What a benchmark asks, and what it prints, is its own file's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optsync_pipeline.sandbox.running import Sandbox, sandbox_process
from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database

_OPTSYNC = str(Path(sys.executable).with_name("optsync"))
_ENDED_WITH_FAILED_SYMBOLS = 1


@dataclass(frozen=True, slots=True)
class MeasuredSync:
    """A sync that ended. process_seconds: start-up and ranking included; job_seconds: from the job's begin to its end.

    job and results: its rows of sync_jobs and sync_stock_results. traffic: of each provider, what the sandbox counted.
    """

    process_seconds: float
    job: Mapping[str, Any]
    results: list[dict[str, Any]]
    traffic: Mapping[str, Mapping[str, Any]]

    @property
    def job_seconds(self) -> float:
        """How long the job took."""
        return float(self.job["duration_seconds"])

    def statuses(self) -> dict[str, int]:
        """Count the symbols by how they ended."""
        found = [str(row["status"]) for row in self.results]
        return {status: found.count(status) for status in sorted(set(found))}

    def served_by(self, provider: str) -> int:
        """Count the symbols whose chain a provider delivered."""
        return sum(row["status"] == "success" and row["data_provider"] == provider for row in self.results)


class Home:
    """A home of optsync with the sandbox's stocks and no syncs yet."""

    def __init__(self, folder: Path, sandbox: Sandbox, settings: Mapping[str, str]) -> None:
        self._sandbox = sandbox
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPTSYNC_", "DAGSTER_"))}
        self._environment = {**kept, "PYTHONPATH": str(PROJECT_ROOT), "OPTSYNC_HOME": str(folder), **settings}

    def run(self, *arguments: str) -> str:
        """Run the command; return what it printed."""
        command = [_OPTSYNC, *arguments]
        return subprocess.run(command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def sync(self, *arguments: str, settings: Mapping[str, str] | None = None) -> MeasuredSync:
        """Run a sync of all stocks, fresh ones too, to its end. settings: for this one alone."""
        self._sandbox.reset_requests()
        begun = time.monotonic()
        ended = subprocess.run(
            [_OPTSYNC, "sync", "--all", "--fresh", *arguments],
            env={**self._environment, **(settings or {})},
            check=False,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - begun
        if ended.returncode not in (0, _ENDED_WITH_FAILED_SYMBOLS):
            raise SystemExit(f"the sync ended with {ended.returncode}")
        traffic = self._sandbox.control("GET", "requests")["providers"]
        database = Database(self.run("db", "url").strip())
        try:
            job = sync_log.list_jobs(database, 1)[0]
            return MeasuredSync(seconds, job, sync_log.read_results(database, job["job_id"]), traffic)
        finally:
            database.close()


@contextmanager
def new_home(sandbox: Sandbox, settings: Mapping[str, str]) -> Iterator[Home]:
    """Give a home with the sandbox's stocks, its database running; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        # Readable for the unprivileged user that PostgreSQL runs as where this is started by root.
        Path(folder).chmod(0o755)
        symbols = Path(folder) / "symbols.csv"
        symbols.write_bytes(sandbox.symbols_csv())
        home = Home(Path(folder) / "home", sandbox, settings)
        try:
            home.run("stocks", "import", str(symbols))
            yield home
        finally:
            home.run("db", "stop")


def limits_of(provider: str, per_minute: int, per_hour: int) -> dict[str, str]:
    """Return the settings of a provider's limits."""
    name = f"OPTSYNC_{provider.upper()}"
    return {f"{name}_REQUESTS_PER_MINUTE": f"{per_minute}", f"{name}_REQUESTS_PER_HOUR": f"{per_hour}"}


def verdict(reached: bool) -> str:
    """Return the word for a target."""
    return "reached" if reached else "MISSED"


def compare_two_vendors(doc: str | None, compare: Callable[[Sandbox, str, str], None]) -> None:
    """Read the command line of a benchmark of two vendors, and run it. doc: its module's, whose first line is shown."""
    arguments = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else "")
    arguments.add_argument("--symbols", type=int, default=1205)
    arguments.add_argument("--first", default="yahoo")
    arguments.add_argument("--second", default="cboe")
    arguments.add_argument("--latency", type=float, default=0.08)
    options = arguments.parse_args()
    with sandbox_process(symbols=options.symbols, latency_seconds=options.latency) as sandbox:
        compare(sandbox, options.first, options.second)
