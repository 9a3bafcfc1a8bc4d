"""`optsync up` and `optsync down`: database, web UI, daemon and metrics of this HOME, in the foreground or detached.

A lock on HOME/up.lock, held while `up` lives, keeps a second one out; HOME/up.json says what runs and where. Keeping
the parts alive is supervisor.py's.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import psutil

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, CommandError
from optsync_pipeline.cli.parts import HOST, build_parts, web_url
from optsync_pipeline.cli.supervisor import POLL_SECONDS, Supervisor

NOTE_SECONDS = 150.0  # the database may take 120 s to recover before the first part is started and noted


@command("up", examples="optsync up\noptsync up --detach\noptsync up --port 3001")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the web UI.  [default: OPTSYNC_WEBSERVER_PORT]")
@click.option("--detach", is_flag=True, help="Go on without this terminal; return once everything answers.")
@pass_app
def up(app: App, port: int | None, detach: bool) -> None:
    """Run database, web UI, daemon and metrics.

    Until Ctrl-C, or detached. The daemon runs schedules and sensors: each trading day a sync, after each sync a
    ranking. What dies is started again; after a reboot, or a kill of whatever, `optsync up` mends what was left. Logs
    are in HOME/logs.
    """
    port = port or app.settings.webserver_port
    if detach:
        _detach(app, port)
        return
    home = app.settings.home
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(processes.held_lock(home / "up.lock"))
        except BlockingIOError:
            raise CommandError(f"{_already_running(home)}; stop it with `optsync down`") from None
        _stop_leftovers(home)
        _require_free(port, f"give another with `optsync up --port {_beside(port)}` or OPTSYNC_WEBSERVER_PORT")
        metrics_port = app.settings.metrics_port
        _require_free(metrics_port, f"set another, like OPTSYNC_METRICS_PORT={_beside(metrics_port)}")
        with app.open_database():
            click.echo("the database is up")
        _serve(app, port)


@command("down", examples="optsync down")
@pass_app
def down(app: App) -> None:
    """Stop web UI, daemon, metrics and embedded database.

    Those of this HOME alone. Harmless where nothing runs.
    """
    home = app.settings.home
    note = _note_of_running(home)
    stopped = note.stop() if note else False
    (home / "up.json").unlink(missing_ok=True)
    click.echo("web UI, daemon and metrics are stopped" if stopped else "web UI, daemon and metrics were not running")
    if app.settings.uses_embedded_database and home.exists():
        click.echo("PostgreSQL is stopped" if app.embedded.stop() else "PostgreSQL was not running")


def _serve(app: App, port: int) -> None:
    parts = build_parts(app, port)
    supervisor = Supervisor(app, parts, web_url(port))
    try:
        click.echo(f"starting web UI, daemon and metrics; their logs are in {app.settings.home / 'logs'}")
        supervisor.start()
        click.echo(_told_up(app, port))
        click.echo("Ctrl-C stops them")
        sys.stdout.flush()
        supervisor.watch()
    except KeyboardInterrupt:
        click.echo("\nstopping web UI, daemon and metrics")
    finally:
        supervisor.stop()
    if app.settings.uses_embedded_database:
        click.echo("PostgreSQL stays up; `optsync down` stops it too")


def _told_up(app: App, port: int) -> str:
    database = "embedded PostgreSQL" if app.settings.uses_embedded_database else "OPTSYNC_DATABASE_URL"
    lines = [f"optsync is up at {web_url(port)}"]
    lines += [f"  {part.title:8}  {part.where}" for part in build_parts(app, port)]
    return "\n".join([*lines, f"  database  {database}", f"  logs      {app.settings.home / 'logs'}"])


def _detach(app: App, port: int) -> None:
    home = app.settings.home
    if _is_locked(home):
        _wait_until_ready(home, None)
        click.echo(_already_running(home))
        return
    from optsync_pipeline.cli.dagster_home import programs_folder
    from optsync_pipeline.settings import PROJECT_ROOT

    log_file = home / "logs" / "up.log"
    debug = ["--debug"] if app.debug else []
    line = [str(programs_folder() / "optsync"), "up", "--port", str(port), *debug]
    child = processes.start(line, environment=os.environ, folder=PROJECT_ROOT, log_file=log_file, outlives_us=True)
    try:
        if not _wait_until_ready(home, child):
            raise CommandError(
                f"optsync did not start: {_last_words(log_file)} (its log is {log_file})",
                exit_code=child.returncode or NOTHING_DONE,
            )
    except KeyboardInterrupt:
        processes.stop([psutil.Process(child.pid)])
        raise
    click.echo(f"{_told_up(app, port)}\nit goes on without this terminal; `optsync down` stops it")


def _wait_until_ready(home: Path, child: subprocess.Popen[bytes] | None) -> bool:
    """Wait until the `optsync up` that was started, or runs already, has everything answering; False where it ended."""
    while child.poll() is None if child else _is_locked(home):
        note = processes.read_note(home / "up.json")
        if note and note.ready and (child is None or note.supervisor.pid == child.pid):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _is_locked(home: Path) -> bool:
    try:
        with processes.held_lock(home / "up.lock"):
            return False
    except BlockingIOError:
        return True


def _note_of_running(home: Path) -> processes.UpNote | None:
    """Return what is noted as running; of an `optsync up` that is just starting, wait until it has noted itself."""
    deadline = time.monotonic() + NOTE_SECONDS
    while True:
        note = processes.read_note(home / "up.json")
        if (note and note.supervisor.find()) or not home.exists() or not _is_locked(home):
            return note
        if time.monotonic() > deadline:
            raise CommandError(f"an `optsync up` is just starting on {home}: try again", exit_code=NOTHING_DONE)
        time.sleep(POLL_SECONDS)


def _last_words(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line for line in lines if line.strip()]
    return said[-1].removeprefix("optsync: error: ") if said else "it said nothing"


def _already_running(home: Path) -> str:
    note = processes.read_note(home / "up.json")
    where = f"at {note.url} (process {note.supervisor.pid})" if note else "and is just starting"
    return f"optsync already runs {where} on {home}"


def _stop_leftovers(home: Path) -> None:
    note = processes.read_note(home / "up.json")
    if note and note.living():
        click.echo("stopping what a killed `optsync up` left running")
        note.stop()


def _require_free(port: int, mend: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(f"port {port} on {HOST} cannot be had ({error.strerror}): free it, or {mend}") from None


def _beside(port: int) -> int:
    return port + 1 if port < 65535 else port - 1
