"""The small files of one embedded server in HOME/postgres: password, port and lock. Who runs it is storage.embedded.

Each belongs to the owner of its folder, also when root writes it, so that the ordinary user of a checkout is never
locked out of it.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from optsync_pipeline.storage.errors import DatabaseUnavailable, one_line


def read_file(path: Path) -> str | None:
    """Return a file's text without surrounding white space, or None where there is no such file."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def write_private_file(path: Path, text: str) -> None:
    """Write a file of mode 0600: whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        _give_to_folder_owner(descriptor, path.parent)
    unfinished.replace(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it ends with its holder, however that dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _give_to_folder_owner(descriptor, path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def file_faults(home: Path) -> Iterator[None]:
    """Turn a full disk, a missing right or a missing program into a DatabaseUnavailable that names the file."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        where = getattr(error, "filename", None) or home
        reason = getattr(error, "strerror", None) or one_line(error)
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL cannot use {where}: {reason}: mend that, or set OPTSYNC_HOME to another folder"
        ) from error


def _give_to_folder_owner(descriptor: int, folder: Path) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
