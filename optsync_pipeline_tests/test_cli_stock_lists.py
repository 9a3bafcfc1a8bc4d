"""Reading lists of stocks: both layouts, and every way in which a file can be wrong."""

from decimal import Decimal
from pathlib import Path

import pytest

from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.stock_lists import BUILT_IN, built_in_list, read_stock_list

HEADINGS = "symbol,exchange,name,sector,industry,country,market_cap,last_sale,volume\n"
AAPL = "AAPL,NASDAQ,Apple Inc. Common Stock,Technology,Computers,United States,4514709583000,309.35,46767645\n"


def complaint(text: str | bytes) -> str:
    with pytest.raises(CommandError) as caught:
        read_stock_list(text.encode() if isinstance(text, str) else text, "list.csv")
    return caught.value.message


def test_the_nasdaq_screeners_columns_are_read() -> None:
    (stock,) = read_stock_list((HEADINGS + AAPL).encode(), "list.csv").stocks
    assert stock.symbol == "AAPL"
    assert stock.company_name == "Apple Inc. Common Stock"
    assert (stock.sector, stock.industry) == ("Technology", "Computers")
    assert stock.market_cap == Decimal(4514709583000)


def test_the_screeners_own_download_with_its_capital_headings_is_read() -> None:
    text = 'Symbol,Name,Last Sale,Market Cap,Sector,Industry\nA,"Agilent, Inc.",$1,"41,000,000.00",Health,Labs\n'
    (stock,) = read_stock_list(text.encode(), "list.csv").stocks
    assert (stock.symbol, stock.company_name, stock.market_cap) == ("A", "Agilent, Inc.", Decimal(41_000_000))


def test_the_sp_lists_columns_are_read() -> None:
    text = "Symbol,Security,GICS Sector,GICS Sub-Industry,CIK\nBRK.B,Berkshire,Financials,Holdings,1067983\n"
    (stock,) = read_stock_list(text.encode(), "list.csv").stocks
    assert stock == ("BRK.B", "Berkshire", "Financials", "Holdings", None)


def test_class_shares_in_any_spelling_are_one_stock() -> None:
    lines = "".join(AAPL.replace("AAPL", spelling, 1) for spelling in ("BRK/B", "brk-b", "BRK.B"))
    listed = read_stock_list((HEADINGS + lines).encode(), "list.csv")
    assert [stock.symbol for stock in listed.stocks] == ["BRK.B"]
    assert listed.repeated == 2


def test_preferred_shares_are_left_out_and_counted() -> None:
    listed = read_stock_list((HEADINGS + AAPL + AAPL.replace("AAPL", "BAC^K", 1)).encode(), "list.csv")
    assert len(listed.stocks) == 1
    assert listed.preferred == 1


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_do_no_harm() -> None:
    text = "\ufeff" + (HEADINGS + "\n" + AAPL + "\n\n").replace("\n", "\r\n")
    assert len(read_stock_list(text.encode(), "list.csv").stocks) == 1


def test_a_missing_column_is_named_with_the_file() -> None:
    message = complaint("symbol,name,industry\nAAPL,Apple,Computers\n")
    assert "list.csv has no column sector, market_cap" in message


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    assert "list.csv is empty" in complaint(text)


def test_headings_alone_are_nothing_to_import() -> None:
    assert "no stocks" in complaint(HEADINGS)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("MSFT,NASDAQ,Microsoft\n", "3 fields where the headings have 9"),
        (AAPL.replace("AAPL", "1234", 1), "'1234' is not a US stock symbol"),
        (AAPL.replace("AAPL", "", 1), "is not a US stock symbol"),
        (AAPL.replace("4514709583000", "lots"), "market_cap 'lots'"),
        (AAPL.replace("4514709583000", "NaN"), "market_cap 'NaN'"),
        (AAPL.replace("4514709583000", "-1"), "market_cap '-1'"),
        (AAPL.replace("4514709583000", "1e30"), "market_cap '1e30'"),
        (AAPL.replace("Technology", '"Techno'), "unexpected end of data"),
    ],
)
def test_a_broken_line_is_named_with_its_number(broken: str, reason: str) -> None:
    message = complaint(HEADINGS + AAPL + "\n" + broken)
    assert "list.csv, line 4: " in message
    assert reason in message
    assert "nothing was imported" in message


def test_text_that_is_not_utf8_is_named_with_its_line() -> None:
    assert "list.csv, line 2: not UTF-8" in complaint(HEADINGS.encode() + AAPL.encode().replace(b"Apple", b"\xff"))


def test_the_recorded_lists_are_read_whole(market_dir: Path) -> None:
    screener = market_dir / "us_equities_top1205_by_mcap.csv"
    assert len(read_stock_list(screener.read_bytes(), screener.name).stocks) == 1205
    sp500 = market_dir / "sp500_constituents.csv"
    assert len(read_stock_list(sp500.read_bytes(), sp500.name).stocks) > 495


def test_the_built_in_sp500_is_whole_and_says_where_it_is_from() -> None:
    content = built_in_list("sp500")
    assert content is not None
    listed = read_stock_list(content, "sp500")
    assert (len(listed.stocks), listed.repeated, listed.preferred) == (503, 0, 0)
    assert all(stock.company_name and stock.sector and stock.industry for stock in listed.stocks)
    assert "ODC-PDDL-1.0" in (BUILT_IN["sp500"].parent / "README.md").read_text()


@pytest.mark.parametrize("path", ["./sp500", "sp500.csv", "SP500"])
def test_a_path_is_no_built_in_list(path: str) -> None:
    assert built_in_list(path) is None
