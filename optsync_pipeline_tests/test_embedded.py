"""The embedded server: that it starts whatever happened to it before, and disturbs nobody."""

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.storage.server_place import carried_binaries, find_place
from optsync_pipeline_tests.postgres import new_open_folder

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def others_can_enter(folder: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


# Another user can use this program only where it can reach the checkout and what is installed beside it.
only_where_others_can_enter = pytest.mark.skipif(
    not (others_can_enter(PROJECT_ROOT) and others_can_enter(Path(sys.prefix).resolve())),
    reason="the checkout or its .venv lies in a folder that other users cannot enter",
)


@pytest.fixture
def new_server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was never started, in a folder of its own."""
    server = EmbeddedPostgres(open_folder / "home", system_folder=open_folder / "system")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that was set up; other tests may have started, stopped or killed it."""
    with new_open_folder() as folder:
        server = EmbeddedPostgres(folder / "home")
        server.ensure_running()
        yield server
        server.stop()


def ask(url: str, query: str) -> str:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
        assert row is not None
        return str(row[0])


def write_note(url: str, note: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS note")
        cursor.execute("CREATE TABLE note AS SELECT %s::text AS text", (note,))
        connection.commit()


def test_a_first_start_gives_both_databases_in_utf8_behind_a_password_on_loopback(new_server: EmbeddedPostgres) -> None:
    url = new_server.ensure_running()

    assert ask(url, "SELECT current_database()") == "optsync"
    assert ask(new_server.url("dagster"), "SELECT current_database()") == "dagster"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SELECT datlocale FROM pg_database WHERE datname = 'optsync'") == "C.UTF-8"
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(url, "SHOW unix_socket_directories") == ""
    assert ask(url, "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules") == "scram-sha-256"
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(url.replace(":" + url.split(":")[2].split("@")[0], ":wrong"))
    assert stat.S_IMODE((new_server.home / "postgres" / "password").stat().st_mode) == 0o600


def test_stop_and_start_keep_the_data_and_the_url(server: EmbeddedPostgres) -> None:
    url = server.ensure_running()
    write_note(url, "kept")
    assert server.stop()
    assert not server.status().running
    assert not server.stop()

    assert server.ensure_running() == url
    assert ask(url, "SELECT text FROM note") == "kept"


def test_status_says_where_and_as_whom_it_runs(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    status = server.status()

    assert status.running
    assert status.version is not None
    assert status.version.startswith("18")
    assert status.process_id is not None
    assert psutil.Process(status.process_id).username() == status.account != "root"
    assert status.data_folder == server.home / "postgres" / "server" / "data"
    assert status.log_file.exists()


def test_many_starts_at_once_give_one_server(server: EmbeddedPostgres) -> None:
    urls: list[str] = []
    threads = [
        threading.Thread(target=lambda: urls.append(EmbeddedPostgres(server.home).ensure_running())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(urls) == 6
    assert len(set(urls)) == 1


def test_a_killed_server_starts_again_with_its_data(server: EmbeddedPostgres) -> None:
    url = server.ensure_running()
    write_note(url, "survives")
    process_id = server.status().process_id
    assert process_id is not None
    assert not server.was_killed()
    os.kill(process_id, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(process_id)] if psutil.pid_exists(process_id) else [], timeout=5)

    assert server.was_killed()
    assert ask(server.ensure_running(), "SELECT text FROM note") == "survives"


def test_a_server_that_was_stopped_was_not_killed(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    server.stop()
    assert not server.was_killed()


def test_a_process_id_that_now_belongs_to_another_process_is_not_believed(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    server.stop()
    pid_file = server.home / "postgres" / "server" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/elsewhere\n1\n5432\n\n127.0.0.1\n0 0\nready\n")

    assert not server.status().running
    assert not server.stop()
    assert ask(server.ensure_running(), "SELECT 1") == "1"


def test_a_set_up_that_was_cut_off_half_way_is_done_again(new_server: EmbeddedPostgres) -> None:
    place = find_place(new_server.home)
    unfinished = place.folder / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    if not place.account.is_present_user:
        os.chown(place.folder, place.account.uid, place.account.gid)

    assert ask(new_server.ensure_running(), "SELECT 1") == "1"
    assert not unfinished.exists()


def test_a_busy_port_is_left_to_its_owner_and_another_chosen(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    server.stop()
    port = server.status().port
    with socket.create_server(("127.0.0.1", port or 0)):
        url = server.ensure_running()

        assert f":{port}/" not in url
        assert ask(url, "SELECT 1") == "1"


def test_a_copied_checkout_gets_a_server_of_its_own(server: EmbeddedPostgres, open_folder: Path) -> None:
    url = server.ensure_running()
    write_note(url, "original")
    place = find_place(server.home)
    copy = EmbeddedPostgres(open_folder / "copy")
    shutil.copytree(server.home, copy.home)
    if not place.account.is_present_user:
        for path in (copy.home / "postgres" / "server", *(copy.home / "postgres" / "server").rglob("*")):
            os.chown(path, place.account.uid, place.account.gid)
    try:
        assert copy.ensure_running() != url
        copy.stop()
        assert ask(url, "SELECT text FROM note") == "original"
    finally:
        copy.stop()


def test_a_lost_port_file_is_found_again_from_the_running_server(server: EmbeddedPostgres) -> None:
    url = server.ensure_running()
    (server.home / "postgres" / "port").unlink()

    assert server.ensure_running() == url


def test_a_lost_password_is_told_and_the_data_left_alone(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    server.stop()
    password = server.home / "postgres" / "password"
    password.rename(password.with_name("away"))
    try:
        with pytest.raises(DatabaseUnavailable, match="password is gone"):
            server.ensure_running()
    finally:
        password.with_name("away").rename(password)
    assert ask(server.ensure_running(), "SELECT 1") == "1"


def test_a_home_that_is_a_file_is_told_in_one_line(open_folder: Path) -> None:
    (open_folder / "home").write_text("")

    with pytest.raises(DatabaseUnavailable, match=r"home.*: mend that, or set OPTSYNC_HOME") as caught:
        EmbeddedPostgres(open_folder / "home").ensure_running()
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_in_one_line(new_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Callable[..., object] = subprocess.run

    # A limit on file sizes is the full disk that a test can have without one: initdb's writes fail alike.
    def run_short_of_room(*args: object, **kwargs: object) -> object:
        return run(*args, **kwargs, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))

    monkeypatch.setattr("optsync_pipeline.storage.server_place.subprocess.run", run_short_of_room)
    with pytest.raises(DatabaseUnavailable, match="cannot be set up in") as caught:
        new_server.ensure_running()
    assert "\n" not in str(caught.value)

    monkeypatch.undo()
    assert ask(new_server.ensure_running(), "SELECT 1") == "1"


def test_a_server_that_was_never_started_says_so_and_how_to_start_it(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "home")
    status = server.status()

    assert (status.running, status.port, status.process_id, status.version) == (False, None, None, None)
    with pytest.raises(DatabaseUnavailable, match="optsync db start"):
        server.url()


@pytest.fixture(scope="module")
def closed_folder() -> Iterator[Path]:
    """A folder that nobody but its owner can enter, like /root, with PostgreSQL's binaries in it."""
    with new_open_folder() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        package = carried_binaries().parent.parent
        shutil.copytree(package / "pginstall18", closed / package.name / "pginstall18")
        shutil.copytree(package.parent / f"{package.name}.libs", closed / f"{package.name}.libs")
        yield closed


@pytest.fixture
def closed_server(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """A server whose HOME and binaries lie in the closed folder."""
    binaries = closed_folder / carried_binaries().parent.parent.name / "pginstall18" / "bin"
    monkeypatch.setattr("optsync_pipeline.storage.server_place.carried_binaries", lambda: binaries)
    server = EmbeddedPostgres(closed_folder / "home", system_folder=closed_folder.parent / "system")
    yield server
    server.stop()


@only_as_root
def test_roots_data_and_binaries_move_out_of_a_folder_that_is_closed_to_others(closed_server: EmbeddedPostgres) -> None:
    assert ask(closed_server.ensure_running(), "SELECT 1") == "1"
    status, closed = closed_server.status(), closed_server.home.parent

    assert status.data_folder.is_relative_to(closed.parent / "system")
    assert status.binaries_folder.is_relative_to(closed.parent / "system")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert (closed.stat().st_uid, closed.stat().st_gid) == (0, 0)


@only_as_root
def test_a_closed_home_that_was_deleted_begins_empty(closed_server: EmbeddedPostgres) -> None:
    write_note(closed_server.ensure_running(), "old")
    shutil.rmtree(closed_server.home)

    assert ask(closed_server.ensure_running(), "SELECT to_regclass('note') IS NULL") == "True"


@only_as_root
@only_where_others_can_enter
def test_an_ordinary_user_has_everything_in_home(open_folder: Path) -> None:
    home = open_folder / "theirs" / "home"
    home.parent.mkdir()
    os.chown(home.parent, 65534, 65534)

    def work() -> None:
        server = EmbeddedPostgres(home)
        try:
            assert ask(server.ensure_running(), "SELECT 1") == "1"
            assert server.status().data_folder == home / "postgres" / "server" / "data"
            assert all(path.stat().st_uid == 65534 for path in home.rglob("*"))
        finally:
            server.stop()

    run_as(65534, work)


@only_as_root
@only_where_others_can_enter
def test_root_in_a_users_checkout_leaves_it_usable_for_the_user(open_folder: Path) -> None:
    home = open_folder / "theirs" / "home"
    home.parent.mkdir()
    os.chown(home.parent, 65534, 65534)
    server = EmbeddedPostgres(home)
    try:
        url = server.ensure_running()
    finally:
        server.stop()

    def work() -> None:
        try:
            assert EmbeddedPostgres(home).ensure_running() == url
        finally:
            EmbeddedPostgres(home).stop()

    run_as(65534, work)


@only_as_root
@only_where_others_can_enter
def test_another_users_home_is_refused_in_one_line(server: EmbeddedPostgres) -> None:
    server.ensure_running()

    def work() -> None:
        with pytest.raises(DatabaseUnavailable, match="Permission denied"):
            EmbeddedPostgres(server.home).ensure_running()

    run_as(65534, work)


@only_as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv, which takes a capability away, is not here")
def test_root_of_a_container_without_the_right_to_trace_knows_its_server(server: EmbeddedPostgres) -> None:
    server.ensure_running()
    server.stop()
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from optsync_pipeline.storage.embedded import EmbeddedPostgres;"
        "server = EmbeddedPostgres(Path(sys.argv[1])); first = server.ensure_running();"
        "process_id = server.status().process_id; again = server.ensure_running();"
        "print(first == again, process_id == server.status().process_id);"
        "os.kill(process_id, signal.SIGKILL); print(server.ensure_running() == first, server.stop())"
    )
    command = ["setpriv", "--bounding-set", "-sys_ptrace", sys.executable, "-c", program, str(server.home)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.stdout.split(), ended.stderr) == (["True"] * 4, "")


def test_a_home_behind_a_symbolic_link_is_one_server(server: EmbeddedPostgres, open_folder: Path) -> None:
    url = server.ensure_running()
    moved = EmbeddedPostgres(open_folder / "home")
    moved.home.mkdir()
    (moved.home / "postgres").symlink_to(server.home / "postgres")

    assert moved.ensure_running() == url
    assert moved.status().running


def run_as(uid: int, work: Callable[[], None]) -> None:
    """Run `work` in a forked child as another user: an interpreter below /root could not be started anew by it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent must see a failure
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the other user's server did not start and stop within 60 s")
