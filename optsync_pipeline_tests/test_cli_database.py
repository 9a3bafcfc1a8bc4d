"""`optsync db` and `optsync env`: what they print is what psql and a shell take, and nothing else."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]


@pytest.fixture
def embedded_home(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh home whose embedded server is stopped at the end."""
    home = open_folder / "home"
    monkeypatch.setenv("OPTSYNC_HOME", str(home))
    monkeypatch.setenv("OPTSYNC_DATABASE_URL", "")
    monkeypatch.setenv("OPTSYNC_DAGSTER_DATABASE_URL", "")
    yield home
    EmbeddedPostgres(home).stop()


def exports(printed: str) -> dict[str, str]:
    """Read export lines as a shell does."""
    words = [shlex.split(line) for line in printed.splitlines()]
    assert all(len(line) == 2 and line[0] == "export" for line in words)
    return dict(line[1].split("=", 1) for line in words)


def test_the_embedded_database_from_nothing_to_stopped(run: Run, embedded_home: Path) -> None:
    assert "stopped" in run("db", "status").out
    ended = run("db", "url")
    assert ended.out.count("\n") == 1
    assert ended.err == ""
    psycopg2.connect(ended.out.strip()).close()
    assert "to apply: 0001_" in run("db", "status").out
    assert "applied 0001_" in run("db", "migrate").out
    assert run("db", "migrate").out == "the database is up to date\n"
    status = run("db", "status").out
    assert "running (PostgreSQL 18" in status
    assert "all applied" in status
    assert exports(run("env").out)["OPTSYNC_DAGSTER_DATABASE_URL"].endswith("/dagster")
    assert run("db", "stop").out == "PostgreSQL is stopped\n"
    assert run("db", "stop").out == "PostgreSQL was not running\n"
    assert "PostgreSQL 18" in run("db", "start").out


def test_the_url_of_another_server_is_the_setting(run: Run, settings_of_test: dict[str, str]) -> None:
    assert run("db", "url").out == f"{settings_of_test['OPTSYNC_DATABASE_URL']}\n"


def test_the_status_of_another_server_shows_no_password(run: Run, settings_of_test: dict[str, str]) -> None:
    password = settings_of_test["OPTSYNC_DATABASE_URL"].split(":")[2].split("@")[0]
    ended = run("db", "status")
    assert "all applied" in ended.out
    assert password not in ended.out


def test_env_prints_what_dagster_needs_and_nothing_else(run: Run, settings_of_test: dict[str, str]) -> None:
    ended = run("env")
    told = exports(ended.out)
    home = Path(settings_of_test["OPTSYNC_HOME"])
    assert told["DAGSTER_HOME"] == str(home / "dagster")
    assert told["OPTSYNC_HOME"] == str(home)
    assert told["OPTSYNC_DAGSTER_DATABASE_URL"].startswith("postgresql+psycopg2://")
    assert ended.err == ""


def test_env_lays_the_checkouts_dagster_yaml(run: Run, settings_of_test: dict[str, str]) -> None:
    laid = Path(settings_of_test["OPTSYNC_HOME"]) / "dagster" / "dagster.yaml"
    run("env")
    laid.write_text("an older version's")
    run("env")
    assert laid.read_bytes() == (PROJECT_ROOT / "dagster.yaml").read_bytes()


def test_env_quotes_a_home_with_blanks(
    run: Run, settings_of_test: dict[str, str], open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTSYNC_HOME", str(open_folder / "my home's $HOME"))
    assert exports(run("env").out)["OPTSYNC_HOME"] == str(open_folder / "my home's $HOME")
