"""Reads a watchlist as TradingView exports it: EXCHANGE:SYMBOL by commas or lines, sections as ###NAME. No database.

Only stocks of US exchanges are taken. All else a TradingView list may hold is named and left out: futures (ES1!),
currencies, crypto, indices, expressions, preferred shares.
"""

import re
from dataclasses import dataclass

from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.symbols import normalise_symbol

US_EXCHANGES = frozenset({"NASDAQ", "NYSE", "AMEX", "ARCA", "NYSEARCA", "BATS", "CBOE"})
# Those that TradingView lists under an exchange that has stocks as well.
INDICES = frozenset({
    "DJI", "DJX", "IXIC", "NDX", "NYA", "OEX", "RUT", "RVX", "SOX", "SPX", "VIX", "VVIX", "VXN", "XEO", "XND", "XSP",
})  # fmt: skip
LONGEST_US_SYMBOL = 5


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is no stock of ours, and why."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExportedList:
    """What an export holds. stocks: symbol to the section in which it first stands, empty before the first section."""

    stocks: dict[str, str]
    left_out: tuple[LeftOut, ...]


def read_export(content: bytes, name: str) -> ExportedList:
    """Read an export. Raises CommandError naming the file where it is not text or holds no stock."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not UTF-8 text: give the file that TradingView exports") from None
    stocks: dict[str, str] = {}
    left_out: dict[str, LeftOut] = {}
    section = ""
    for entry in filter(None, (part.strip() for part in re.split(r"[,\r\n]", text))):
        if entry.startswith("###"):
            section = entry.removeprefix("###").strip()
            continue
        try:
            stocks.setdefault(_symbol(entry), section)
        except ValueError as reason:
            left_out.setdefault(entry, LeftOut(entry, str(reason)))
    if not stocks:
        named = f" ({', '.join(left_out)})" if left_out else ""
        raise CommandError(f"{name} holds no US stock{named}: nothing was imported")
    return ExportedList(stocks, tuple(left_out.values()))


def _symbol(entry: str) -> str:
    """Return an entry's stock. Raises ValueError saying what it is instead."""
    exchange, colon, ticker = entry.upper().rpartition(":")
    if exchange.count(":") or re.search(r"[-+*/]\w+:|^[\d(]", entry):
        raise ValueError("an expression")
    if ticker.endswith("!"):
        raise ValueError("a future")
    if colon and exchange not in US_EXCHANGES:
        raise ValueError(f"{exchange} is no US stock exchange")
    if ticker in INDICES:
        raise ValueError("an index")
    if colon and "/" in ticker:
        raise ValueError("a preferred share, warrant or unit")
    try:
        symbol = normalise_symbol(ticker)
    except ValueError:
        raise ValueError("no US stock symbol") from None
    if len(symbol.partition(".")[0]) > LONGEST_US_SYMBOL:
        raise ValueError("no US stock symbol: those have five letters at most")
    return symbol
