"""Reads a list of stocks from CSV: the Nasdaq screener's columns or the S&P list's. All or nothing, no database."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.symbols import normalise_symbol

# Field of ours -> column of the list, as headings are compared: lower case, blanks as underscores.
NASDAQ_SCREENER = {
    "symbol": "symbol",
    "company_name": "name",
    "sector": "sector",
    "industry": "industry",
    "market_cap": "market_cap",
}
SP500_LIST = {
    "symbol": "symbol",
    "company_name": "security",
    "sector": "gics_sector",
    "industry": "gics_sub-industry",
}
BUILT_IN = {"sp500": Path(__file__).parent / "lists" / "sp500.csv"}
"""Lists that come with the program; lists/README.md says where they are from."""
MARKET_CAP_LIMIT = Decimal(10) ** 18


class ListedStock(NamedTuple):
    """A stock as a list describes it. market_cap in dollars; None where the list says nothing."""

    symbol: str
    company_name: str | None = None
    sector: str | None = None
    industry: str | None = None
    market_cap: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StockList:
    """The stocks of a file, each once. repeated: lines that named one again; preferred: lines of preferred shares."""

    stocks: tuple[ListedStock, ...]
    repeated: int
    preferred: int


def built_in_list(given: str) -> bytes | None:
    """Return the list of that name that comes with the program, or None where it is a file's path."""
    return BUILT_IN[given].read_bytes() if given in BUILT_IN else None


def read_stock_list(content: bytes, name: str) -> StockList:
    """Read a list. Raises CommandError naming the file and the line or the missing columns."""
    records = _records(_decode(content, name), name)
    try:
        _, header = next(records)
    except StopIteration:
        raise CommandError(
            f"{name} is empty: give a CSV file with a line of headings and a line for each stock"
        ) from None
    places = _places([heading.strip().lower().replace(" ", "_") for heading in header], name)
    stocks: dict[str, ListedStock] = {}
    repeated = preferred = 0
    for line, fields in records:
        if len(fields) != len(header):
            raise _broken(name, line, f"{len(fields)} fields where the headings have {len(header)}")
        values = {field: fields[place].strip() for field, place in places.items()}
        if "^" in values["symbol"]:  # how the screener writes preferred shares (BAC^K); they have no listed options
            preferred += 1
            continue
        stock = _stock(values, name, line)
        repeated += stock.symbol in stocks
        stocks.setdefault(stock.symbol, stock)
    if not stocks:
        raise CommandError(f"{name} has headings and no stocks: nothing to import")
    return StockList(tuple(stocks.values()), repeated, preferred)


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(name, line, "not UTF-8 text") from None


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, with the line on which it begins."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken(name, line, str(error)) from None
        if any(field.strip() for field in fields):
            yield line, fields
        line = reader.line_num + 1


def _places(headings: list[str], name: str) -> dict[str, int]:
    layout = SP500_LIST if "security" in headings or "gics_sector" in headings else NASDAQ_SCREENER
    missing = [column for column in layout.values() if column not in headings]
    if missing:
        raise CommandError(
            f"{name} has no column {', '.join(missing)}: give the Nasdaq screener's columns "
            f"({', '.join(NASDAQ_SCREENER.values())}) or the S&P list's ({', '.join(SP500_LIST.values())})"
        )
    return {field: headings.index(column) for field, column in layout.items()}


def _stock(values: dict[str, str], name: str, line: int) -> ListedStock:
    try:
        symbol = normalise_symbol(values["symbol"])
    except ValueError as error:
        raise _broken(name, line, str(error)) from None
    if any("\0" in value for value in values.values()):
        raise _broken(name, line, "a NUL character")
    return ListedStock(
        symbol=symbol,
        company_name=values["company_name"] or None,
        sector=values["sector"] or None,
        industry=values["industry"] or None,
        market_cap=_market_cap(values.get("market_cap", ""), name, line),
    )


def _market_cap(text: str, name: str, line: int) -> Decimal | None:
    if not text:
        return None
    try:
        dollars = Decimal(text.replace(",", "").removeprefix("$"))
    except InvalidOperation:
        dollars = Decimal("NaN")
    if not dollars.is_finite() or not 0 <= dollars < MARKET_CAP_LIMIT:
        raise _broken(name, line, f"market_cap {text!r} is not a number of dollars")
    return dollars or None  # the screener writes 0 where it knows none


def _broken(name: str, line: int, reason: str) -> CommandError:
    return CommandError(f"{name}, line {line}: {reason}; nothing was imported: mend the line and import again")
