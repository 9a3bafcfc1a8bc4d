"""Running commands as a person does: in this process through main(), or as the installed program."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.cli import main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROGRAM = Path(sys.executable).parent / "optsync"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process: run("stocks", "add", "AAPL")."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def run_command(*arguments: str) -> Ended:
        capsys.readouterr()
        exit_code = main(arguments)
        captured = capsys.readouterr()
        return Ended(exit_code, captured.out, captured.err)

    yield run_command
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def settings_of_test(
    open_folder: Path, database_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Point the settings at a fresh home and fresh databases; return them, for programs that a test starts."""
    settings = {
        "OPTSYNC_HOME": str(open_folder / "home"),
        "OPTSYNC_DATABASE_URL": database_url,
        "OPTSYNC_DAGSTER_DATABASE_URL": empty_database_url,
        "OPTSYNC_PROVIDERS": "yahoo,cboe",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


def start_program(*arguments: str, settings: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the installed program with these settings beside the machine's environment."""
    return subprocess.Popen(
        [str(PROGRAM), *arguments],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_program(*arguments: str, settings: Mapping[str, str]) -> Ended:
    """Run the installed program to its end."""
    process = start_program(*arguments, settings=settings)
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out, err)
