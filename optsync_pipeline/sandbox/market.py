"""The invented market: companies, stock prices and expirations, all from a seed. Its chains are priced in pricing.py.

A stock's price is a sum of slow waves around its level, so that any day can be computed without the days before it. It
changes from session to session, not within one: what a test reads as truth is what was served before and after.
"""

import random
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache

import numpy as np

from optsync_pipeline.sandbox.listing import Traits, list_companies
from optsync_pipeline.sandbox.model import Chain, Company, DayBar, FloatArray, StockState
from optsync_pipeline.sandbox.pricing import price_chain
from optsync_pipeline.sandbox.sessions import (
    monthly_expirations,
    new_york_date,
    quote_time,
    session_book,
    session_book_of,
    weekly_expirations,
)

DEFAULT_SYMBOLS = 200
DEFAULT_SEED = 7
_WAVE_DAYS = np.array([2.3, 3.7, 6.1, 10.9, 23.0, 61.0, 149.0])
_DAY_VOLATILITY_SHARE = 1 / np.sqrt(252)
_WEEKS_LISTED = 7
_MONTHS_LISTED = 13


class InventedMarket:
    """A market of `symbols` companies whose every figure follows from `seed` and the date."""

    def __init__(self, symbols: int = DEFAULT_SYMBOLS, seed: int = DEFAULT_SEED) -> None:
        if symbols < 1:
            raise ValueError("a market needs at least one symbol")
        self.seed = seed
        self.description = f"{symbols} invented stocks priced by Black–Scholes from seed {seed}"
        self._listed = list_companies(symbols, seed)
        # Per market, not per process: two seeds in one test run must not share answers.
        self._waves = lru_cache(maxsize=None)(self._draw_waves)
        self._expirations: Callable[[str, date], tuple[date, ...]] = lru_cache(maxsize=50_000)(self._list_expirations)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every listed symbol, the largest company first."""
        return tuple(self._listed)

    def company(self, symbol: str) -> Company:
        """Return the company. Raise KeyError where the symbol is not listed."""
        return self._listed[symbol][0]

    def stock(self, symbol: str, now: datetime) -> StockState:
        """Return the stock's quote."""
        book = session_book(now)
        session = book.latest(now)
        bars = self._bars(symbol, [book.before(session.date), session.date])
        last = bars[1]
        assert last.close is not None
        return StockState(
            price=last.close,
            quoted_at=quote_time(now),
            previous_close=bars[0].close,
            open=last.open,
            high=last.high,
            low=last.low,
            volume=last.volume,
            dividend_yield=self._traits(symbol).dividend_yield or None,
            bid=round(last.close - 0.01, 2),
            ask=round(last.close + 0.01, 2),
        )

    def expirations(self, symbol: str, now: datetime) -> tuple[date, ...]:
        """Return the listed expirations: the coming weeks for some symbols, the next monthlies for all."""
        return self._expirations(symbol, new_york_date(now))

    def chain(self, symbol: str, expiration: date, now: datetime) -> Chain:
        """Return the contracts of a listed expiration, priced as of the latest session that has begun."""
        session = session_book(now).latest(now)
        spot = self._bars(symbol, [session.date])[0].close
        assert spot is not None
        return price_chain(symbol, self._traits(symbol), spot, expiration, session, self.seed)

    def history(self, symbol: str, first: date, now: datetime) -> list[DayBar]:
        """Return the sessions from `first` to the latest that has begun."""
        book = session_book(now)
        return self._bars(symbol, list(book.between(first, book.latest(now).date)))

    def _traits(self, symbol: str) -> Traits:
        return self._listed[symbol][1]

    def _list_expirations(self, symbol: str, today: date) -> tuple[date, ...]:
        book = session_book_of(today.year)
        monthlies = monthly_expirations(book, today, _MONTHS_LISTED)
        # As on the exchange: the next three months, then every third, which is a different third from stock to stock.
        cycle = random.Random(f"{self.seed}/cycle/{symbol}").randrange(3)
        listed = {day for at, day in enumerate(monthlies) if at < 3 or day.month % 3 == cycle}
        if self._traits(symbol).has_weeklies:
            listed.update(weekly_expirations(book, today, _WEEKS_LISTED))
        return tuple(sorted(listed))

    def _draw_waves(self, symbol: str) -> tuple[FloatArray, FloatArray]:
        draw = np.random.default_rng([self.seed, *symbol.encode()])
        phases = draw.uniform(0, 2 * np.pi, len(_WAVE_DAYS))
        # A wave of amplitude a and period p moves by about 2 pi a / p a day; the fast ones carry the daily volatility.
        daily_move = self._traits(symbol).sigma * _DAY_VOLATILITY_SHARE
        return phases, daily_move * _WAVE_DAYS / (2 * np.pi) * draw.uniform(0.2, 0.5, len(_WAVE_DAYS))

    def _level(self, symbol: str, ordinals: FloatArray) -> FloatArray:
        phases, amplitudes = self._waves(symbol)
        waves = np.sin(2 * np.pi * ordinals[:, None] / _WAVE_DAYS + phases)
        return np.asarray(self._traits(symbol).price * np.exp(waves @ np.minimum(amplitudes, 0.08)), dtype=np.float64)

    def _bars(self, symbol: str, days: list[date]) -> list[DayBar]:
        ordinals = np.array([day.toordinal() for day in days], dtype=np.float64)
        close = np.round(self._level(symbol, ordinals), 2)
        open_ = np.round(self._level(symbol, ordinals - 0.35), 2)
        reach = self._traits(symbol).sigma * _DAY_VOLATILITY_SHARE * (0.2 + 0.3 * (1 + np.sin(ordinals * 1.7)))
        high = np.round(np.maximum(open_, close) * (1 + reach / 2), 2)
        low = np.round(np.minimum(open_, close) * (1 - reach / 2), 2)
        shares = 4e7 * self._traits(symbol).liquidity ** 2 * (1 + 0.4 * np.sin(ordinals * 2.9))
        columns = (open_.tolist(), high.tolist(), low.tolist(), close.tolist(), shares.astype(int).tolist())
        return [DayBar(day, *figures) for day, *figures in zip(days, *columns, strict=True)]
