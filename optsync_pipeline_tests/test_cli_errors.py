"""How commands end that cannot do what was asked: one line, an exit code, no traceback, no secret."""

import signal

import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.stocks import upsert_stocks
from optsync_pipeline_tests.commands import Run, run, run_program, start_program

__all__ = ["run"]

DEAD_DATABASE = "postgresql://optsync:tomato@127.0.0.1:1/optsync"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point at a database that does not answer."""
    monkeypatch.setenv("OPTSYNC_DATABASE_URL", DEAD_DATABASE)
    monkeypatch.setenv("OPTSYNC_DAGSTER_DATABASE_URL", DEAD_DATABASE)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("syncc",), 2, "No such command 'syncc'"),
        (("sync",), 2, "say what to sync"),
        (("sync", "--all", "AAPL"), 2, "say what to sync"),
        (("sync", "--all", "--stale", "4"), 2, "say what to sync"),
        (("sync", "AAPL", "--fresh"), 2, "--fresh belongs to --all"),
        (("sync", "--all", "--dte", "soon"), 2, "days to expiration from 1 to 1100"),
        (("sync", "--all", "--dte", "30,0"), 2, "days to expiration from 1 to 1100"),
        (("sync", "--all", "--concurrency", "0"), 2, "'--concurrency'"),
        (("stocks", "add"), 2, "Missing argument 'SYMBOL...'"),
        (("stocks", "add", "AAPL", "not a symbol"), 2, "'not a symbol' is not a US stock symbol"),
        (("stocks", "import", "no/such/file.csv"), 2, "no/such/file.csv cannot be read (No such file or directory)"),
        (("rankings", "--strategy", "wheel"), 2, "'wheel' is not one of 'cash_secured_put', 'covered_call'"),
        (("rankings",), 3, "PostgreSQL at 127.0.0.1:1/optsync gives no connection: Connection refused"),
        (("rankings", "--json", "--csv"), 2, "--json and --csv are two forms of the same"),
        (("rankings", "--force"), 2, "--force replaces an existing CSV file: name it with --csv FILE"),
        (("export", "1"), 2, "Missing argument 'FILE'"),
        (("export", "0", "a.csv"), 2, "0 is not in the range"),
        (("export", "1", "a.xlsx"), 2, "a.xlsx ends in neither .csv nor .parquet"),
        (("export", "1", "no/such/a.csv"), 2, "there is no folder no/such"),
        (("export", "1", "-"), 3, "gives no connection"),
        (("sync", "--all"), 3, "gives no connection"),
        (("status",), 3, "gives no connection"),
        (("stocks", "list"), 3, "gives no connection"),
        (("db", "migrate"), 3, "gives no connection"),
        (("db", "start"), 2, "OPTSYNC_DATABASE_URL names another PostgreSQL server"),
        (("db", "stop"), 2, "OPTSYNC_DATABASE_URL names another PostgreSQL server"),
        (("sandbox", "--recorded", "no/such/folder"), 2, "no/such/folder"),
        (("sandbox", "--symbols", "20001"), 2, "1<=x<=20000"),
    ],
)
def test_an_error_is_one_line_that_says_what_is_wrong(
    arguments: tuple[str, ...], exit_code: int, said: str, run: Run
) -> None:
    ended = run(*arguments)
    *_, last = ended.err.splitlines()
    assert last.startswith("optsync: error: ")
    assert said in last
    assert ended.exit_code == exit_code
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert "tomato" not in ended.err


@pytest.mark.parametrize("arguments", [("--debug", "rankings"), ("rankings", "--debug")])
def test_debug_shows_the_traceback(arguments: tuple[str, ...], run: Run) -> None:
    ended = run(*arguments)
    assert "Traceback" in ended.err
    assert "tomato" not in ended.err
    assert ended.exit_code == 3


def test_a_bad_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_TARGET_DTES", "soon")
    ended = run("rankings")
    assert ended.exit_code == 2
    assert "OPTSYNC_TARGET_DTES: " in ended.err


def test_a_misspelt_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_PROVIDER", "yahoo")
    ended = run("sync", "--all")
    assert ended.exit_code == 2
    assert "unknown setting OPTSYNC_PROVIDER" in ended.err


def test_a_home_that_cannot_be_made_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTSYNC_DATABASE_URL")
    monkeypatch.setenv("OPTSYNC_HOME", "/dev/null/home")
    ended = run("db", "url")
    assert ended.exit_code == 3
    assert "/dev/null" in ended.err
    assert ended.out == ""


def test_nobody_to_ask_says_why(
    run: Run, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert_stocks(database, [{"symbol": "AAPL"}])
    monkeypatch.setenv("OPTSYNC_DATABASE_URL", database_url)
    monkeypatch.setenv("OPTSYNC_PROVIDERS", "polygon")
    ended = run("sync", "--all")
    assert ended.exit_code == 2
    assert "polygon is left out: it has no credentials (OPTSYNC_POLYGON_API_KEY)" in ended.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = start_program("--help", settings={})
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=10) == 128 + signal.SIGPIPE
    process.stderr.close()


def test_the_installed_program_ends_with_the_code() -> None:
    ended = run_program("rankings", settings={})
    assert ended.exit_code == 3
    assert ended.err.count("\n") == 1
