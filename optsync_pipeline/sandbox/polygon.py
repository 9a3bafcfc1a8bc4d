"""A market in Polygon's words: snapshots of option chains, and the list of contracts. Filters are in polygon_query.py.

A key is absent where nothing is known. Moments are nanoseconds since 1970. A class share is spelled with a dot.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from optsync_pipeline.sandbox.contract_rows import MOMENT, ContractRows, at_moment, cached_rows
from optsync_pipeline.sandbox.model import Chain, Market, StockState
from optsync_pipeline.sandbox.polygon_query import ContractQuery, QueryError
from optsync_pipeline.sandbox.refusals import polygon_refusal
from optsync_pipeline.sandbox.replies import ByteCache, Reply, edition

# Beside its path this is all that a client follows of a next_url.
_HOST = "https://api.massive.com"
_SNAPSHOT_LIMIT, _REFERENCE_LIMIT = 250, 1000
# One expiration of 1,205 symbols: 130 MB.
_CACHE_BYTES = 160 * 2**20
_NANOSECONDS = 10**9


class PolygonFace:
    """Answers Polygon's requests from any market. Cached is only what comes from `sound`, the market without faults."""

    def __init__(self, sound: Market) -> None:
        self._sound = sound
        self._cache = ByteCache(_CACHE_BYTES)

    def snapshot(
        self, market: Market, symbol: str, query: Mapping[str, str], now: datetime, unknown_status: int = 404
    ) -> Reply:
        """Return a page of contracts with quotes, greeks and the stock's price."""
        try:
            market.company(symbol)
        except KeyError:
            return polygon_refusal(unknown_status)
        stock = market.stock(symbol, now)
        quoted_at = f"{round(stock.quoted_at.timestamp() * 1e6) * 1000}".encode()
        make = partial(_snapshot_rows, symbol=symbol, stock=stock)
        path = f"/v3/snapshot/options/{symbol}"
        found = self._page(market, symbol, query, now, path, _SNAPSHOT_LIMIT, make)
        return Reply(found.status, at_moment(found.body, quoted_at))

    def contracts(self, market: Market, symbol: str, query: Mapping[str, str], now: datetime) -> Reply:
        """Return a page of contracts without quotes, none where the underlying is not listed."""
        make = partial(_reference_rows, symbol=symbol)
        return self._page(market, symbol, query, now, "/v3/reference/options/contracts", _REFERENCE_LIMIT, make)

    def _page(
        self,
        market: Market,
        symbol: str,
        query: Mapping[str, str],
        now: datetime,
        path: str,
        most: int,
        make: Callable[[Chain], ContractRows],
    ) -> Reply:
        try:
            wanted = ContractQuery.read(query, most)
        except QueryError as error:
            return polygon_refusal(400, str(error))
        by_expiration = (
            self._rows(market, symbol, day, now, path, make)
            for day in _expirations(market, symbol, now)
            if wanted.takes_expiration(day)
        )
        rows, next_query = wanted.page(by_expiration)
        rest = {"status": "OK", "request_id": blake2b(f"{path}{query}".encode(), digest_size=16).hexdigest()}
        if next_query:
            rest["next_url"] = f"{_HOST}{path}?{next_query}"
        return Reply(200, b'{"results":[%s],%s' % (b",".join(rows), orjson.dumps(rest)[1:]))

    def _rows(
        self,
        market: Market,
        symbol: str,
        expiration: date,
        now: datetime,
        path: str,
        make: Callable[[Chain], ContractRows],
    ) -> ContractRows:
        if market is not self._sound:
            return make(market.chain(symbol, expiration, now))
        key = (path, symbol, expiration, edition(now))
        return cached_rows(self._cache, key, lambda: make(market.chain(symbol, expiration, now)))


def _expirations(market: Market, symbol: str, now: datetime) -> tuple[date, ...]:
    try:
        market.company(symbol)
    except KeyError:
        return ()
    return market.expirations(symbol, now)


def _snapshot_rows(chain: Chain, symbol: str, stock: StockState) -> ContractRows:
    columns = _columns(chain)
    figures = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    rows = tuple(
        orjson.dumps(_snapshot(details, figure, symbol, stock))
        for details, figure in zip(_details(chain), figures, strict=True)
    )
    return ContractRows(chain.is_put, chain.strike, rows)


def _snapshot(details: dict[str, Any], figure: dict[str, float], symbol: str, stock: StockState) -> dict[str, Any]:
    """Return a contract. Without a volatility there are no greeks; without a trade there is no day."""
    last, volume, open_interest = figure["last"], figure["volume"], figure["open_interest"]
    modelled = figure["implied_volatility"] > 0
    day: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "vwap"), last)
    day.update(volume=volume, change=0.0, change_percent=0.0, previous_close=figure["theo"], last_updated=MOMENT)
    quote = {"ask": figure["ask"], "ask_size": 14, "bid": figure["bid"], "bid_size": 11, "midpoint": figure["midpoint"]}
    trade = {"price": last, "sip_timestamp": figure["traded_at"], "size": 1, "conditions": [209], "exchange": 309}
    trade["timeframe"] = "REAL-TIME"
    underlying = {"price": stock.price, "ticker": symbol, "change_to_break_even": None}
    if stock.price is not None:
        underlying["change_to_break_even"] = figure["break_even"] - stock.price
    found: dict[str, Any] = {
        "break_even_price": figure["break_even"],
        "day": _known(day) if volume is not None else {},
        "details": details,
        "greeks": _known({name: figure[name] for name in ("delta", "gamma", "theta", "vega")}) if modelled else {},
        "implied_volatility": figure["implied_volatility"] if modelled else None,
        "last_quote": {**_known(quote), "last_updated": MOMENT, "timeframe": "REAL-TIME"},
        "last_trade": _known(trade) if last == last else None,
        "open_interest": open_interest,
        "underlying_asset": {**_known(underlying), "last_updated": MOMENT, "timeframe": "REAL-TIME"},
    }
    return _known(found)


def _columns(chain: Chain) -> dict[str, list[Any]]:
    midpoint = np.round((chain.bid + chain.ask) / 2, 4)
    columns: dict[str, list[Any]] = {
        "bid": chain.bid.tolist(),
        "ask": chain.ask.tolist(),
        "midpoint": midpoint.tolist(),
        "break_even": np.where(chain.is_put, chain.strike - midpoint, chain.strike + midpoint).tolist(),
        "last": chain.last.tolist(),
        "theo": np.round(chain.theo, 2).tolist(),
        "volume": _whole(chain.volume.tolist()),
        "open_interest": _whole(chain.open_interest.tolist()),
        "traded_at": [int(at) * _NANOSECONDS if at == at else None for at in chain.last_traded_at.tolist()],
        "implied_volatility": chain.cboe_iv.tolist(),
    }
    for name in ("delta", "gamma", "theta", "vega"):
        columns[name] = getattr(chain, name).tolist()
    return columns


def _whole(figures: list[float]) -> list[int | None]:
    return [int(figure) if figure == figure else None for figure in figures]


def _details(chain: Chain) -> list[dict[str, Any]]:
    columns = zip(chain.contract_symbols, chain.is_put.tolist(), chain.strike.tolist(), strict=True)
    return [
        {
            "contract_type": "put" if is_put else "call",
            "exercise_style": "american",
            "expiration_date": f"{chain.expiration}",
            "shares_per_contract": 100,
            "strike_price": (int(strike) if strike.is_integer() else strike) if strike == strike else None,
            "ticker": f"O:{name}",
        }
        for name, is_put, strike in columns
    ]


def _reference_rows(chain: Chain, symbol: str) -> ContractRows:
    same = {"cfi": "OCASPS", "primary_exchange": "BATO", "underlying_ticker": symbol}
    rows = tuple(orjson.dumps({**same, **details}) for details in _details(chain))
    return ContractRows(chain.is_put, chain.strike, rows)


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures without those that are none."""
    return {name: figure for name, figure in figures.items() if figure is not None and figure == figure}
