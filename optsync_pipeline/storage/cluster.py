"""What PostgreSQL's own programs do for the embedded server: initdb, pg_ctl start and stop, its process, its log.

When they are called, under which lock and on which port is decided by storage.embedded.
"""

import secrets
import shutil
from pathlib import Path

import psutil

from optsync_pipeline.storage.errors import DatabaseUnavailable, one_line
from optsync_pipeline.storage.server_files import read_file, write_private_file
from optsync_pipeline.storage.server_place import ServerPlace, make_folder

HOST = "127.0.0.1"
ROLE = "optsync"
SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # a refused statement's text stays out of the log
}


def set_up(place: ServerPlace) -> None:
    """Create password and data folder where they are missing. Safe to cut off at any point and do again."""
    password = read_file(place.keys / "password")
    if place.data.exists() and not password:
        if place.folder.parent == place.keys:
            raise DatabaseUnavailable(
                f"{place.keys / 'password'} is gone and the data cannot be opened without it: "
                f"put it back, or remove {place.folder} to begin with an empty database"
            )
        # HOME was deleted and made anew, its data lay elsewhere: begin empty as HOME did, and keep the old once.
        stop(place)
        shutil.rmtree(place.folder / "data.previous", ignore_errors=True)
        place.data.rename(place.folder / "data.previous")
    if not password:
        password = secrets.token_urlsafe(24)
        write_private_file(place.keys / "password", password)
    if not place.data.exists():
        make_folder(place.folder, mode=0o700, account=place.account)
        _initialise(place, password)


def _initialise(place: ServerPlace, password: str) -> None:
    staging, secret = place.folder / "data.unfinished", place.folder / "password.unfinished"
    shutil.rmtree(staging, ignore_errors=True)
    secret.unlink(missing_ok=True)
    try:
        write_private_file(secret, password)
        settings = [part for name, value in SERVER_SETTINGS.items() for part in ("--set", f"{name}={value}")]
        # The built-in C.UTF-8 sorts the same on every system; libc's own is missing on some.
        options = f"-U {ROLE} -A scram-sha-256 --encoding UTF8 --locale C --locale-provider builtin".split()
        folders: list[str | Path] = ["-D", staging, "--pwfile", secret, "--builtin-locale", "C.UTF-8"]
        result = place.account.run([place.binaries / "initdb", *folders, *options, *settings], cwd=place.folder)
    finally:
        secret.unlink(missing_ok=True)
    if result.returncode != 0:
        complaint = next((line for line in result.stderr.splitlines() if "error:" in line), result.stderr)
        shutil.rmtree(staging, ignore_errors=True)
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL cannot be set up in {place.folder}: {one_line(complaint)}: "
            "mend that, or set OPTSYNC_HOME to another folder"
        )
    staging.rename(place.data)


def launch(place: ServerPlace, port: int) -> None:
    """Start the server and wait until it answers, ends, or 60 s are over; which of these is to be asked of it."""
    if place.log.exists():
        place.log.replace(place.log.with_suffix(".log.1"))
    # pg_ctl goes through a shell: relative names need no quoting, whatever HOME is called.
    options = ["start", "-w", "-t", "60", "-D", "data", "-l", "server.log", "-o", f"-p {port}"]
    result = place.account.run([place.binaries / "pg_ctl", *options], cwd=place.folder)
    if not place.log.exists():
        raise DatabaseUnavailable(f"the embedded PostgreSQL does not start: {one_line(result.stderr)}")


def stop(place: ServerPlace) -> bool:
    """Stop the server, ending its connections; return whether there was one."""
    if postmaster_id(place) is None:
        return False
    options = ["stop", "-w", "-t", "60", "-m", "fast", "-D", "data"]
    result = place.account.run([place.binaries / "pg_ctl", *options], cwd=place.folder)
    if postmaster_id(place) is not None:
        raise DatabaseUnavailable(f"the embedded PostgreSQL does not stop: {one_line(result.stderr)} (see {place.log})")
    return True


def postmaster_id(place: ServerPlace) -> int | None:
    """Return the process id in postmaster.pid if that process is a PostgreSQL that works in this data folder."""
    lines = _pid_file(place)
    if not lines or not lines[0].isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
        folder = _working_folder(process, place)
    except psutil.NoSuchProcess:
        return None
    if folder is None and len(lines) > 1:  # nobody says where our account's PostgreSQL works: its file does
        folder = Path(lines[1])
    return process.pid if folder is not None and folder.resolve() == place.data.resolve() else None


def _working_folder(process: psutil.Process, place: ServerPlace) -> Path | None:
    """Return where a process works; `/`, which is nobody's data folder, for one that is no PostgreSQL of our account.

    Root reads it of another user's process only with CAP_SYS_PTRACE, which containers lack; the account itself may.
    """
    try:
        return Path(process.cwd())
    except psutil.AccessDenied:
        is_ours = process.uids().real == place.account.uid and process.name().startswith("postgres")
        if not is_ours or process.status() == psutil.STATUS_ZOMBIE:
            return Path("/")
    told = place.account.run(["readlink", f"/proc/{process.pid}/cwd"])
    return Path(told.stdout.strip()) if told.returncode == 0 and told.stdout.strip() else None


def postmaster_port(place: ServerPlace) -> int | None:
    """Return the port in postmaster.pid: that of a running server, or of one that was killed."""
    lines = _pid_file(place)
    return int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else None


def _pid_file(place: ServerPlace) -> list[str]:
    # Its lines: process id, data folder, start time, port, … It is written a line at a time while the server starts.
    return [line.strip() for line in (read_file(place.data / "postmaster.pid") or "").splitlines()]


def complaint_of(place: ServerPlace) -> str:
    """Return what the server said last and worst: of its log's lines, that which made it end."""
    lines = (read_file(place.log) or "").splitlines()
    marked = [line for line in lines if "could not" in line] or [line for line in lines if "FATAL:" in line]
    return one_line((marked or lines or ["its log is empty"])[-1].split(": ", 1)[-1])
