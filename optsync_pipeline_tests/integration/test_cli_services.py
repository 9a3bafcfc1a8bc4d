"""`optsync up`, `down` and `demo` as programs: what they start, what they refuse, and that nothing is left running."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from optsync_pipeline.cli.processes import read_note
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline_tests.commands import run_program, start_program

START_SECONDS = 90


@pytest.fixture
def settings(open_folder: Path) -> Iterator[dict[str, str]]:
    """A fresh home with an embedded server; all that runs on it is stopped at the end."""
    found = {
        "OPTSYNC_HOME": str(open_folder / "home"),
        "OPTSYNC_DATABASE_URL": "",
        "OPTSYNC_DAGSTER_DATABASE_URL": "",
        "OPTSYNC_WEBSERVER_PORT": str(free_port()),
    }
    yield found
    run_program("down", settings=found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def home_of(settings: dict[str, str]) -> Path:
    return Path(settings["OPTSYNC_HOME"])


def start_up(settings: dict[str, str]) -> subprocess.Popen[str]:
    """Start `optsync up` and wait until it says that it is up."""
    process = start_program("up", settings=settings)
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    for line in process.stdout:
        if "optsync is up at" in line:
            return process
        assert time.monotonic() < deadline
    raise AssertionError(process.communicate())


def family_of(settings: dict[str, str]) -> list[psutil.Process]:
    """Everything that runs for this home, PostgreSQL aside."""
    note = read_note(home_of(settings) / "up.json")
    assert note is not None
    found = {member.pid: member for process in note.living() for member in (process, *process.children(recursive=True))}
    return list(found.values())


def test_up_serves_refuses_a_second_one_and_ends_with_ctrl_c(settings: dict[str, str]) -> None:
    process = start_up(settings)
    url = f"http://127.0.0.1:{settings['OPTSYNC_WEBSERVER_PORT']}"
    with urllib.request.urlopen(f"{url}/server_info") as reply:
        assert reply.status == 200
    second = run_program("up", settings=settings)
    assert second.exit_code == 2
    assert f"already runs at {url}" in second.err
    family = family_of(settings)
    assert len(family) >= 3
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "stopping the web UI and the daemon" in out
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert EmbeddedPostgres(home_of(settings)).status().running
    assert run_program("down", settings=settings).out == "web UI and daemon were not running\nPostgreSQL is stopped\n"


def test_down_stops_up_and_what_a_killed_up_left(settings: dict[str, str]) -> None:
    process = start_up(settings)
    family = family_of(settings)
    process.kill()
    process.communicate()
    ended = run_program("down", settings=settings)
    assert ended.exit_code == 0
    # Dagster's code servers notice by themselves, at their next heartbeat (20 s), that nobody needs them.
    assert psutil.wait_procs(family, timeout=40)[1] == []
    assert not EmbeddedPostgres(home_of(settings)).status().running
    again = run_program("down", settings=settings)
    assert (again.exit_code, again.out) == (0, "web UI and daemon were not running\nPostgreSQL was not running\n")


def test_a_busy_port_is_said_with_another_to_try(settings: dict[str, str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(settings["OPTSYNC_WEBSERVER_PORT"])))
        busy.listen()
        ended = run_program("up", settings=settings)
    assert ended.exit_code == 2
    assert f"port {settings['OPTSYNC_WEBSERVER_PORT']} on 127.0.0.1 cannot be had" in ended.err
    assert "--port" in ended.err


def test_the_demo_works_twice_is_marked_and_leaves_nothing_running(settings: dict[str, str]) -> None:
    for _ in range(2):
        before = {process.pid for process in psutil.process_iter()}
        ended = run_program("demo", "--symbols", "12", settings=settings)
        assert ended.exit_code == 0, ended.err
        assert "symbols    12: 12 ok" in ended.out
        titles = re.findall(r"^(.*)(?:Cash-secured puts|Covered calls), ranked", ended.out, flags=re.MULTILINE)
        assert titles == ["SANDBOX DATA, not a real market | "] * 2
        assert "stocks add" in ended.out
        assert not EmbeddedPostgres(home_of(settings) / "demo").status().running
        assert not (home_of(settings) / "postgres").exists()
        assert [left for left in psutil.process_iter() if left.pid not in before and is_ours(left, settings)] == []


def test_a_stopped_demo_leaves_nothing_running(settings: dict[str, str]) -> None:
    process = start_program("demo", "--symbols", "12", settings=settings)
    server = EmbeddedPostgres(home_of(settings) / "demo")
    while not (home_of(settings) / "demo" / "postgres" / "port").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not server.status().running


def is_ours(process: psutil.Process, settings: dict[str, str]) -> bool:
    """Whether a process was started with the home of this test."""
    try:
        return process.environ().get("OPTSYNC_HOME") == settings["OPTSYNC_HOME"] and process.pid != os.getpid()
    except psutil.Error:
        return False
