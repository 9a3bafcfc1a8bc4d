"""Polygon's rows: which expirations they list, the stock's quote in them, and each row as a contract or a refusal.

    details.ticker without its `O:` is the OCC symbol         last_quote    bid, ask, and when they were quoted
    shares_per_contract other than 100: adjusted contract     last_trade    the last price; else day.close
    greeks may be {}, implied_volatility may be absent        day           volume, if the bar is the session's

A bid and ask from before the latest session are none: the row keeps its place without them, and is not sellable. What
is asked for is polygon.py's.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from optsync_pipeline.calendar import latest_session, new_york_date
from optsync_pipeline.providers.base import ContractQuote, InvalidReply, StockQuote
from optsync_pipeline.providers.fields import count, moment, number, positive, same_symbol
from optsync_pipeline.providers.occ import ContractSorter, OccSymbol, parse_occ
from optsync_pipeline.symbols import occ_root

_STANDARD_SHARES = 100
_NANOSECONDS = 1e9


def expiration_of_row(symbol: str, row: object) -> tuple[date | None, bool]:
    """Return when a row's contract expires, None where it cannot be read, and whether it is a standard contract.

    Raises InvalidReply where the row is of another stock.
    """
    if not same_symbol(_part(row, "underlying_asset").get("ticker"), symbol):
        raise InvalidReply(f"Polygon answered {symbol} with another symbol's chain")
    occ = parse_occ(_contract_symbol(row))
    if occ is None:
        return None, False
    return occ.expiration_date, occ.root == occ_root(symbol) and _is_standard(row)


def has_quotes(rows: Iterable[object]) -> bool:
    """Say whether any row has a quote: a plan without quotes leaves the field out of all of them."""
    return any(isinstance(row, dict) and isinstance(row.get("last_quote"), dict) for row in rows)


class RowReader:
    """Reads the rows of one symbol's chosen expirations into `sorter`, and keeps what they say of the stock.

    listed: every expiration that the reply was to hold; the rows of those that were not chosen are passed over.
    """

    def __init__(self, symbol: str, chosen: tuple[date, ...], listed: Iterable[date], now: datetime) -> None:
        self.sorter = ContractSorter(symbol)
        self._symbol = symbol
        self._chosen = chosen
        self._neighbours = set(listed) - set(chosen)
        self._session = latest_session(now)
        self._newest_quote: datetime | None = None
        self._stock: tuple[datetime | None, float] | None = None

    def read(self, row: object) -> None:
        """Sort one row."""
        name = _contract_symbol(row)
        if not isinstance(row, dict):
            self.sorter.refuse(name, "unreadable_contract_symbol", "the row is not an object")
            return
        named = parse_occ(name)
        if named is not None and named.expiration_date in self._neighbours:
            return
        expiration = named.expiration_date if named and named.expiration_date in self._chosen else self._chosen[0]
        details = _part(row, "details")
        kind = details.get("contract_type")
        occ = self.sorter.identify(name, expiration, kind if kind in ("put", "call") else None)
        if occ is None:
            return
        strike = positive(details.get("strike_price"))
        if not _is_standard(row):
            shares = number(details.get("shares_per_contract"))
            self.sorter.refuse(occ.text, "adjusted_contract", f"{shares or 0:g} shares per contract")
        elif strike is None:
            self.sorter.refuse(occ.text, "missing_strike", "the row has no strike above 0")
        elif round(strike * 1000) != round(occ.strike_price * 1000):
            detail = f"strike {strike:g}, its symbol says {occ.strike_price:g}"
            self.sorter.refuse(occ.text, "strike_mismatch", detail)
        else:
            self._note_stock(row)
            self.sorter.accept(self._contract(occ, strike, row))

    def stock_quote(self) -> StockQuote:
        """Return the stock's newest price, dated by the older of it and the newest of the contracts' quotes.

        So neither an old price nor old quotes pass for fresh. Raises InvalidReply where there is no price or no time.
        """
        stock_time, price = self._stock or (None, None)
        if price is None:
            raise InvalidReply(f"Polygon sent a chain of {self._symbol} without the stock's price")
        times = [at for at in (stock_time, self._newest_quote) if at is not None]
        if not times:
            raise InvalidReply(f"Polygon sent a chain of {self._symbol} without a quote time")
        return StockQuote(current_price=price, quoted_at=min(times))

    def _note_stock(self, row: object) -> None:
        asset = _part(row, "underlying_asset")
        price, at = positive(asset.get("price")), _time(asset)
        if price is None:
            return
        newest = self._stock[0] if self._stock else None
        if self._stock is None or (at is not None and (newest is None or at > newest)):
            self._stock = (at, price)

    def _contract(self, occ: OccSymbol, strike: float, row: dict[str, Any]) -> ContractQuote:
        quote, greeks, day = _part(row, "last_quote"), _part(row, "greeks"), _part(row, "day")
        quoted_at, traded_at = _time(quote), _time(day)
        if quoted_at is not None and (self._newest_quote is None or quoted_at > self._newest_quote):
            self._newest_quote = quoted_at
        is_old = quoted_at is not None and quoted_at < self._session.open
        is_old_bar = traded_at is not None and new_york_date(traded_at) < self._session.date
        last_trade = number(_part(row, "last_trade").get("price"))
        return ContractQuote(
            contract_symbol=occ.text,
            expiration_date=occ.expiration_date,
            strike_price=strike,
            option_type=occ.option_type,
            bid=None if is_old else number(quote.get("bid")),
            ask=None if is_old else number(quote.get("ask")),
            last_price=number(day.get("close")) if last_trade is None else last_trade,
            volume=None if is_old_bar else count(day.get("volume")),
            open_interest=count(row.get("open_interest")),
            implied_volatility=number(row.get("implied_volatility")),
            delta=number(greeks.get("delta")),
            gamma=number(greeks.get("gamma")),
            theta=number(greeks.get("theta")),
            vega=number(greeks.get("vega")),
        )


def _part(row: object, name: str) -> dict[str, Any]:
    """Return an object within a row; an empty one where it is missing."""
    part = row.get(name) if isinstance(row, dict) else None
    return part if isinstance(part, dict) else {}


def _contract_symbol(row: object) -> str | None:
    ticker = _part(row, "details").get("ticker")
    return ticker.removeprefix("O:") if isinstance(ticker, str) else None


def _is_standard(row: object) -> bool:
    shares = _part(row, "details").get("shares_per_contract")
    return shares is None or number(shares) == _STANDARD_SHARES


def _time(part: dict[str, Any]) -> datetime | None:
    nanoseconds = number(part.get("last_updated"))
    return moment(nanoseconds / _NANOSECONDS) if nanoseconds is not None else None
