"""Keeps the parts of `optsync up` running: started, awaited, started again when one dies, stopped together.

A part that dies is started again after 1, 2, 4, … 30 s; more than 5 deaths in ten minutes end everything, loudly: what
breaks that often needs a person. PostgreSQL is started again where it was killed, not where somebody stopped it. What
a part is and where it answers is parts.py's; the commands are services.py's.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.app import App
from optsync_pipeline.cli.errors import NOTHING_DONE, CommandError
from optsync_pipeline.cli.parts import Part

START_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.3
MAX_DEATHS = 5
DEATHS_WINDOW_SECONDS = 600.0
LONGEST_WAIT_SECONDS = 30.0
UPKEEP_SECONDS = 5.0
MAX_LOG_BYTES = 20_000_000


class Supervisor:
    """The running parts of one HOME. Used by one thread: on Linux a child ends with the thread that started it."""

    def __init__(self, app: App, parts: Sequence[Part], url: str, *, first_wait_seconds: float = 1.0) -> None:
        self._app = app
        self._home: Path = app.settings.home
        self._parts = {part.name: part for part in parts}
        self._url = url
        self._first_wait_seconds = first_wait_seconds
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._noted: dict[str, processes.Noted] = {}
        self._deaths: dict[str, list[float]] = {name: [] for name in self._parts}
        self._due: dict[str, float] = {}
        self._ready = False
        self._upkept_at = 0.0

    def start(self) -> None:
        """Start every part and wait until each has answered. Raises CommandError naming the one that does not."""
        for name in self._parts:
            self._start(name)
        for part in self._parts.values():
            self._wait_for(part)
        self._ready = True
        self._write_note()

    def watch(self) -> None:
        """Keep the parts running for ever. Raises CommandError when one keeps dying."""
        while True:
            for name, child in self._children.items():
                if name not in self._due and child.poll() is not None:
                    self._bury(name, child.returncode)
            for name, due in list(self._due.items()):
                if time.monotonic() >= due:
                    del self._due[name]
                    self._start(name)
                    self._say(f"the {name} runs again")
            self._upkeep()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop every part and all that they started, and forget them."""
        processes.stop([process for noted in self._noted.values() for process in noted.left()])
        for child in self._children.values():
            child.wait()
        (self._home / "up.json").unlink(missing_ok=True)

    def log_file(self, name: str) -> Path:
        """Return where a part's output goes."""
        return self._home / "logs" / f"{name}.log"

    def _start(self, name: str) -> None:
        part = self._parts[name]
        child = processes.start(
            list(part.command), environment=part.environment, folder=part.folder, log_file=self.log_file(name)
        )
        self._children[name], self._noted[name] = child, processes.note_of(name, child.pid)
        self._write_note()

    def _wait_for(self, part: Part) -> None:
        began = self._noted[part.name].started
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not part.answers(began):
            for name, child in self._children.items():
                if child.poll() is not None:
                    raise CommandError(
                        f"the {name} ended by itself with code {child.returncode}: {self.log_file(name)} says why",
                        exit_code=NOTHING_DONE,
                    )
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the {part.title} does not answer at {part.where} after {START_TIMEOUT_SECONDS:g} s: "
                    f"{self.log_file(part.name)} says why",
                    exit_code=NOTHING_DONE,
                )
            time.sleep(POLL_SECONDS)

    def _bury(self, name: str, code: int) -> None:
        processes.stop(self._noted[name].left())  # what it started would go on without it
        now = time.monotonic()
        deaths = self._deaths[name] = [at for at in self._deaths[name] if at > now - DEATHS_WINDOW_SECONDS] + [now]
        how = f"ended by itself with code {code}"
        if len(deaths) > MAX_DEATHS:
            raise CommandError(
                f"the {name} {how}, {len(deaths)} times in {DEATHS_WINDOW_SECONDS / 60:g} minutes: everything is "
                f"stopped; {processes.previous(self.log_file(name))} and {self.log_file(name)} say why",
                exit_code=NOTHING_DONE,
            )
        wait_seconds = min(self._first_wait_seconds * 2.0 ** (len(deaths) - 1), LONGEST_WAIT_SECONDS)
        self._due[name] = now + wait_seconds
        self._say(f"the {name} {how}: it is started again in {wait_seconds:g} s")

    def _upkeep(self) -> None:
        if time.monotonic() < self._upkept_at + UPKEEP_SECONDS:
            return
        self._upkept_at = time.monotonic()
        for name in self._parts:
            processes.trim(self.log_file(name), max_bytes=MAX_LOG_BYTES)
        if self._app.settings.uses_embedded_database and self._app.embedded.was_killed():
            self._say("PostgreSQL was killed: it is started again")
            self._app.embedded.ensure_running()

    def _write_note(self) -> None:
        supervisor = processes.note_of("up", os.getpid())
        note = processes.UpNote(self._url, supervisor, tuple(self._noted.values()), self._ready)
        processes.write_note(self._home / "up.json", note)

    def _say(self, what: str) -> None:
        click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {what}")
        sys.stdout.flush()
