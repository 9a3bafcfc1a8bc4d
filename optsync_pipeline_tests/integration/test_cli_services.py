"""`optsync up`, `down` and `demo` as programs: what they start, what they refuse, and that nothing is left running."""

import contextlib
import os
import pty
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
from optsync_pipeline_tests.commands import PROGRAM, run_program, start_program

START_SECONDS = 90
IDLE = "web UI, daemon and metrics were not running\n"


@pytest.fixture
def settings(open_folder: Path) -> Iterator[dict[str, str]]:
    """A fresh home with an embedded server; all that runs on it is stopped at the end."""
    found = {
        "OPTSYNC_HOME": str(open_folder / "home"),
        "OPTSYNC_DATABASE_URL": "",
        "OPTSYNC_DAGSTER_DATABASE_URL": "",
        "OPTSYNC_WEBSERVER_PORT": str(free_port()),
        "OPTSYNC_METRICS_PORT": str(free_port()),
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
    found = {process.pid: process for process in note.living()}
    for process in list(found.values()):
        with contextlib.suppress(psutil.NoSuchProcess):  # what looks at the machine for a moment only
            found |= {child.pid: child for child in process.children(recursive=True)}
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
    assert "stopping web UI, daemon and metrics" in out
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert EmbeddedPostgres(home_of(settings)).status().running
    assert run_program("down", settings=settings).out == f"{IDLE}PostgreSQL is stopped\n"


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
    assert (again.exit_code, again.out) == (
        0,
        f"{IDLE}PostgreSQL was not running\n",
    )


def test_detached_it_survives_the_terminal_it_was_started_from(settings: dict[str, str]) -> None:
    ended = in_a_terminal_that_closes("up", "--detach", settings=settings)
    url = f"http://127.0.0.1:{settings['OPTSYNC_WEBSERVER_PORT']}"
    assert f"optsync is up at {url}" in ended
    assert str(home_of(settings) / "logs") in ended
    with urllib.request.urlopen(f"http://127.0.0.1:{settings['OPTSYNC_METRICS_PORT']}/metrics") as reply:
        assert b"optsync_" in reply.read()
    family = family_of(settings)
    assert answers(url)
    second = run_program("up", "--detach", settings=settings)
    assert (second.exit_code, f"already runs at {url}" in second.out) == (0, True)
    assert family_of(settings)[0] == family[0]
    assert run_program("down", settings=settings).exit_code == 0
    assert nothing_is_left(settings)


def in_a_terminal_that_closes(*arguments: str, settings: dict[str, str]) -> str:
    """Run the program in a session of its own on a terminal, then close the terminal, as closing its window does."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PROGRAM, [str(PROGRAM), *arguments], {**os.environ, **settings})
    said = b""
    while b"goes on without this terminal" not in said:
        said += os.read(terminal, 10_000)
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode()


def answers(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/server_info") as reply:
        return bool(reply.status == 200)


def nothing_is_left(settings: dict[str, str]) -> bool:
    """Whether no process of this home lives and its port can be had. Raises AssertionError naming what is left."""
    left = [process for process in psutil.process_iter() if is_ours(process, settings)]
    assert left == []
    assert not EmbeddedPostgres(home_of(settings)).status().running
    for name in ("OPTSYNC_WEBSERVER_PORT", "OPTSYNC_METRICS_PORT"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(settings[name])))
    return True


def test_down_stops_an_up_that_is_just_starting(settings: dict[str, str]) -> None:
    process = start_program("up", settings=settings)
    while not (home_of(settings) / "up.lock").exists():  # held, and nothing noted yet
        time.sleep(0.01)
    ended = run_program("down", settings=settings)
    process.communicate(timeout=60)
    assert (ended.exit_code, "web UI, daemon and metrics are stopped" in ended.out) == (0, True)
    assert nothing_is_left(settings)


def test_what_is_killed_is_started_again(settings: dict[str, str]) -> None:
    assert run_program("up", "--detach", settings=settings).exit_code == 0
    before = noted(settings)
    server = EmbeddedPostgres(home_of(settings)).status().process_id
    assert server is not None
    for process_id in (before["webserver"], before["daemon"], before["metrics"], server):
        os.kill(process_id, signal.SIGKILL)
    url = f"http://127.0.0.1:{settings['OPTSYNC_WEBSERVER_PORT']}"
    log_file = home_of(settings) / "logs" / "up.log"
    deadline = time.monotonic() + START_SECONDS
    said = ("webserver runs again", "daemon runs again", "metrics runs again", "PostgreSQL was killed")
    while not all(text in log_file.read_text() for text in said):
        assert time.monotonic() < deadline, log_file.read_text()
        time.sleep(0.2)
    while not EmbeddedPostgres(home_of(settings)).status().running or not serves(url):
        assert time.monotonic() < deadline, log_file.read_text()
        time.sleep(0.2)
    after = noted(settings)
    assert after["up"] == before["up"]
    assert after["webserver"] != before["webserver"]
    assert after["daemon"] != before["daemon"]
    run_program("down", settings=settings)
    assert nothing_is_left(settings)


def noted(settings: dict[str, str]) -> dict[str, int]:
    note = read_note(home_of(settings) / "up.json")
    assert note is not None
    return {one.name: one.pid for one in (note.supervisor, *note.children)}


def serves(url: str) -> bool:
    try:
        return answers(url)
    except OSError:
        return False


def test_up_mends_what_a_kill_of_everything_left(settings: dict[str, str]) -> None:
    """As after a power cut: no process, but HOME/up.json, the locks and postmaster.pid as they were."""
    assert run_program("up", "--detach", settings=settings).exit_code == 0
    server = EmbeddedPostgres(home_of(settings)).status().process_id
    assert server is not None
    killed = [*family_of(settings), psutil.Process(server)]
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=30)
    assert (home_of(settings) / "up.json").exists()
    ended = run_program("up", "--detach", settings=settings)
    assert ended.exit_code == 0, ended.err
    assert answers(f"http://127.0.0.1:{settings['OPTSYNC_WEBSERVER_PORT']}")
    run_program("down", settings=settings)
    assert nothing_is_left(settings)


def test_why_it_could_not_start_detached_is_said_with_the_log(settings: dict[str, str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(settings["OPTSYNC_WEBSERVER_PORT"])))
        busy.listen()
        ended = run_program("up", "--detach", settings=settings)
    assert ended.exit_code == 2
    assert "optsync did not start: port" in ended.err
    assert str(home_of(settings) / "logs" / "up.log") in ended.err


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
