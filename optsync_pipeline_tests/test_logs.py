"""Log lines: JSON with what they are about, many processes in one file, nothing secret, a quiet terminal."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from rich.console import Console
from rich.progress import Progress

from optsync_pipeline.logs import LogFile, Terminal, bound, configure_logging, is_configured, stop_logging
from optsync_pipeline.providers.robinhood_tokens import Token
from optsync_pipeline.providers.yahoo_session import yahoo_access
from optsync_pipeline.sandbox.running import running_sandbox
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage.embedded import EmbeddedPostgres

log = logging.getLogger("optsync_pipeline.test")

PLANTED = {
    "robinhood_password": "tomato soup/1",
    "robinhood_mfa_secret": "JBSWY3DPEHPK3PXP",  # pragma: allowlist secret
    "polygon_api_key": "pk_planted_0001",  # pragma: allowlist secret
    "database_url": "postgresql://optsync:data%2Fb4se@db.example.com:5432/optsync",  # pragma: allowlist secret
    "dagster_database_url": "postgresql://optsync:d4gster-pw@db.example.com:5432/dagster",  # pragma: allowlist secret
    "alert_urls": "tgram://123456789:planted-bot-key/42,discord://99999999/planted_webhook",
}
SECRETS = (
    "tomato soup/1",
    "JBSWY3DPEHPK3PXP",
    "pk_planted_0001",
    "data/b4se",
    "d4gster-pw",
    "planted-bot-key",
    "planted_webhook",
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield load_settings(env_file=None, home=tmp_path, **PLANTED)
    stop_logging()


def lines_of(folder: Path, name: str = "optsync.log") -> list[dict[str, Any]]:
    """Every line of a HOME's log file, each of which must be JSON."""
    return [json.loads(line) for line in (folder / "logs" / name).read_text().splitlines()]


def test_a_line_is_json_with_what_it_is_about(settings: Settings) -> None:
    configure_logging(settings, terminal=False)
    with bound(job=7, symbol="AAPL"), bound(provider="yahoo"):
        log.info("try %d failed", 2, extra={"error_type": "api_timeout"})
    log.info("afterwards")
    first, second = lines_of(settings.home)
    assert list(first)[:7] == ["time", "level", "logger", "event", "job", "symbol", "provider"]
    assert first["time"].endswith("Z")
    assert {**first, "time": None} == {
        "time": None,
        "level": "info",
        "logger": "optsync_pipeline.test",
        "event": "try 2 failed",
        "job": 7,
        "symbol": "AAPL",
        "provider": "yahoo",
        "error_type": "api_timeout",
    }
    assert "symbol" not in second


def test_no_planted_secret_reaches_a_line(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings, terminal=True)
    for secret in SECRETS:
        log.warning(f"in the message: {secret}")
        log.warning("as an argument: %s", secret, extra={"told": [secret], "url": f"https://x/?q={quote(secret)}"})
        log.warning("encoded: %s", quote(secret, safe=""))
        with bound(provider=secret):
            log.warning("bound")
        try:
            raise ValueError(f"refused {secret} and {quote(secret, safe='')}")
        except ValueError:
            log.exception("with its traceback")
    written = (settings.home / "logs" / "optsync.log").read_text() + capsys.readouterr().err
    assert written.count("with its traceback") == 2 * len(SECRETS)
    assert "ValueError: refused *** and ***" in written
    for secret in SECRETS:
        for spelling in (secret, quote(secret), quote(secret, safe="")):
            assert spelling not in written


def test_secrets_that_come_up_while_we_run_reach_no_line_either(
    settings: Settings, postgres_server: EmbeddedPostgres
) -> None:
    configure_logging(settings, terminal=False)
    password = urlsplit(postgres_server.url()).password
    token = Token("planted-access-token", refresh_token="planted-refresh-token")  # pragma: allowlist secret
    for secret in (password, token.access_token, token.refresh_token):
        log.info("got %s", secret)
    with running_sandbox(symbols=2) as sandbox:
        access = yahoo_access(sandbox.yahoo_url, settings.home, (5.0, 5.0))
        crumb, _ = access._get_cookie_and_crumb()
        assert crumb
        log.info("got %s", crumb)
    assert [line["event"] for line in lines_of(settings.home)] == ["got ***"] * 4


def test_the_terminal_is_told_warnings_of_ours_alone_in_words(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings, terminal=True)
    log.info("a detail")
    log.warning("yahoo is left out", extra={"provider": "yahoo"})
    logging.getLogger("urllib3").warning("of another library")
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert "yahoo is left out" in line
    assert "\x1b" not in line
    assert [line["event"] for line in lines_of(settings.home)] == [
        "a detail",
        "yahoo is left out",
        "of another library",
    ]


def test_a_progress_bar_stays_whole_around_a_warning(settings: Settings) -> None:
    configure_logging(settings, terminal=True)
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80, color_system=None)
    with Progress(console=console, auto_refresh=False) as bar:
        bar.add_task("syncing", total=10, completed=5)
        log.warning("yahoo is left out")
    (line,) = [one for one in terminal.getvalue().replace("\r", "\n").splitlines() if "left out" in one]
    assert "syncing" not in line


def test_the_level_is_chosen_by_setting(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings.model_copy(update={"log_level": "DEBUG"}), terminal=True)
    log.debug("the finest detail")
    assert "the finest detail" in capsys.readouterr().err
    configure_logging(settings.model_copy(update={"log_level": "ERROR"}), terminal=True)
    log.warning("not for the terminal")
    log.debug("not at all")
    assert capsys.readouterr().err == ""
    assert [line["event"] for line in lines_of(settings.home)] == ["the finest detail", "not for the terminal"]


def test_nothing_is_created_before_the_first_line_and_nothing_is_left_after_the_last(settings: Settings) -> None:
    before = list(logging.getLogger().handlers)
    configure_logging(settings, terminal=True)
    configure_logging(settings, terminal=True)
    assert is_configured()
    assert len(logging.getLogger().handlers) == len(before) + 2
    assert not (settings.home / "logs").exists()
    stop_logging()
    assert logging.getLogger().handlers == before


def test_a_file_that_cannot_be_written_is_told_once_and_hurts_nobody(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.home / "logs").write_text("in the way")
    configure_logging(settings, terminal=False)
    log.info("first")
    log.info("second")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_full_file_becomes_number_one_and_the_oldest_goes(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "logs" / "optsync.log", file_bytes=500, files=3)
    for number in range(60):
        file.handle(logging.makeLogRecord({"msg": f"line {number}", "levelno": logging.INFO, "levelname": "INFO"}))
    file.close()
    names = sorted(path.name for path in (tmp_path / "logs").iterdir() if path.suffix != ".lock")
    assert names == ["optsync.log", "optsync.log.1", "optsync.log.2"]
    kept = [line["event"] for name in reversed(names) for line in lines_of(tmp_path, name)]
    assert kept == [f"line {number}" for number in range(60 - len(kept), 60)]
    assert all((tmp_path / "logs" / name).stat().st_size < 700 for name in names)


WRITER = """
import logging, sys
from pathlib import Path
from optsync_pipeline.logs import LogFile

file = LogFile(Path(sys.argv[1]), file_bytes=20_000, files=100)
sys.stdin.readline()
for number in range(400):
    about = {"msg": f"{sys.argv[2]} {number} " + "x" * (number % 200), "levelno": 20, "levelname": "INFO"}
    file.handle(logging.makeLogRecord(about))
"""


def test_processes_that_write_and_rotate_one_file_lose_and_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "optsync.log"
    names = ("a", "b", "c")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE, text=True)
        for name in names
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    files = [one for one in path.parent.iterdir() if one.suffix != ".lock"]
    assert len(files) > 3
    events = [line["event"].split()[:2] for one in files for line in lines_of(tmp_path, one.name)]
    assert sorted(events) == sorted([name, str(number)] for name in names for number in range(400))


def test_a_thread_that_is_not_bound_says_nothing_of_another_ones_symbol(settings: Settings) -> None:
    import threading

    configure_logging(settings, terminal=False)
    with bound(symbol="AAPL"):
        other = threading.Thread(target=log.info, args=("from another thread",))
        other.start()
        other.join()
    assert "symbol" not in lines_of(settings.home)[0]


def test_a_line_that_cannot_be_made_hurts_nobody_and_shows_no_argument(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings, terminal=True)
    record = {"name": log.name, "levelno": logging.WARNING, "levelname": "WARNING", "pathname": "x.py", "lineno": 3}
    for handler in [one for one in logging.getLogger().handlers if isinstance(one, LogFile | Terminal)]:
        handler.handle(logging.makeLogRecord({**record, "msg": "%d", "args": ("tomato soup/1",)}))
    log.info("goes on")
    assert [line["event"] for line in lines_of(settings.home)] == ["goes on"]
    assert capsys.readouterr().err == 2 * "optsync: warning: a log line of x.py:3 cannot be made: TypeError\n"
