"""A sync in this process: bulk, the failed ones once more, the ranking; and runs whose process is gone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psutil
import pytest
from pydantic import SecretStr

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.local_runs import SyncSummary, open_instance, run_sync
from optsync_pipeline.resources import LOCAL_RUN_TAG, SyncConfig
from optsync_pipeline.runs import report_dead_runs
from optsync_pipeline.storage import alerts
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable
from optsync_pipeline_tests.alerting import TOKEN, open_inbox
from optsync_pipeline_tests.scripted_vendor import Bench, fails

SYMBOLS = ["AAPL", "BRK.B", "MSFT", "NVDA"]
IN_BULK = SyncConfig(symbols=SYMBOLS, sync_type="all", tries=1)


@pytest.fixture
def bench(database_url: str, database: Database) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(database_url, database, instance, SYMBOLS)


def sync(bench: Bench, config: SyncConfig = IN_BULK) -> SyncSummary:
    return run_sync(bench.definitions, bench.instance, bench.pipeline, config)


def test_a_sound_sync_is_one_run_and_a_ranking(bench: Bench) -> None:
    summary = sync(bench)

    assert summary == SyncSummary(summary.run_id, bench.job()["job_id"])
    assert [run.job_name for run in bench.instance.get_runs()] == ["rank_premiums", "sync_market_data"]
    assert bench.job()["run_id"] == summary.run_id
    assert bench.job()["ranked_at"] is not None
    assert bench.states() == dict.fromkeys(SYMBOLS, "MATERIALIZED")


def test_exactly_the_failed_symbols_end_failed(bench: Bench) -> None:
    sync(bench)
    bench.vendor.faults |= {"AAPL": fails("AAPL"), "NVDA": fails("NVDA")}

    summary = sync(bench)

    assert (summary.reasked, summary.fault, summary.ranking_fault) == (2, None, None)
    assert bench.states() == {"AAPL": "FAILED", "BRK.B": "MATERIALIZED", "MSFT": "MATERIALIZED", "NVDA": "FAILED"}
    assert bench.job()["failed_stocks"] == 2


def test_a_symbol_that_heals_is_good_in_the_end(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    bench.watcher.sync_started = lambda run, *, reask: bench.vendor.faults.clear() if reask else None  # type: ignore[method-assign]

    sync(bench)

    assert bench.states() == dict.fromkeys(SYMBOLS, "MATERIALIZED")
    assert bench.job()["failed_stocks"] == 0


def test_the_observer_is_told_of_each_run_and_of_each_symbol(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")

    sync(bench)

    assert bench.watcher.started == [(4, False), (1, True)]
    assert sorted(bench.watcher.done) == sorted([*SYMBOLS, "MSFT"])


def test_too_many_failed_symbols_are_not_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsync_pipeline.local_runs.MAX_REASKED_SYMBOLS", 1)
    bench.vendor.faults |= {"AAPL": fails("AAPL"), "NVDA": fails("NVDA")}

    assert sync(bench).reasked == 0


def test_a_symbol_without_a_partition_gets_one(bench: Bench) -> None:
    bench.instance.delete_dynamic_partition("symbol", "MSFT")

    sync(bench)

    assert bench.states()["MSFT"] == "MATERIALIZED"


def test_a_ranking_that_is_stopped_says_so(bench: Bench) -> None:
    sync(bench)
    bench.database.execute("UPDATE stock_premiums SET monthly_return = 99 WHERE symbol = 'MSFT'")

    summary = sync(bench, SyncConfig(symbols=["AAPL"], sync_type="symbols"))

    assert summary.fault is None
    assert "premium_schema" in str(summary.ranking_fault)


def test_a_sync_that_cannot_begin_says_why(bench: Bench) -> None:
    summary = sync(bench, SyncConfig())

    assert summary.job_id is None
    assert "no symbols" in str(summary.fault)


def test_a_sync_that_cannot_begin_says_why_in_our_words_and_not_in_dagsters(bench: Bench) -> None:
    summary = sync(bench, SyncConfig(symbols=SYMBOLS, prices_only=True))

    assert summary.job_id is None
    assert summary.fault == "prices alone cannot be had of yahoo: add yahoo or robinhood to OPTSYNC_PROVIDERS"


@pytest.mark.parametrize(
    ("error", "told"),
    [(DatabaseFault("a row is bad", retryable=False), "a row is bad"), (KeyError("x"), "KeyError: 'x'")],
)
def test_of_a_chain_of_causes_the_outermost_that_is_not_dagsters_is_told(
    bench: Bench, error: Exception, told: str
) -> None:
    def fail(run: object, *, reask: bool) -> None:
        raise error from OSError("what the driver said")

    bench.watcher.sync_started = fail  # type: ignore[method-assign]

    assert sync(bench).fault == told


def test_ctrl_c_cancels_job_and_run_and_starts_nothing_more(bench: Bench) -> None:
    bench.vendor.hold.clear()
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    threading.Timer(1.3, bench.vendor.hold.set).start()

    summary = sync(bench)

    assert summary.cancelled
    assert bench.job()["status"] == "cancelled"
    assert [run.status for run in bench.instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]


def test_nothing_of_dagster_reaches_the_terminal(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")

    sync(bench)

    assert capfd.readouterr() == ("", "")


def started_run(instance: dg.DagsterInstance, process: str) -> dg.DagsterRun:
    """Leave a run behind as a process that works on it, or that died."""

    @dg.job
    def nothing_to_do() -> None: ...

    return instance.create_run_for_job(nothing_to_do, status=dg.DagsterRunStatus.STARTED, tags={LOCAL_RUN_TAG: process})


def name_of(process: psutil.Process) -> str:
    import socket

    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def test_a_run_whose_process_was_killed_is_reported_as_failed(bench: Bench) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = started_run(bench.instance, name_of(psutil.Process(child.pid)))
    child.kill()
    child.communicate()

    assert report_dead_runs(bench.instance) == [run.run_id]
    dead = bench.instance.get_run_by_id(run.run_id)
    assert dead is not None
    assert dead.status == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_lives_or_is_elsewhere_is_left_alone(bench: Bench) -> None:
    started_run(bench.instance, name_of(psutil.Process()))
    started_run(bench.instance, "another-machine:1:1.00")

    assert report_dead_runs(bench.instance) == []


def test_a_clock_that_was_set_makes_no_living_run_look_dead(bench: Bench) -> None:
    host, pid, started = name_of(psutil.Process()).rsplit(":", 2)
    started_run(bench.instance, f"{host}:{pid}:{float(started) + 1.5:.2f}")

    assert report_dead_runs(bench.instance) == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_a_dagster_database_that_is_down_is_one_line_that_names_it(
    scheme: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        open_instance(tmp_path, f"{scheme}://nobody:secret@127.0.0.1:1/none")

    assert str(caught.value).startswith("Dagster's own database (OPTSYNC_DAGSTER_DATABASE_URL")
    assert "127.0.0.1:1/none gives no connection" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_process_id_that_was_used_again_is_another_process(bench: Bench) -> None:
    host, pid, _ = name_of(psutil.Process()).rsplit(":", 2)
    run = started_run(bench.instance, f"{host}:{pid}:1.00")

    assert report_dead_runs(bench.instance) == [run.run_id]


# -- alerts ------------------------------------------------------------------------------------------------------------


def alerting(bench: Bench, *urls: str) -> Bench:
    """Have the bench's syncs alert these services."""
    settings = bench.pipeline.settings.model_copy(update={"alert_urls": tuple(SecretStr(url) for url in urls)})
    bench.pipeline = replace(bench.pipeline, settings=settings)
    bench.definitions = build_definitions(settings, bench.pipeline)
    return bench


def test_the_very_first_sync_alerts_at_its_end_without_a_daemon(bench: Bench) -> None:
    bench.vendor.faults["MSFT"] = fails("MSFT")
    with open_inbox() as inbox:
        summary = sync(alerting(bench, inbox.url))
        assert [title.partition(" sync job")[0] for title in inbox.titles] == [
            f"sync job {summary.job_id} (all) completed: 3 ok, 1 failed",
            "75 % of symbols done in",
        ]
    told = {row["rule"]: row for row in alerts.latest(bench.database)}
    assert told["low_success"]["job_id"] == summary.job_id
    assert "- api_timeout 1: MSFT" in told["low_success"]["body"]


def test_a_dead_alert_service_changes_nothing_about_a_sync(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    summary = sync(alerting(bench, f"json://127.0.0.1:1/{TOKEN}"))

    assert summary == SyncSummary(summary.run_id, bench.job()["job_id"])
    assert "an alert was not taken, and is tried again: 1 json: no connection" in caplog.text
    assert TOKEN not in caplog.text
