"""What a market is here: companies, stock quotes, chains, and the Market protocol that the vendors' faces speak for.

Symbols are written with a dot for a class share (`BRK.B`). How each vendor spells anything is in that vendor's file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
RATE = 0.04
"""The risk-free rate, a fraction, that prices the invented market."""


class Company(NamedTuple):
    """A listed company. market_cap in dollars; empty or None where a recording does not say."""

    symbol: str
    name: str
    sector: str
    industry: str
    market_cap: float | None


class StockState(NamedTuple):
    """A stock's quote: dollars a share, volume in shares, dividend_yield a fraction. None where nobody knows."""

    price: float | None
    quoted_at: datetime
    previous_close: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: int | None = None
    dividend_yield: float | None = None
    bid: float | None = None
    ask: float | None = None


class DayBar(NamedTuple):
    """A finished or running session of a stock's history; dollars a share."""

    date: date
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int | None


@dataclass(frozen=True, slots=True)
class Chain:
    """A symbol's contracts of one expiration, calls before puts; NaN where nothing is known.

    Prices in dollars a share, volatilities fractions; delta to rho as vendors give them (theta per day, vega and rho
    per percentage point). sigma is what priced the contract; yahoo_iv and cboe_iv are what those vendors say of it,
    junk included. last_traded_at: seconds since 1970.
    """

    expiration: date
    contract_symbols: Sequence[str]
    is_put: NDArray[np.bool_]
    strike: FloatArray
    bid: FloatArray
    ask: FloatArray
    last: FloatArray
    volume: FloatArray
    open_interest: FloatArray
    sigma: FloatArray
    yahoo_iv: FloatArray
    cboe_iv: FloatArray
    theo: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    rho: FloatArray
    last_traded_at: FloatArray

    def __len__(self) -> int:
        return len(self.contract_symbols)


class Market(Protocol):
    """A market as of any moment. The same question has the same answer for the whole of a session."""

    description: str
    """One line for a person: what these figures are."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that is listed."""
        ...

    def company(self, symbol: str) -> Company:
        """Return the company. Raise KeyError where the symbol is not listed."""
        ...

    def stock(self, symbol: str, now: datetime) -> StockState:
        """Return the stock's quote."""
        ...

    def expirations(self, symbol: str, now: datetime) -> tuple[date, ...]:
        """Return the listed expirations, none before today in New York."""
        ...

    def chain(self, symbol: str, expiration: date, now: datetime) -> Chain:
        """Return the contracts of a listed expiration."""
        ...

    def history(self, symbol: str, first: date, now: datetime) -> list[DayBar]:
        """Return the sessions from `first` to the latest that has begun."""
        ...


def occ_symbol(symbol: str, expiration: date, is_put: bool, strike: float) -> str:
    """Return the OCC contract symbol without padding: root, yymmdd, C or P, strike in thousandths on eight digits."""
    side = "P" if is_put else "C"
    return f"{symbol.replace('.', '')}{expiration:%y%m%d}{side}{round(strike * 1000):08d}"
