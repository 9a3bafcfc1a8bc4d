"""What Dagster itself says of each symbol's partition after a sync: engine, vendors over HTTP and PostgreSQL are real.

The instance is the one that users get: the checkout's dagster.yaml with Dagster's storage in PostgreSQL.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.local_runs import add_partitions, open_instance, run_sync
from optsync_pipeline.resources import PipelineResource, SyncConfig, sync_run_config
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.settings import PROJECT_ROOT, load_settings
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.limits import UNLIMITED
from optsync_pipeline_tests.scripted_vendor import partition_states

TRADING = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # Monday, 11:00 in New York
ASSETS = ("stock_prices", "option_chains", "stock_premiums")
SYMBOLS = 12


@dataclass
class Installation:
    """An installation of the pipeline with a market to sync: what `optsync` puts together."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    pipeline: PipelineResource
    sandbox: Sandbox
    symbols: list[str]

    def states(self) -> dict[str, str]:
        """Return what Dagster says of each partition, the same for all three assets."""
        first, *others = [partition_states(self.instance, self.definitions, asset) for asset in ASSETS]
        assert all(other == first for other in others)
        return first

    def expected(self, failed: set[str]) -> dict[str, str]:
        """Return what it has to say where exactly these symbols failed."""
        return {symbol: "FAILED" if symbol in failed else "MATERIALIZED" for symbol in self.symbols}

    def sync_all(self) -> None:
        """Do what `optsync sync --all` does."""
        config = SyncConfig(symbols=self.symbols, sync_type="all", tries=1)
        run_sync(self.definitions, self.instance, self.pipeline, config)

    def run_partitions(self, *, partition_key: str | None = None, tags: dict[str, str] | None = None) -> None:
        """Run the assets as the UI and `dagster asset materialize` do: the implicit job, nothing but partitions."""
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(asset) for asset in ASSETS}
        )
        job.execute_in_process(
            instance=self.instance,
            run_config=sync_run_config(SyncConfig(tries=1)),
            partition_key=partition_key,
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture
def dagster_home(tmp_path: Path) -> Path:
    """A DAGSTER_HOME with the checkout's dagster.yaml."""
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    return tmp_path


@pytest.fixture
def installation(
    database_url: str, database: Database, empty_database_url: str, dagster_home: Path
) -> Iterator[Installation]:
    with (
        running_sandbox(symbols=SYMBOLS, clock=lambda: TRADING) as sandbox,
        open_instance(dagster_home, empty_database_url) as instance,
    ):
        settings = load_settings(
            env_file=None, database_url=database_url, providers="yahoo", yahoo_url=sandbox.yahoo_url, **UNLIMITED
        )
        pipeline = PipelineResource(settings, clock=lambda: TRADING)
        symbols = sandbox.symbols()
        stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
        add_partitions(instance, symbols)
        yield Installation(instance, build_definitions(settings, pipeline), pipeline, sandbox, symbols)


def test_after_a_sync_of_all_exactly_the_bad_symbols_are_failed(installation: Installation) -> None:
    never_good, good_before = installation.symbols[2], installation.symbols[7]
    installation.sandbox.fault("server_error", symbol=never_good)
    installation.sync_all()
    assert installation.states() == installation.expected(failed={never_good})

    installation.sandbox.fault("cut_json", symbol=good_before)
    installation.sync_all()

    assert installation.states() == installation.expected(failed={never_good, good_before})


def test_after_a_good_sync_of_all_every_symbol_is_materialized_again(installation: Installation) -> None:
    installation.sandbox.fault("server_error", symbol=installation.symbols[0])
    installation.sync_all()
    installation.sandbox.clear_faults()

    installation.sync_all()

    assert installation.states() == installation.expected(failed=set())


def test_after_a_backfill_of_a_range_exactly_the_bad_symbols_are_failed(installation: Installation) -> None:
    installation.sync_all()
    bad = {installation.symbols[3], installation.symbols[8]}
    for symbol in bad:
        installation.sandbox.fault("server_error", symbol=symbol)

    installation.run_partitions(
        tags={
            "dagster/asset_partition_range_start": installation.symbols[0],
            "dagster/asset_partition_range_end": installation.symbols[-1],
        }
    )

    assert installation.states() == installation.expected(failed=bad)


def test_a_single_bad_partition_is_failed_and_touches_no_other(installation: Installation) -> None:
    installation.sync_all()
    bad = installation.symbols[5]
    installation.sandbox.fault("html", symbol=bad)

    installation.run_partitions(partition_key=bad)

    assert installation.states() == installation.expected(failed={bad})


def test_a_single_good_partition_is_materialized(installation: Installation) -> None:
    installation.run_partitions(partition_key=installation.symbols[5])

    assert installation.states() == {installation.symbols[5]: "MATERIALIZED"}


def test_a_delisted_symbol_is_up_to_date(installation: Installation) -> None:
    installation.sandbox.fault("delisted", symbol=installation.symbols[1])

    installation.sync_all()

    assert installation.states() == installation.expected(failed=set())


SYNC_AND_BE_KILLED = """
import os, signal, sys
from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.local_runs import open_instance, run_sync
from optsync_pipeline.resources import NobodyWatches, PipelineResource, SyncConfig
from optsync_pipeline.settings import load_settings
from pathlib import Path

class DeadlyWatcher(NobodyWatches):
    told = 0
    def symbol_done(self, outcome):
        self.told += 1
        if self.told == 5:
            os.kill(os.getpid(), signal.SIGKILL)

home, dagster_url, *symbols = sys.argv[1:]
settings = load_settings(env_file=None)
pipeline = PipelineResource(settings, observer=DeadlyWatcher())
with open_instance(Path(home), dagster_url) as instance:
    run_sync(build_definitions(settings, pipeline), instance, pipeline, SyncConfig(symbols=symbols, sync_type="all"))
"""


def test_after_kill_9_the_job_is_continued_and_every_partition_is_right(
    database_url: str, database: Database, empty_database_url: str, dagster_home: Path
) -> None:
    with running_sandbox(symbols=SYMBOLS) as sandbox, open_instance(dagster_home, empty_database_url) as instance:
        symbols = sandbox.symbols()
        stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
        environment = {
            **os.environ,
            **sandbox.environment,
            "OPTSYNC_DATABASE_URL": database_url,
            "OPTSYNC_CHUNK_SYMBOLS": "4",
            "OPTSYNC_MAX_CONCURRENT_FETCHES": "1",
        }
        killed = subprocess.run(
            [sys.executable, "-c", SYNC_AND_BE_KILLED, str(dagster_home), empty_database_url, *symbols],
            env=environment,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        (dead_run,) = instance.get_runs()
        job_id = sync_log.find_job_of_runs(database, [dead_run.run_id])
        assert job_id is not None
        done = {row["symbol"] for row in sync_log.read_results(database, job_id) if row["status"] == "success"}
        assert 4 <= len(done) < SYMBOLS
        sandbox.reset_requests()

        settings = load_settings(
            env_file=None, database_url=database_url, providers="yahoo", yahoo_url=sandbox.yahoo_url, **UNLIMITED
        )
        pipeline = PipelineResource(settings)
        definitions = build_definitions(settings, pipeline)
        summary = run_sync(definitions, instance, pipeline, SyncConfig(symbols=symbols, sync_type="all", job_id=job_id))

        assert (summary.job_id, summary.fault) == (job_id, None)
        assert set(sandbox.requests("yahoo")["by_symbol"]) == set(symbols) - done
        assert partition_states(instance, definitions, "stock_premiums") == dict.fromkeys(symbols, "MATERIALIZED")
        dead = instance.get_run_by_id(dead_run.run_id)
        assert dead is not None
        assert dead.status == dg.DagsterRunStatus.FAILURE
