"""The processes that `optsync up` runs: noted in HOME, so that `down` and a second `up` find them after a kill too.

A process is told by its id and its start: ids are used again. Nothing is ever stopped by its name.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 15.0
START_TOLERANCE_SECONDS = 2.0  # a clock that is set moves the start that the system tells
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Noted:
    """A process as HOME remembers it. started: seconds since 1970."""

    name: str
    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """Return the process if it still lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < START_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def left(self) -> list[psutil.Process]:
        """Return what lives of the session that this process began: itself, and what it started even if it is gone.

        A number that leads no session of ours any more (another process has it now) has nothing left.
        """
        if self.find() is None and psutil.pid_exists(self.pid) and not _is_zombie(self.pid):
            return []
        return [process for process in psutil.process_iter() if self._is_of_session(process)]

    def _is_of_session(self, process: psutil.Process) -> bool:
        try:
            return (
                os.getsid(process.pid) == self.pid
                and process.create_time() > self.started - START_TOLERANCE_SECONDS
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except (ProcessLookupError, PermissionError, psutil.Error):
            return False


@dataclass(frozen=True, slots=True)
class UpNote:
    """What runs: `optsync up` itself, what it started, and where the web UI is. ready: everything has answered once."""

    url: str
    supervisor: Noted
    children: tuple[Noted, ...]
    ready: bool = False

    def living(self) -> list[psutil.Process]:
        """Return what lives of the noted processes and of what they started, `optsync up` first."""
        supervisor = self.supervisor.find()
        started = [process for child in self.children for process in child.left()]
        return [*([supervisor] if supervisor else []), *started]

    def stop(self) -> bool:
        """Stop what lives; return whether something did. `optsync up` goes first: it stops its own."""
        supervisor = self.supervisor.find()
        if supervisor is not None:
            stop([supervisor], patience_seconds=STOP_SECONDS + 10)
        left = [process for child in self.children for process in child.left()]
        stop(left)
        return supervisor is not None or bool(left)


def note_of(name: str, pid: int) -> Noted:
    """Return what to remember of a process that runs."""
    return Noted(name, pid, psutil.Process(pid).create_time())


def write_note(path: Path, note: UpNote) -> None:
    """Write the note, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(asdict(note)), encoding="utf-8")
    unfinished.replace(path)


def read_note(path: Path) -> UpNote | None:
    """Return the note, or None where there is none that can be read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return UpNote(
            url=told["url"],
            supervisor=Noted(**told["supervisor"]),
            children=tuple(Noted(**child) for child in told["children"]),
            ready=bool(told.get("ready")),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Hold a lock for the length of the block; raise BlockingIOError where a living process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def start(
    command: list[str], *, environment: Mapping[str, str], folder: Path, log_file: Path, outlives_us: bool = False
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that a Ctrl-C reaches us alone; its output goes to `log_file`.

    outlives_us: it goes on when this process ends; else, on Linux, it ends with it, even by kill -9.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if log_file.exists():
        log_file.replace(previous(log_file))
    with log_file.open("ab") as output:  # appending: trim() may empty the file under the program
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" and not outlives_us else None,
        )


def previous(log_file: Path) -> Path:
    """Return where the log of the run before is kept, or what was trimmed off."""
    return log_file.with_suffix(".previous.log")


def trim(log_file: Path, *, max_bytes: int) -> None:
    """Move what a log holds to its previous one where it has grown beyond `max_bytes`; its program goes on writing."""
    if log_file.exists() and log_file.stat().st_size > max_bytes:
        shutil.copyfile(log_file, previous(log_file))
        os.truncate(log_file, 0)


def stop(processes: Iterable[psutil.Process], *, patience_seconds: float = STOP_SECONDS) -> None:
    """Stop processes and all that they started: asked first (SIGTERM), killed when they don't listen."""
    family: dict[int, psutil.Process] = {}
    for process in processes:
        try:
            family |= {one.pid: one for one in (process, *process.children(recursive=True))}
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, stubborn = psutil.wait_procs(family.values(), timeout=patience_seconds)
    for process in stubborn:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(stubborn, timeout=5)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _end_with_parent() -> None:
    # Linux tells a child when its parent dies, even by kill -9. Elsewhere `optsync down` finds it by the note.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
