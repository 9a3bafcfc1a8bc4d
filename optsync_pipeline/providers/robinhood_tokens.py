"""What of Robinhood's login is kept on this machine: HOME/robinhood, a folder of mode 0700 with files of mode 0600.

    token.json      the token: with it, no later run needs to log in
    device.json     the id of this device, which Robinhood was told to trust
    refusal.json    why the last login was refused, and before when no run tries again by itself
    login.lock      held by the process that logs in

Each file names the address and the account that it is meant for, so that a stand-in never gets the real token; what
came of a stand-in lies in a folder of its own. JSON, not the library's pickle: reading a pickle runs it. Who asks for a
token, and what a refusal is, say robinhood_account.py and robinhood_login.py.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from optsync_pipeline.providers.base import AuthError
from optsync_pipeline.redaction import keep_secret

REAL_URL = "https://api.robinhood.com"
LOCK_PATIENCE_SECONDS = 60.0
"""A login takes at most two timeouts; one that a person is in the middle of takes longer, and is not waited for."""

_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Token:
    """A token as Robinhood gave it. Never printed: its fields are left out of repr()."""

    access_token: str = field(repr=False)
    token_type: str = "Bearer"
    refresh_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        keep_secret(self.access_token, self.refresh_token)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no login is tried before `until` (UTC). reason: for a person, without secrets."""

    until: datetime
    reason: str


class TokenFolder:
    """The files of one account at one address. Faults of the file system become an AuthError that names the file."""

    def __init__(self, home: Path, username: str, *, stand_in_url: str | None = None) -> None:
        self.path = home / "robinhood" if stand_in_url is None else home / "robinhood" / "stand_in"
        self._owner = {"address": stand_in_url or REAL_URL, "username": username}

    def read_token(self) -> Token | None:
        """Return the stored token; None where there is none of this account, or none that can be read."""
        told = self._read("token.json")
        access, kind, refresh = told.get("access_token"), told.get("token_type"), told.get("refresh_token")
        if not (isinstance(access, str) and access and isinstance(kind, str)):
            return None
        return Token(access, kind, refresh if isinstance(refresh, str) else None)

    def write_token(self, token: Token) -> None:
        """Store a token in place of the one before."""
        self._write(
            "token.json",
            {
                "access_token": token.access_token,
                "token_type": token.token_type,
                "refresh_token": token.refresh_token,
            },
        )

    def forget_token(self) -> bool:
        """Delete the token and the last refusal; return whether there was a token. The device stays known."""
        with _file_faults(self.path):
            had_one = (self.path / "token.json").exists()
            for name in ("token.json", "refusal.json"):
                (self.path / name).unlink(missing_ok=True)
        return had_one

    def device_token(self, make: Callable[[], str]) -> str:
        """Return this device's id, made the first time: Robinhood lets in a device that it knows without asking."""
        told = self._read("device.json").get("device_token")
        if isinstance(told, str) and told:
            return told
        made = make()
        self._write("device.json", {"device_token": made})
        return made

    def read_refusal(self, now: datetime) -> Refusal | None:
        """Return the refusal that still forbids a try at `now`."""
        told = self._read("refusal.json")
        try:
            refusal = Refusal(datetime.fromisoformat(told["until"]), str(told["reason"]))
            return refusal if now < refusal.until else None
        except (KeyError, TypeError, ValueError):
            return None

    def write_refusal(self, refusal: Refusal) -> None:
        """Remember a refusal for all processes of this HOME."""
        self._write("refusal.json", {"until": refusal.until.isoformat(), "reason": refusal.reason})

    def clear_refusal(self) -> None:
        """Forget the refusal."""
        with _file_faults(self.path):
            (self.path / "refusal.json").unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> Iterator[None]:
        """Hold the lock of the login, among processes; it ends with its holder, however that dies."""
        self._make_folder()
        path = self.path / "login.lock"
        with _file_faults(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            _wait_for_lock(descriptor, patience_seconds)
            yield
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        with _file_faults(self.path):
            for folder in (self.path.parent, self.path) if self.path.name == "stand_in" else (self.path,):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            with _file_faults(self.path / name):
                told = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a file that cannot be read is as good as none
            return {}
        ours = isinstance(told, dict) and all(told.get(key) == value for key, value in self._owner.items())
        return told if ours else {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._make_folder()
        path = self.path / name
        unfinished = path.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}")
        with _file_faults(path):
            try:
                descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump({**self._owner, **content}, file)
                    file.flush()
                    os.fsync(descriptor)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)


def _wait_for_lock(descriptor: int, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise AuthError(
                    "another process is logging in at Robinhood (a person, with `optsync robinhood login`?):"
                    f" not waited for longer than {patience_seconds:g} s",
                    ends_provider=True,
                ) from None
        time.sleep(_LOCK_POLL_SECONDS)


@contextlib.contextmanager
def _file_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AuthError(
            f"Robinhood's token cannot be kept in {path}: {reason}; mend that, or set OPTSYNC_HOME to another folder",
            ends_provider=True,
        ) from None
