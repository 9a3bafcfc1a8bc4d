"""Reading TradingView's exported watchlists: what is a stock, what is left out, and why."""

import pytest

from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.tradingview import read_export


def test_stocks_are_read_with_their_sections() -> None:
    exported = read_export(b"NASDAQ:AAPL,NYSE:BRK.B,###ETFs,AMEX:SPY,CBOE:ARKK", "list.txt")
    assert exported.stocks == {"AAPL": "", "BRK.B": "", "SPY": "ETFs", "ARKK": "ETFs"}
    assert exported.left_out == ()


def test_lines_commas_blanks_and_a_byte_order_mark_do_no_harm() -> None:
    text = "\ufeff###Wheel,\r\nNASDAQ:AAPL ,\r\n\r\n nyse:ko,,F,brk/b\n"
    assert read_export(text.encode(), "list.txt").stocks == dict.fromkeys(("AAPL", "KO", "F", "BRK.B"), "Wheel")


def test_a_stock_in_two_sections_is_of_the_first() -> None:
    assert read_export(b"###One,NYSE:KO,###Two,NYSE:KO", "list.txt").stocks == {"KO": "One"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("CME_MINI:ES1!", "a future"),
        ("ES1!", "a future"),
        ("FX:EURUSD", "FX is no US stock exchange"),
        ("BINANCE:BTCUSDT", "BINANCE is no US stock exchange"),
        ("TVC:DXY", "TVC is no US stock exchange"),
        ("TSX:SHOP", "TSX is no US stock exchange"),
        ("CBOE:VIX", "an index"),
        ("NASDAQ:NDX", "an index"),
        ("SPX", "an index"),
        ("NYSE:BAC/PK", "a preferred share, warrant or unit"),
        ("NASDAQ:AAPL/NASDAQ:MSFT", "an expression"),
        ("1/NASDAQ:AAPL", "an expression"),
        ("2*NYSE:KO", "an expression"),
        ("BTCUSD", "no US stock symbol: those have five letters at most"),
        ("NYSE:K O", "no US stock symbol"),
    ],
)
def test_what_is_no_stock_is_named_with_what_it_is(entry: str, reason: str) -> None:
    exported = read_export(f"NYSE:KO,{entry},{entry}".encode(), "list.txt")
    assert exported.stocks == {"KO": ""}
    assert [(left.entry, left.reason) for left in exported.left_out] == [(entry, reason)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "list.txt holds no US stock: nothing was imported"),
        (b"FX:EURUSD,ES1!", "list.txt holds no US stock (FX:EURUSD, ES1!)"),
        (b"\xff\xfeN\x00", "list.txt is not UTF-8 text"),
    ],
)
def test_a_file_without_stocks_is_an_error_that_names_it(content: bytes, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_export(content, "list.txt")
    assert said in caught.value.message
