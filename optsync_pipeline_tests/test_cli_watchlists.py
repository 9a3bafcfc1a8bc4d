"""`optsync watchlist`: lists by hand and from TradingView, and the stocks that come into the universe with them."""

from pathlib import Path

import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline_tests.commands import Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "wheel.txt").write_text("NASDAQ:AAPL,NYSE:BRK.B,###ETFs,AMEX:SPY,CME_MINI:ES1!")
    return tmp_path / "wheel.txt"


def symbols(run: Run, name: str) -> list[str]:
    return [row["symbol"] for row in run("watchlist", "list", name, "--json").json]


def test_a_watchlist_is_made_and_filled_and_its_stocks_are_synced(run: Run) -> None:
    assert run("watchlist", "create", "wheel").exit_code == 0
    run("stocks", "add", "AAPL")
    ended = run("watchlist", "add", "wheel", "AAPL", "brk-b")
    assert ended.out == (
        "watchlist 'wheel': 2 stocks added, 0 on it before; 1 of them new among the stocks that are synced\n"
    )
    assert symbols(run, "wheel") == ["AAPL", "BRK.B"]
    assert [row["symbol"] for row in run("stocks", "list", "--json").json] == ["AAPL", "BRK.B"]
    assert run("watchlist", "add", "wheel", "AAPL").out == "watchlist 'wheel': 0 stocks added, 1 on it before\n"


def test_a_removed_stock_that_is_put_on_a_watchlist_is_synced_again(run: Run) -> None:
    run("watchlist", "create", "wheel")
    run("watchlist", "add", "wheel", "AAPL")
    run("stocks", "remove", "AAPL")
    assert run("watchlist", "list", "wheel").out.splitlines()[1].split()[:3] == ["AAPL", "-", "no"]
    run("watchlist", "add", "wheel", "AAPL")
    assert [row["is_active"] for row in run("watchlist", "list", "wheel", "--json").json] == [True]


def test_stocks_are_taken_off_and_a_list_deleted_while_they_stay_synced(run: Run) -> None:
    run("watchlist", "create", "wheel")
    run("watchlist", "add", "wheel", "AAPL", "MSFT")
    assert run("watchlist", "remove", "wheel", "MSFT").out == "watchlist 'wheel': 1 stock removed: MSFT\n"
    assert symbols(run, "wheel") == ["AAPL"]
    ended = run("watchlist", "remove", "wheel", "AAPL", "NVDA")
    assert ended.exit_code == 2
    assert "not on watchlist 'wheel': NVDA" in ended.err
    assert symbols(run, "wheel") == ["AAPL"]
    assert "deleted" in run("watchlist", "remove", "wheel").out
    assert run("watchlist", "list", "--json").json == []
    assert len(run("stocks", "list", "--json").json) == 2


def test_an_export_becomes_a_watchlist_of_the_files_name(run: Run, export: Path, database: Database) -> None:
    ended = run("watchlist", "import", str(export))
    assert ended.exit_code == 0
    assert ended.out == (
        "watchlist 'wheel': 3 stocks added, 0 removed, 0 on it before; 3 of them new among the stocks that are synced\n"
        "left out   CME_MINI:ES1!: a future\n"
    )
    sources = {row["symbol"]: row["source"] for row in run("watchlist", "list", "wheel", "--json").json}
    assert sources == {"AAPL": "wheel.txt", "BRK.B": "wheel.txt", "SPY": "wheel.txt, ETFs"}
    (listed,) = run("watchlist", "list", "--json").json
    assert (listed["name"], listed["symbols"], listed["source"]) == ("wheel", 3, "wheel.txt")


def test_importing_again_makes_the_list_what_the_file_says_but_for_what_was_put_on_by_hand(
    run: Run, export: Path
) -> None:
    run("watchlist", "import", str(export), "--name", "mine")
    run("watchlist", "add", "mine", "KO")
    export.write_text("NASDAQ:AAPL,NASDAQ:MSFT")
    ended = run("watchlist", "import", str(export), "--name", "mine")
    assert "1 stock added, 2 removed, 1 on it before" in ended.out
    assert symbols(run, "mine") == ["AAPL", "KO", "MSFT"]


def test_a_file_without_stocks_changes_nothing(run: Run, export: Path) -> None:
    run("watchlist", "import", str(export))
    export.write_text("FX:EURUSD")
    ended = run("watchlist", "import", str(export))
    assert ended.exit_code == 2
    assert "wheel.txt holds no US stock (FX:EURUSD)" in ended.err
    assert len(symbols(run, "wheel")) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "mien", "AAPL"), "there is no watchlist 'mien'; there are: mine"),
        (("remove", "mien"), "there is no watchlist 'mien'; there are: mine"),
        (("list", "mien"), "there is no watchlist 'mien'; there are: mine"),
        (("create", "mine"), "there is a watchlist 'mine' already"),
        (("create", " mine"), "no blank at its ends"),
        (("create", "x" * 61), "1 to 60 characters"),
        (("add", "mine", "12AB"), "'12AB' is not a US stock symbol"),
        (("import", "no/such.txt"), "no/such.txt cannot be read"),
        (("import", "-"), "give the watchlist's with --name"),
    ],
)
def test_an_error_names_the_list_and_what_to_do(arguments: tuple[str, ...], said: str, run: Run) -> None:
    run("watchlist", "create", "mine")
    ended = run("watchlist", *arguments)
    assert ended.exit_code == 2
    assert said in ended.err
    assert run("stocks", "list", "--json").json == []


def test_empty_lists_say_how_to_fill_them(run: Run) -> None:
    assert "optsync watchlist create" in run("watchlist", "list").err
    run("watchlist", "create", "mine")
    assert "optsync watchlist add mine" in run("watchlist", "list", "mine").err
