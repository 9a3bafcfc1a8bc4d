"""The parts of `optsync up`: awaited, started again when they die, given up when they keep dying, stopped whole.

That the real parts survive kill -9 is in integration/test_cli_services.py.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from optsync_pipeline.cli.app import App
from optsync_pipeline.cli.errors import NOTHING_DONE, CommandError
from optsync_pipeline.cli.parts import Part
from optsync_pipeline.cli.processes import read_note
from optsync_pipeline.cli.supervisor import MAX_DEATHS, Supervisor
from optsync_pipeline.settings import load_settings

URL = "http://127.0.0.1:1"
# Writes the ids of itself and of a child of its own, so that a test can look for both.
LIVES = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("ids", "a").write(f"{os.getpid()} {child.pid}\\n")
time.sleep(60)
"""
DIES = "import sys; open('deaths', 'a').write('x'); print('no luck', flush=True); sys.exit(7)"


@pytest.fixture
def app(tmp_path: Path) -> App:
    """An App with a home of its own, whose database is not ours to keep."""
    return App(settings=load_settings(env_file=None, home=tmp_path / "home", database_url="postgresql://127.0.0.1:1/x"))


def part(folder: Path, program: str, *, answers: bool = True) -> Part:
    return Part("worker", "worker", URL, (sys.executable, "-c", program), folder, {}, lambda _began: answers)


@pytest.fixture
def ids(tmp_path: Path) -> Iterator[Path]:
    """Where LIVES writes; whatever is left of it is killed at the end."""
    path = tmp_path / "ids"
    yield path
    for process_id in map(int, path.read_text().split()) if path.exists() else ():
        if psutil.pid_exists(process_id):
            psutil.Process(process_id).kill()


def test_what_was_started_is_noted_ready_and_stopped_with_its_children(app: App, tmp_path: Path, ids: Path) -> None:
    supervisor = Supervisor(app, [part(tmp_path, LIVES)], URL)
    supervisor.start()
    note = read_note(app.settings.home / "up.json")
    assert note is not None
    assert (note.url, note.ready, [child.name for child in note.children]) == (URL, True, ["worker"])
    while not (ids.exists() and ids.read_text().endswith("\n")):
        pass
    supervisor.stop()
    assert not [one for one in map(int, ids.read_text().split()) if psutil.pid_exists(one)]
    assert read_note(app.settings.home / "up.json") is None


def test_a_part_that_ends_before_it_answers_is_named_with_its_log(app: App, tmp_path: Path) -> None:
    supervisor = Supervisor(app, [part(tmp_path, DIES, answers=False)], URL)
    with pytest.raises(CommandError, match=r"the worker ended by itself with code 7: .*worker\.log says why") as raised:
        supervisor.start()
    supervisor.stop()
    assert raised.value.exit_code == NOTHING_DONE
    assert supervisor.log_file("worker").read_text() == "no luck\n"


def test_a_part_that_keeps_dying_is_given_up(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor(app, [part(tmp_path, DIES)], URL, first_wait_seconds=0.01)
    supervisor.start()
    with pytest.raises(CommandError, match=f"{MAX_DEATHS + 1} times in 10 minutes: everything is stopped"):
        supervisor.watch()
    supervisor.stop()
    assert (tmp_path / "deaths").read_text() == "x" * (MAX_DEATHS + 1)
    told = capsys.readouterr().out
    assert told.count("the worker ended by itself with code 7: it is started again in") == MAX_DEATHS
    assert "in 0.02 s" in told
    assert told.count("the worker runs again") == MAX_DEATHS
