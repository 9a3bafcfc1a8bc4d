"""A recorded market, moved to today: real chains from parquet, so that a sync meets what real quotes look like.

    option_chains_DATE.parquet   symbol, contract_symbol, expiration, option_type, strike, bid, ask; where known last,
                                 volume, open_interest, implied_volatility (Yahoo's), delta, gamma, theta, vega, rho
    stocks_DATE.csv              symbol, underlying_price, quoted_at

Every date moves by the same whole number of weeks, so that Fridays stay Fridays: to the latest such day that is not
after today in New York. A quote keeps its time of day, in the latest session that has begun, and is never later than
now. Expirations that have passed are not listed. Nothing is invented: what the recording does not say, no vendor says.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from optsync_pipeline.sandbox.model import Chain, Company, DayBar, StockState
from optsync_pipeline.sandbox.sessions import NEW_YORK, new_york_date, session_book

_CHAINS, _STOCKS = "option_chains_", "stocks_"
_REQUIRED = ("symbol", "contract_symbol", "expiration", "option_type", "strike", "bid", "ask")
_FIGURES = (
    "strike",
    "bid",
    "ask",
    "last",
    "volume",
    "open_interest",
    "implied_volatility",
    "delta",
    "gamma",
    "theta",
    "vega",
    "rho",
)
_REQUIRED_OF_STOCKS = ("symbol", "underlying_price", "quoted_at")


class RecordingError(Exception):
    """A folder holds no readable recording. The text says what is missing."""


class RecordedMarket:
    """The market of one recorded day."""

    def __init__(self, folder: Path, day: date | None = None) -> None:
        """Read a day's recording, the latest one unless `day` says which. Raise RecordingError."""
        self.day = day or _latest_day(folder)
        stocks = _read_stocks(folder / f"{_STOCKS}{self.day}.csv")
        chains = _read_chains(folder / f"{_CHAINS}{self.day}.parquet")
        self._stocks: dict[str, tuple[float | None, time]] = {
            symbol: (None if np.isnan(price) else price, quoted_at.time())
            for symbol, price, quoted_at in zip(*(stocks[name].tolist() for name in _REQUIRED_OF_STOCKS), strict=True)
        }
        self._contract_symbols: list[str] = chains["contract_symbol"].tolist()
        self._is_put = chains["is_put"].to_numpy(dtype=np.bool_)
        self._figures = {name: chains[name].to_numpy(dtype=np.float64) for name in _FIGURES}
        self._slices = _slices_by_symbol(chains)
        self._symbols = tuple(sorted({*self._stocks, *self._slices}))
        self.description = (
            f"{len(chains):,} contracts of {len(self._symbols)} stocks recorded on {self.day}, moved to today"
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every recorded symbol, also those without a price or without contracts."""
        return self._symbols

    def company(self, symbol: str) -> Company:
        """Return the company, of which a recording knows the symbol alone. Raise KeyError where it is not listed."""
        if symbol not in self._stocks and symbol not in self._slices:
            raise KeyError(symbol)
        return Company(symbol, f"{symbol} (recorded {self.day})", "", "", None)

    def stock(self, symbol: str, now: datetime) -> StockState:
        """Return the stock's recorded price at its time of day in the latest session that has begun."""
        price, time_of_day = self._stocks.get(symbol, (None, time(12)))
        session = session_book(now).latest(now)
        quoted_at = datetime.combine(session.date, time_of_day, NEW_YORK).astimezone(now.tzinfo)
        return StockState(price, min(max(quoted_at, session.opens_at), session.closes_at, now))

    def expirations(self, symbol: str, now: datetime) -> tuple[date, ...]:
        """Return the recorded expirations as moved, without those that have passed."""
        moved = (recorded + self.shift(now) for recorded in self._slices.get(symbol, ()))
        today = new_york_date(now)
        return tuple(day for day in moved if day >= today)

    def chain(self, symbol: str, expiration: date, now: datetime) -> Chain:
        """Return the recorded contracts of a listed expiration."""
        rows = self._slices[symbol][expiration - self.shift(now)]
        figure = {name: values[rows] for name, values in self._figures.items()}
        unknown = np.full(figure["strike"].size, np.nan)
        return Chain(
            expiration=expiration,
            contract_symbols=_moved_contracts(self._contract_symbols[rows], self.shift(now)),
            is_put=self._is_put[rows],
            strike=figure["strike"],
            bid=figure["bid"],
            ask=figure["ask"],
            last=figure["last"],
            volume=figure["volume"],
            open_interest=figure["open_interest"],
            sigma=unknown,
            yahoo_iv=figure["implied_volatility"],
            cboe_iv=figure["implied_volatility"],
            theo=unknown,
            delta=figure["delta"],
            gamma=figure["gamma"],
            theta=figure["theta"],
            vega=figure["vega"],
            rho=figure["rho"],
            last_traded_at=unknown,
        )

    def history(self, symbol: str, first: date, now: datetime) -> list[DayBar]:
        """Return the one price that was recorded, as the latest session's close."""
        latest = session_book(now).latest(now).date
        price = self.stock(symbol, now).price
        return [DayBar(latest, None, None, None, price, None)] if price is not None and latest >= first else []

    def shift(self, now: datetime) -> timedelta:
        """Return by how much dates move: the whole weeks from the recorded day to today in New York."""
        return timedelta(weeks=(new_york_date(now) - self.day).days // 7)


def _latest_day(folder: Path) -> date:
    days = []
    for path in folder.glob(f"{_CHAINS}*.parquet"):
        try:
            days.append(date.fromisoformat(path.stem.removeprefix(_CHAINS)))
        except ValueError:
            raise RecordingError(f"{path}: the name must end in a date, like {_CHAINS}2026-07-16.parquet") from None
    if not days:
        raise RecordingError(f"{folder} holds no recording: no file like {_CHAINS}2026-07-16.parquet")
    return max(days)


def _read_stocks(path: Path) -> pd.DataFrame:
    stocks = _read(path, _REQUIRED_OF_STOCKS)
    stocks["symbol"] = stocks["symbol"].map(_own_symbol)
    stocks["underlying_price"] = pd.to_numeric(stocks["underlying_price"])
    stocks["quoted_at"] = pd.to_datetime(stocks["quoted_at"], utc=True).dt.tz_convert(NEW_YORK)
    return stocks


def _read_chains(path: Path) -> pd.DataFrame:
    chains = _read(path, _REQUIRED)
    for missing in set(_FIGURES) - set(chains.columns):
        chains[missing] = np.nan
    chains["symbol"] = chains["symbol"].astype(str).map(_own_symbol)
    chains["expiration"] = pd.to_datetime(chains["expiration"].astype(str)).dt.date
    chains["is_put"] = chains["option_type"].astype(str).str.lower().str.startswith("p")
    return chains.sort_values(["symbol", "expiration", "is_put", "strike"], kind="stable").reset_index(drop=True)


def _read(path: Path, required: Sequence[str]) -> pd.DataFrame:
    try:
        # "NA" is a symbol, not a missing one.
        frame = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
        )
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise RecordingError(f"{path} lacks the columns {', '.join(missing)}")
    return frame


def _own_symbol(symbol: str) -> str:
    return symbol.strip().upper().replace("-", ".").replace("/", ".")


def _slices_by_symbol(chains: pd.DataFrame) -> dict[str, dict[date, slice]]:
    """Return each symbol's rows by recorded expiration; the frame is sorted, so that they lie together."""
    found: dict[str, dict[date, slice]] = {}
    first = 0
    for (symbol, expiration), rows in groupby(zip(chains["symbol"], chains["expiration"], strict=True)):
        count = sum(1 for _ in rows)
        found.setdefault(symbol, {})[expiration] = slice(first, first + count)
        first += count
    return found


def _moved_contracts(recorded: Sequence[str], shift: timedelta) -> list[str]:
    """Move the date inside OCC symbols; the root stays, also one of an adjusted contract."""
    return [f"{symbol[:-15]}{_moved_yymmdd(symbol[-15:-9], shift)}{symbol[-9:]}" for symbol in recorded]


@lru_cache(maxsize=4096)
def _moved_yymmdd(yymmdd: str, shift: timedelta) -> str:
    recorded = date(2000 + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:]))
    return f"{recorded + shift:%y%m%d}"
