"""Stocks' quotes at Robinhood, many in one request, and shared by the symbols of a run.

A chain's reply lacks the stock's price. So the first symbol of a run that needs one asks for the next hundred's too, in
the order in which they were foretold. One thread asks at a time and the others wait for it; where it fails, each of
those that waited asks for itself, so that a slow vendor holds them up together and not one after the other.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from optsync_pipeline.providers.base import FetchError, InvalidReply, QuotesReply, StockQuote, UnknownSymbol
from optsync_pipeline.providers.robinhood_fields import iso_moment, price
from optsync_pipeline.providers.robinhood_session import RobinhoodSession

SYMBOLS_PER_REQUEST = 500
"""1,630 symbols were once the most before 414 (URI too long); 500 of the longest make a URL of 6 kB, of the usual 8."""

FORETOLD_SYMBOLS = 100
FRESH_SECONDS = 120.0
"""A price this old still fits its chain's quotes; 100 symbols take a minute or two at the default limit."""

Told = StockQuote | FetchError


def ask_quotes(session: RobinhoodSession, symbols: Sequence[str]) -> dict[str, Told]:
    """Ask once for the quotes of stocks; a symbol that the reply does not speak of is left out."""
    asked = symbols[0] if len(symbols) == 1 else f"the quotes of {len(symbols)} stocks"
    rows = session.rows("/quotes/", asked, symbols=",".join(symbols))
    by_symbol = {row["symbol"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("symbol"), str)}
    told: dict[str, Told] = {}
    # In the order asked, null where unknown: only a list of the same length can be read by its places.
    for place, symbol in enumerate(symbols):
        if symbol in by_symbol:
            told[symbol] = _read_quote(symbol, by_symbol[symbol])
        elif len(rows) == len(symbols) and rows[place] is None:
            told[symbol] = UnknownSymbol(f"Robinhood does not know {symbol}")
    return told


class SharedQuotes:
    """Quotes that the threads of a run share. clock: seconds, never going back."""

    def __init__(self, session: RobinhoodSession, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._turn = threading.Condition()
        self._foretold: list[str] = []
        self._places: dict[str, int] = {}
        self._asked: set[str] = set()
        self._known: dict[str, tuple[float, Told]] = {}
        self._is_asking = False
        self._rounds = 0
        self._failed_round = 0

    def expect(self, symbols: Sequence[str]) -> None:
        """Be told of symbols that will be needed, in their order."""
        with self._turn:
            for symbol in symbols:
                self._asked.discard(symbol)
                if symbol not in self._places:
                    self._places[symbol] = len(self._foretold)
                    self._foretold.append(symbol)

    def quote_of(self, symbol: str) -> StockQuote:
        """Return the stock's quote, not older than FRESH_SECONDS. Raises a FetchError."""
        told, for_all = self._wait_for_turn(symbol)
        if told is None:
            self._ask(symbol, for_all=for_all)
            told = self._fresh(symbol)
        if told is None:
            raise InvalidReply(f"Robinhood answered the quotes of several stocks without {symbol}'s")
        if isinstance(told, FetchError):
            raise type(told)(str(told))
        return told

    def store(self, told: dict[str, Told]) -> None:
        """Keep quotes that were just asked for, and drop those that are too old."""
        now = self._clock()
        with self._turn:
            self._known = {name: kept for name, kept in self._known.items() if now - kept[0] < FRESH_SECONDS}
            self._known.update({symbol: (now, one) for symbol, one in told.items()})

    def _wait_for_turn(self, symbol: str) -> tuple[Told | None, bool]:
        """Wait until the quote is known, or this thread is to ask: for all that wait, or, that having failed, alone."""
        with self._turn:
            self._asked.add(symbol)
            while (told := self._fresh(symbol)) is None:
                if not self._is_asking:
                    self._is_asking = True
                    return None, True
                round_awaited = self._rounds + 1
                while self._rounds < round_awaited:
                    self._turn.wait()
                if self._failed_round >= round_awaited:
                    return self._fresh(symbol), False
            return told, False

    def _ask(self, symbol: str, *, for_all: bool) -> None:
        failed = True
        try:
            self.store(ask_quotes(self._session, self._next_symbols(symbol)))
            failed = False
        finally:
            if for_all:
                with self._turn:
                    self._is_asking = False
                    self._rounds += 1
                    self._failed_round = self._rounds if failed else self._failed_round
                    self._turn.notify_all()

    def _next_symbols(self, symbol: str) -> list[str]:
        with self._turn:
            following = self._foretold[self._places[symbol] + 1 :] if symbol in self._places else []
            ahead = [one for one in following if one not in self._asked]
            return [symbol, *ahead[:FORETOLD_SYMBOLS]]

    def _fresh(self, symbol: str) -> Told | None:
        kept = self._known.get(symbol)
        return kept[1] if kept is not None and self._clock() - kept[0] < FRESH_SECONDS else None


def as_reply(provider: str, told: dict[str, Told], requests: int) -> QuotesReply:
    """Return what was told of stocks as a reply of many quotes."""
    quotes = {symbol: one for symbol, one in told.items() if isinstance(one, StockQuote)}
    unknown = {symbol: one for symbol, one in told.items() if isinstance(one, FetchError)}
    return QuotesReply(provider, quotes, unknown, requests)


def _read_quote(symbol: str, row: dict[str, Any]) -> Told:
    last, quoted_at = price(row.get("last_trade_price")), iso_moment(row.get("updated_at"))
    if last is None or quoted_at is None:
        lacking = "a price" if last is None else "a quote time"
        return InvalidReply(f"Robinhood sent a quote of {symbol} without {lacking}")
    return StockQuote(current_price=last, quoted_at=quoted_at, previous_close=price(row.get("previous_close")))
