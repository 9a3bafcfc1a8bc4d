"""`optsync stocks`: rows and Dagster partitions that come and go together, from lists or by symbol."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from optsync_pipeline.local_runs import open_instance
from optsync_pipeline.partitions import DIMENSION
from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")

LIST = """\
symbol,exchange,name,sector,industry,country,market_cap,last_sale,volume
AAPL,NASDAQ,Apple Inc.,Technology,Computers,United States,4500000000000,309.35,46767645
BRK/B,NYSE,Berkshire Hathaway,Finance,Insurance,United States,1000000000000,480.00,3000000
"""


@contextmanager
def instance_of(settings: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    with open_instance(Path(settings["OPTSYNC_HOME"]) / "dagster", settings["OPTSYNC_DAGSTER_DATABASE_URL"]) as opened:
        yield opened


def partitions_of(settings: dict[str, str]) -> set[str]:
    with instance_of(settings) as instance:
        return set(instance.get_dynamic_partitions(DIMENSION))


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path / "list.csv"


def test_a_list_becomes_rows_and_partitions(
    run: Run, list_file: Path, settings_of_test: dict[str, str], database: Database
) -> None:
    ended = run("stocks", "import", str(list_file))
    assert (ended.exit_code, ended.out) == (0, "list.csv: 2 stocks added, 0 there before\n")
    rows = database.fetch_all("SELECT symbol, company_name, sector, market_cap FROM stocks ORDER BY symbol")
    assert [tuple(row.values()) for row in rows] == [
        ("AAPL", "Apple Inc.", "Technology", 4_500_000_000_000),
        ("BRK.B", "Berkshire Hathaway", "Finance", 1_000_000_000_000),
    ]
    assert partitions_of(settings_of_test) == {"AAPL", "BRK.B"}


def test_a_list_is_read_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LIST.encode())))
    assert run("stocks", "import", "-").out == "standard input: 2 stocks added, 0 there before\n"


def test_a_broken_line_imports_nothing(run: Run, list_file: Path, database: Database) -> None:
    list_file.write_text(LIST + "MSFT,NASDAQ\n")
    ended = run("stocks", "import", str(list_file))
    assert ended.exit_code == 2
    assert "list.csv, line 4: 2 fields where the headings have 9" in ended.err
    assert database.fetch_all("SELECT symbol FROM stocks") == []


def test_importing_again_adds_nothing(run: Run, list_file: Path) -> None:
    run("stocks", "import", str(list_file))
    assert run("stocks", "import", str(list_file)).out == "list.csv: 0 stocks added, 2 there before\n"


def test_spellings_of_a_class_share_are_one_stock(run: Run, settings_of_test: dict[str, str]) -> None:
    ended = run("stocks", "add", "BRK.B", "brk-b", "BRK/B", "brk.b", "aapl")
    assert ended.out == "2 stocks added, 0 there before: BRK.B, AAPL\n"
    assert partitions_of(settings_of_test) == {"AAPL", "BRK.B"}


def test_a_bad_symbol_among_good_ones_adds_none(run: Run, database: Database) -> None:
    assert run("stocks", "add", "AAPL", "12AB").exit_code == 2
    assert database.fetch_all("SELECT symbol FROM stocks") == []


def test_a_removed_stock_loses_its_partition_and_keeps_its_row(
    run: Run, settings_of_test: dict[str, str], database: Database
) -> None:
    run("stocks", "add", "AAPL", "MSFT")
    assert run("stocks", "remove", "msft").exit_code == 0
    assert partitions_of(settings_of_test) == {"AAPL"}
    assert database.fetch_all("SELECT is_active FROM stocks WHERE symbol = 'MSFT'") == [{"is_active": False}]


def test_a_removed_stock_comes_back_when_added(run: Run, settings_of_test: dict[str, str]) -> None:
    run("stocks", "add", "AAPL")
    run("stocks", "remove", "AAPL")
    run("stocks", "add", "AAPL")
    assert [row["symbol"] for row in run("stocks", "list", "--json").json] == ["AAPL"]
    assert partitions_of(settings_of_test) == {"AAPL"}


def test_removing_what_is_not_there_names_it_and_removes_nothing(run: Run) -> None:
    run("stocks", "add", "AAPL")
    ended = run("stocks", "remove", "AAPL", "NOPE")
    assert ended.exit_code == 2
    assert "not among the stocks: NOPE" in ended.err
    assert len(run("stocks", "list", "--json").json) == 1


def test_the_list_shows_active_stocks_and_with_all_the_removed(run: Run) -> None:
    run("stocks", "add", "AAPL", "MSFT")
    run("stocks", "remove", "MSFT")
    assert len(run("stocks", "list").out.splitlines()) == 2
    assert [row["symbol"] for row in run("stocks", "list", "--all", "--json").json] == ["AAPL", "MSFT"]


def test_an_empty_list_says_how_to_fill_it(run: Run) -> None:
    ended = run("stocks", "list")
    assert (ended.exit_code, ended.out) == (0, "")
    assert "optsync stocks add" in ended.err
    assert run("stocks", "list", "--json").json == []


def test_the_sp500_is_built_in_and_a_file_of_that_name_is_given_by_its_path(
    run: Run, list_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(list_file.parent)
    list_file.rename("sp500")
    assert run("stocks", "import", "sp500").out == "sp500: 503 stocks added, 0 there before\n"
    assert run("stocks", "import", "./sp500").out == "sp500: 0 stocks added, 2 there before\n"
    (berkshire,) = [row for row in run("stocks", "list", "--json").json if row["symbol"] == "BRK.B"]
    assert (berkshire["sector"], berkshire["industry"]) == ("Finance", "Insurance")


def test_inactive_stocks_are_listed_with_the_reason_and_since_when(run: Run, database: Database) -> None:
    assert "none is inactive" in run("stocks", "list", "--inactive").err
    run("stocks", "add", "AAPL", "MSFT", "GONE")
    run("stocks", "remove", "MSFT")
    retire(database, "GONE")

    listed = run("stocks", "list", "--inactive")
    assert listed.out.splitlines()[0].split()[:4] == ["symbol", "company", "why", "since"]
    rows = run("stocks", "list", "--inactive", "--json").json
    assert {row["symbol"]: row["inactive_reason"] for row in rows} == {"GONE": "delisted", "MSFT": "removed"}
    assert all(row["inactive_since"] for row in rows)
    assert run("stocks", "list", "--inactive", "--all").exit_code == 2


def test_a_list_leaves_a_retired_stock_out_and_adding_it_brings_it_back(
    run: Run, list_file: Path, settings_of_test: dict[str, str], database: Database
) -> None:
    run("stocks", "import", str(list_file))
    retire(database, "AAPL")
    with instance_of(settings_of_test) as instance:
        instance.delete_dynamic_partition(DIMENSION, "AAPL")

    ended = run("stocks", "import", str(list_file))
    assert "1 stock stays inactive" in ended.out
    assert partitions_of(settings_of_test) == {"BRK.B"}
    run("stocks", "add", "AAPL")
    assert partitions_of(settings_of_test) == {"AAPL", "BRK.B"}
    assert "none is inactive" in run("stocks", "list", "--inactive").err


def retire(database: Database, symbol: str) -> None:
    database.execute(
        "UPDATE stocks SET is_active = false, inactive_reason = 'delisted', inactive_since = now() WHERE symbol = %s",
        (symbol,),
    )
