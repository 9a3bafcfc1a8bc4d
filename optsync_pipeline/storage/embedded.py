"""The embedded PostgreSQL of one HOME: set up, started, asked and stopped. Whoever needs it starts it; it stays up.

Where its files lie and as whom it runs is storage.server_place, what PostgreSQL's own programs do there is
storage.cluster; connections for work are storage.database.

A server is ours when the process that postmaster.pid names works in our data folder (a copied checkout or a reboot
makes that file lie), and when it answers on our port, accepts our password and names our data folder. Start and stop
happen under a file lock, so any number of processes may ask at once.
"""

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions

from optsync_pipeline.redaction import keep_secret
from optsync_pipeline.storage import cluster
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.storage.server_files import file_faults, locked, read_file, write_private_file
from optsync_pipeline.storage.server_place import SYSTEM_FOLDER, ServerPlace, find_place

DATABASES = ("optsync", "dagster")
# Below the range that systems hand out for outgoing connections, so that a stopped server finds its port free again.
PORTS = range(15432, 32768)
START_TIMEOUT_SECONDS = 120.0  # a crash recovery may take this long; a start takes 0.2


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What `optsync db status` tells. port is None before the first start, process_id and version while stopped."""

    running: bool
    port: int | None
    process_id: int | None
    version: str | None
    account: str
    data_folder: Path
    binaries_folder: Path
    log_file: Path


class EmbeddedPostgres:
    """The PostgreSQL server that belongs to one HOME folder."""

    def __init__(self, home: Path, *, system_folder: Path = SYSTEM_FOLDER) -> None:
        self.home = home.resolve()
        self._system_folder = system_folder

    def ensure_running(self) -> str:
        """Start the server where it is not running, set it up before where it never was; return url().

        Raises DatabaseUnavailable with what to mend.
        """
        with file_faults(self.home):
            place = self._place()
            if self._running_server(place) is None:
                with locked(place.keys / "lock"):
                    if self._running_server(place) is None:
                        cluster.set_up(place)
                        self._start(place)
                        self._create_databases()
        return self.url()

    def url(self, database: str = "optsync") -> str:
        """Return the URL of a database of a server that was set up, with its password."""
        with file_faults(self.home):
            keys = self.home / "postgres"
            password, port = read_file(keys / "password"), read_file(keys / "port")
        if not password or not port:
            raise DatabaseUnavailable(f"the database of {self.home} was never started: run `optsync db start`")
        keep_secret(password)
        return f"postgresql://{cluster.ROLE}:{password}@{cluster.HOST}:{port}/{database}"

    def status(self) -> EmbeddedStatus:
        """Tell whether the server runs, where and as whom."""
        with file_faults(self.home):
            place = self._place()
            version = self._running_server(place)
            port = read_file(place.keys / "port")
        process_id = cluster.postmaster_id(place) if version else None
        return EmbeddedStatus(
            running=version is not None,
            port=int(port) if port else None,
            process_id=process_id,
            version=version,
            account=place.account.name,
            data_folder=place.data,
            binaries_folder=place.binaries,
            log_file=place.log,
        )

    def was_killed(self) -> bool:
        """Whether the server ended without being stopped: it left the file that it deletes when it is."""
        with file_faults(self.home):
            place = self._place()
            return cluster.postmaster_id(place) is None and (place.data / "postmaster.pid").exists()

    def stop(self) -> bool:
        """Stop the server, ending its connections; return whether it was running."""
        with file_faults(self.home):
            place = self._place()
            with locked(place.keys / "lock"):
                return cluster.stop(place)

    def _place(self) -> ServerPlace:
        return find_place(self.home, self._system_folder)

    def _running_server(self, place: ServerPlace) -> str | None:
        """Return the version of the server if it runs and is ours."""
        # The process first: what listens on our port may be somebody else, who lets a connection hang.
        if cluster.postmaster_id(place) is None or not read_file(place.keys / "port"):
            return None
        try:
            with self._administering() as cursor:
                cursor.execute("SELECT current_setting('data_directory'), current_setting('server_version')")
                folder, version = cursor.fetchone() or ("", "")
        except psycopg2.OperationalError:
            return None
        return str(version) if Path(folder).resolve() == place.data.resolve() else None

    def _start(self, place: ServerPlace) -> None:
        if cluster.postmaster_id(place) is None:
            # Left by a kill -9 or copied with its checkout. PostgreSQL itself still refuses a folder that is in use.
            (place.data / "postmaster.pid").unlink(missing_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._running_server(place):
            running = cluster.postmaster_id(place) is not None
            port = cluster.postmaster_port(place) if running else int(read_file(place.keys / "port") or 0)
            if not running:
                port = port if port and _is_free(port) else _choose_port()
                cluster.launch(place, port)
            write_private_file(place.keys / "port", str(port or ""))
            if self._running_server(place):
                return
            complaint = cluster.complaint_of(place)
            if time.monotonic() > deadline or not _may_heal(
                complaint, running=cluster.postmaster_id(place) is not None
            ):
                raise DatabaseUnavailable(
                    f"the embedded PostgreSQL does not start: {complaint} (its log is {place.log})"
                )
            time.sleep(0.1)

    def _create_databases(self) -> None:
        with self._administering() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in DATABASES:
                if name not in present:
                    cursor.execute(f"CREATE DATABASE {name}")
            # Dagster commits each event: 3 ms with a flush, 1.6 ms without. What a crash of the machine could take is
            # the last half second of a log whose run died with it; the sync's own rows are flushed as ever.
            cursor.execute("ALTER DATABASE dagster SET synchronous_commit = off")

    @contextlib.contextmanager
    def _administering(self) -> Iterator[psycopg2.extensions.cursor]:
        with contextlib.closing(psycopg2.connect(self.url("postgres"), connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor


def _may_heal(complaint: str, *, running: bool) -> bool:
    """Whether to wait or try again: it is still recovering, its port was taken meanwhile, or a killed one goes down."""
    if running:
        return "authentication failed" not in complaint
    return "could not bind" in complaint or "in use" in complaint


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cluster.HOST, port))
        except OSError:
            return False
    return True


def _choose_port() -> int:
    for port in random.sample(PORTS, 200):
        if _is_free(port):
            return port
    raise DatabaseUnavailable(
        f"no free port from {PORTS.start} to {PORTS.stop - 1} on {cluster.HOST} for the embedded PostgreSQL"
    )
