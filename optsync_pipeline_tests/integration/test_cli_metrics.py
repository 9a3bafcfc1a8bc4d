"""`optsync metrics` as a program: serves until it is told to end, and the log of a sync as a person meets it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.commands import run_program, settings_of_test, start_program
from optsync_pipeline_tests.scraping import get, only, scrape
from optsync_pipeline_tests.test_logs import lines_of

__all__ = ["settings_of_test"]

DAGSTER = Path(sys.executable).parent / "dagster"
DEFINITIONS = "optsync_pipeline.definitions"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=3) as running:
        yield running


def url_of(process: subprocess.Popen[str]) -> str:
    """Return where it says that it serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("metrics are at "), process.communicate()
    return line.split()[3].rstrip(",").removesuffix("/metrics")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_on_the_port_of_the_settings_until_it_is_stopped(
    number: signal.Signals, settings_of_test: dict[str, str], port: int
) -> None:
    process = start_program("metrics", settings={**settings_of_test, "OPTSYNC_METRICS_PORT": str(port)})
    assert url_of(process) == f"http://127.0.0.1:{port}"
    assert only(scrape(f"http://127.0.0.1:{port}"), "optsync_up") == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    with pytest.raises(OSError, match="refused"):
        get(f"http://127.0.0.1:{port}/metrics")


def test_a_busy_port_is_said_with_another_to_try(settings_of_test: dict[str, str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        ended = run_program("metrics", "--port", str(taken), settings=settings_of_test)
    assert ended.exit_code == 2
    assert f"port {taken} on 127.0.0.1 cannot be had" in ended.err
    assert "--port" in ended.err


def test_a_sync_of_the_command_line_leaves_its_story_in_the_log_and_the_terminal_as_it_was(
    settings_of_test: dict[str, str], sandbox: Sandbox, database: Database
) -> None:
    settings = {**settings_of_test, **sandbox.environment}
    symbols = sandbox.symbols()
    sandbox.fault("html", symbol=symbols[0])
    stocks.upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
    ended = run_program("sync", "--all", settings=settings)
    assert ended.exit_code == 1
    assert [line for line in ended.err.splitlines() if "[" in line or "optsync_pipeline" in line] == []
    lines = lines_of(Path(settings["OPTSYNC_HOME"]))
    tries = [line for line in lines if line["event"].startswith("try 1 failed")]
    assert {(line["job"], line["symbol"], line["provider"]) for line in tries} == {
        (1, symbols[0], "yahoo"),
        (1, symbols[0], "cboe"),
    }
    assert {line["symbol"] for line in lines if line["event"] == "success"} == set(symbols[1:])
    shown = run_program("status", "--json", settings={**settings, "OPTSYNC_LOG_LEVEL": "DEBUG"})
    assert json.loads(shown.out)["jobs"][0]["failed_stocks"] == 1


def test_a_run_of_dagster_logs_to_the_same_file(settings_of_test: dict[str, str], sandbox: Sandbox) -> None:
    settings = {**settings_of_test, **sandbox.environment}
    assert run_program("stocks", "add", "AAPL", settings=settings).exit_code == 0
    home = Path(settings["OPTSYNC_HOME"])
    assets = "stock_prices,option_chains,stock_premiums"
    ended = subprocess.run(
        [str(DAGSTER), "asset", "materialize", "--select", assets, "--partition", "AAPL", "-m", DEFINITIONS],
        env={**os.environ, **settings, "DAGSTER_HOME": str(home / "dagster")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    lines = lines_of(home)
    assert [line["symbol"] for line in lines if line["event"] == "success"] == ["AAPL"]
    assert lines[-1]["event"].startswith("sync ends: completed, 1 ok")
