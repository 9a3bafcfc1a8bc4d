"""`optsync up` and `optsync down`: database, web UI and daemon of this HOME, in the foreground.

A lock on HOME/up.lock, held while `up` lives, keeps a second one out; HOME/up.json says what runs and where.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click
import psutil

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, CommandError

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.3


@command("up", examples="optsync up\noptsync up --port 3001")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the web UI.  [default: OPTSYNC_WEBSERVER_PORT]")
@pass_app
def up(app: App, port: int | None) -> None:
    """Run database, web UI and daemon until Ctrl-C.

    In the foreground. The daemon runs schedule and sensors: each trading day a sync, after each sync a ranking. Logs
    are in HOME/logs.
    """
    home = app.settings.home
    port = port or app.settings.webserver_port
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(processes.held_lock(home / "up.lock"))
        except BlockingIOError:
            raise _already_running(home) from None
        _stop_leftovers(home)
        _require_free(port)
        with app.open_database():
            click.echo("the database is up")
        _serve(app, f"http://{HOST}:{port}", port)


@command("down", examples="optsync down")
@pass_app
def down(app: App) -> None:
    """Stop web UI, daemon and embedded database.

    Those of this HOME alone. Harmless where nothing runs.
    """
    home = app.settings.home
    note = processes.read_note(home / "up.json")
    stopped = note.stop() if note else False
    (home / "up.json").unlink(missing_ok=True)
    click.echo("web UI and daemon are stopped" if stopped else "web UI and daemon were not running")
    if app.settings.uses_embedded_database and home.exists():
        click.echo("PostgreSQL is stopped" if app.embedded.stop() else "PostgreSQL was not running")


def _already_running(home: Path) -> CommandError:
    note = processes.read_note(home / "up.json")
    where = f"at {note.url} (process {note.supervisor.pid})" if note else "and is just starting"
    return CommandError(f"optsync already runs {where} on {home}; stop it with `optsync down`")


def _stop_leftovers(home: Path) -> None:
    note = processes.read_note(home / "up.json")
    if note and note.living():
        click.echo("stopping what a killed `optsync up` left running")
        note.stop()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"port {port} on {HOST} cannot be had ({error.strerror}): free it, or give another with "
                f"`optsync up --port {port + 1 if port < 65535 else port - 1}` or OPTSYNC_WEBSERVER_PORT"
            ) from None


def _serve(app: App, url: str, port: int) -> None:
    from optsync_pipeline.cli.dagster_home import dagster_environment, programs_folder
    from optsync_pipeline.settings import PROJECT_ROOT

    home = app.settings.home
    environment = {**os.environ, **dagster_environment(app.settings)}
    workspace = ["-w", str(PROJECT_ROOT / "workspace.yaml")]
    commands = {
        "webserver": [str(programs_folder() / "dagster-webserver"), "-h", HOST, "-p", str(port), *workspace],
        "daemon": [str(programs_folder() / "dagster-daemon"), "run", *workspace],
    }
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, line in commands.items():
            log_file = home / "logs" / f"{name}.log"
            started[name] = processes.start(line, environment=environment, folder=PROJECT_ROOT, log_file=log_file)
        children = tuple(processes.note_of(name, child.pid) for name, child in started.items())
        note = processes.UpNote(url, processes.note_of("up", os.getpid()), children)
        processes.write_note(home / "up.json", note)
        click.echo(f"starting the web UI and the daemon; their logs are in {home / 'logs'}")
        _wait_until_up(url, started, home)
        click.echo(f"optsync is up at {url}\nCtrl-C stops the web UI and the daemon")
        sys.stdout.flush()
        _watch(started, home)
    except KeyboardInterrupt:
        click.echo("\nstopping the web UI and the daemon")
    finally:
        processes.stop([psutil.Process(child.pid) for child in started.values() if child.poll() is None])
        (home / "up.json").unlink(missing_ok=True)
    if app.settings.uses_embedded_database:
        click.echo("PostgreSQL stays up; `optsync down` stops it too")


def _wait_until_up(url: str, started: dict[str, subprocess.Popen[bytes]], home: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is no business of a proxy
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        _require_living(started, home)
        try:
            with opener.open(f"{url}/server_info", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS)
    raise CommandError(
        f"the web UI does not answer at {url} after {START_TIMEOUT_SECONDS:g} s: "
        f"{home / 'logs' / 'webserver.log'} says why",
        exit_code=NOTHING_DONE,
    )


def _watch(started: dict[str, subprocess.Popen[bytes]], home: Path) -> None:
    while True:
        _require_living(started, home)
        time.sleep(POLL_SECONDS)


def _require_living(started: dict[str, subprocess.Popen[bytes]], home: Path) -> None:
    for name, child in started.items():
        if child.poll() is not None:
            raise CommandError(
                f"the {name} ended by itself with code {child.returncode}: {home / 'logs' / f'{name}.log'} says why",
                exit_code=NOTHING_DONE,
            )
