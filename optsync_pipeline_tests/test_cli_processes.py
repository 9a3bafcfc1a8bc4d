"""Processes that are noted and stopped: by id and start, never by name, with all that they started."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.processes import Noted, UpNote, held_lock, note_of, read_note, write_note

# Starts a child, says so, and waits; deaf to being asked when told to be.
FAMILY = """
import signal, subprocess, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["", "deaf"])
def family(request: pytest.FixtureRequest) -> Iterator[list[psutil.Process]]:
    """A process and its child."""
    started = subprocess.Popen([sys.executable, "-c", FAMILY, request.param], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    members = [psutil.Process(started.pid), *psutil.Process(started.pid).children()]
    yield members
    for member in members:
        if member.is_running():
            member.kill()
    started.communicate()


def test_a_process_is_stopped_with_what_it_started(family: list[psutil.Process]) -> None:
    parent, child = family
    processes.stop([parent], patience_seconds=0.5)
    assert not parent.is_running()
    assert not child.is_running()


def test_a_noted_process_is_found_while_it_lives() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    noted = note_of("sleeper", sleeper.pid)
    assert noted.find() is not None
    sleeper.kill()
    sleeper.wait()
    assert noted.find() is None


def test_another_process_with_the_same_id_is_not_the_noted_one() -> None:
    me = note_of("me", psutil.Process().pid)
    assert Noted("me", me.pid, me.started - 60).find() is None


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    note = UpNote("http://127.0.0.1:3000", Noted("up", 1, 2.5), (Noted("webserver", 3, 4.5), Noted("daemon", 5, 6.5)))
    write_note(tmp_path / "up.json", note)
    assert read_note(tmp_path / "up.json") == note


@pytest.mark.parametrize("text", [None, "", "{", "{}", '{"url": 1, "supervisor": {}, "children": []}'])
def test_a_note_that_cannot_be_read_is_none(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "up.json").write_text(text)
    assert read_note(tmp_path / "up.json") is None


def test_a_lock_keeps_a_second_holder_out_and_is_free_afterwards(tmp_path: Path) -> None:
    with held_lock(tmp_path / "lock"), pytest.raises(BlockingIOError), held_lock(tmp_path / "lock"):
        pass
    with held_lock(tmp_path / "lock"):
        pass


def test_output_goes_to_the_log_and_the_run_before_is_kept(tmp_path: Path) -> None:
    log_file = tmp_path / "logs" / "talker.log"
    for said in ("first", "second"):
        command = [sys.executable, "-c", f"print('{said}')"]
        processes.start(command, environment={}, folder=tmp_path, log_file=log_file).wait()
    assert log_file.read_text() == "second\n"
    assert (tmp_path / "logs" / "talker.previous.log").read_text() == "first\n"


def test_a_log_that_grew_too_long_is_moved_away_under_its_program(tmp_path: Path) -> None:
    log_file = tmp_path / "talker.log"
    talker = processes.start(
        [sys.executable, "-u", "-c", "import time\nprint('x' * 99)\nwhile True: time.sleep(0.1)"],
        environment={},
        folder=tmp_path,
        log_file=log_file,
    )
    while log_file.stat().st_size < 100:
        time.sleep(0.01)
    processes.trim(log_file, max_bytes=100)
    assert log_file.stat().st_size == 100
    processes.trim(log_file, max_bytes=99)
    assert (tmp_path / "talker.previous.log").read_text() == "x" * 99 + "\n"
    assert log_file.read_text() == ""
    processes.stop([psutil.Process(talker.pid)])
    talker.wait()


def test_what_a_dead_process_started_is_found_by_its_session(tmp_path: Path) -> None:
    started = processes.start(
        [sys.executable, "-c", FAMILY], environment={}, folder=tmp_path, log_file=tmp_path / "log"
    )
    noted = note_of("family", started.pid)
    while (tmp_path / "log").read_text() != "ready\n":
        time.sleep(0.01)
    parent, child = sorted(noted.left(), key=lambda process: process.pid != started.pid)
    parent.kill()
    started.wait()
    assert noted.find() is None
    assert noted.left() == [child]
    processes.stop(noted.left())
    assert noted.left() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.timeout(50)  # less than the child would live by itself
@pytest.mark.flaky(reruns=1)  # as the tests of integration/: failed once in seven whole runs, never alone
def test_what_was_started_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal, sys
from optsync_pipeline.cli import processes
child = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], environment={{}},
    folder=pathlib.Path({str(tmp_path)!r}), log_file=pathlib.Path({str(tmp_path / "child.log")!r}))
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    starter = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    child_id = int(starter.stdout)
    # Whoever inherits the child may take long to bury it, or never do: dead is dead.
    with contextlib.suppress(psutil.NoSuchProcess):
        child = psutil.Process(child_id)
        while child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)
