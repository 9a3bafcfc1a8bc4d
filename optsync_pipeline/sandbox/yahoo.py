"""A market in Yahoo's words: chains and quotes. Histories are in yahoo_chart.py, cookie and crumb in yahoo_access.py.

A class share is spelled with a dash. A key is absent where nothing is known. Dates are seconds since 1970 at 00:00 UTC.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson

from optsync_pipeline.sandbox.model import Chain, FloatArray, Market, StockState
from optsync_pipeline.sandbox.replies import ByteCache, Reply, edition
from optsync_pipeline.sandbox.sessions import market_state

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_SECONDS_PER_DAY = 86_400
# A load test asks for two chains of each of 1,205 symbols: 110 MB.
_CACHE_BYTES = 128 * 2**20
_EPOCH_SECONDS = re.compile(r"-?[0-9]{1,12}")


class YahooFace:
    """Answers Yahoo's requests from any market. Cached is only what comes from `sound`, the market without faults."""

    def __init__(self, sound: Market) -> None:
        self._sound = sound
        self._cache = ByteCache(_CACHE_BYTES)

    def symbol_of(self, spelled: str) -> str:
        """Return our symbol for Yahoo's; what has a dot is none of Yahoo's US symbols."""
        return spelled.upper().replace(".", "?").replace("-", ".")

    def options(
        self, market: Market, symbol: str, date_seconds: str | None, now: datetime, unknown_status: int = 404
    ) -> Reply:
        """Return one expiration's chain: the nearest, or that of `date`; empty lists where that date is not listed."""
        try:
            market.company(symbol)
        except KeyError:
            return error_reply("optionChain", unknown_status, "Not Found", "No data found, symbol may be delisted")
        if date_seconds is not None and not _EPOCH_SECONDS.fullmatch(date_seconds):
            return error_reply("optionChain", 400, "Bad Request", "invalid date")
        seconds = None if date_seconds is None else int(date_seconds)
        stock = market.stock(symbol, now)
        if market is self._sound:
            key = (symbol, seconds, edition(now))
            head, tail = self._cache.get_or_make(key, lambda: _chain_parts(market, symbol, seconds, stock, now))
        else:
            head, tail = _chain_parts(market, symbol, seconds, stock, now)
        return Reply(200, b"".join((head, orjson.dumps(_quote(market, symbol, stock, now)), tail)))

    def quotes(self, market: Market, symbols: Sequence[str], now: datetime) -> Reply:
        """Return the quotes of those symbols that are listed; the others are absent."""
        listed = set(market.symbols).intersection(symbols)
        found = [_quote(market, symbol, market.stock(symbol, now), now) for symbol in symbols if symbol in listed]
        return Reply(200, orjson.dumps({"quoteResponse": {"result": found, "error": None}}))


def error_reply(root: str, status: int, code: str, description: str) -> Reply:
    """Return an error as Yahoo writes it under `root`."""
    return Reply(status, orjson.dumps({root: {"result": None, "error": {"code": code, "description": description}}}))


def epoch(day: date) -> int:
    """Return a date in seconds since 1970."""
    return (day.toordinal() - _EPOCH_ORDINAL) * _SECONDS_PER_DAY


def yahoo_symbol(symbol: str) -> str:
    """Return Yahoo's spelling of our symbol."""
    return symbol.replace(".", "-")


def _listed_on(seconds: int, listed: Sequence[date]) -> date | None:
    """Return the listed expiration that those seconds mean, or None."""
    return next((day for day in listed if epoch(day) == seconds), None)


def _chain_parts(
    market: Market, symbol: str, seconds: int | None, stock: StockState, now: datetime
) -> tuple[bytes, bytes]:
    """Return the reply before and after the quote, which alone changes within a session."""
    listed = market.expirations(symbol, now)
    chosen = next(iter(listed), None) if seconds is None else _listed_on(seconds, listed)
    chain = market.chain(symbol, chosen, now) if chosen else None
    rows = _rows(chain, stock.price) if chain else []
    calls = [row for row, is_put in zip(rows, chain.is_put.tolist(), strict=True) if not is_put] if chain else []
    head = {
        "underlyingSymbol": yahoo_symbol(symbol),
        "expirationDates": [epoch(expiration) for expiration in listed],
        "strikes": [_plain(strike) for strike in np.unique(chain.strike).tolist()] if chain else [],
        "hasMiniOptions": False,
    }
    shown = {
        "expirationDate": epoch(chosen) if chosen else seconds,
        "hasMiniOptions": False,
        "calls": calls,
        "puts": rows[len(calls) :],
    }
    start = b'{"optionChain":{"result":[' + orjson.dumps(head)[:-1] + b',"quote":'
    return start, b',"options":' + orjson.dumps([shown] if listed else []) + b'}],"error":null}}'


def _rows(chain: Chain, spot: float | None) -> list[dict[str, Any]]:
    """Return the contracts in the chain's order, calls before puts."""
    expiration = epoch(chain.expiration)
    strikes = [_plain(strike) for strike in _column(chain.strike)]
    in_the_money = (chain.is_put == (chain.strike > spot)).tolist() if spot is not None else [False] * len(chain)
    change = np.round(chain.last - chain.theo, 2)
    percent_change = 100 * change / np.where(chain.last > 0, chain.last, np.nan)
    optional: dict[str, Sequence[float | None]] = {
        "lastPrice": _column(chain.last),
        "change": _column(change),
        "percentChange": _column(percent_change),
        "volume": _counts(chain.volume),
        "openInterest": _counts(chain.open_interest),
        "bid": _column(chain.bid),
        "ask": _column(chain.ask),
        "lastTradeDate": _counts(chain.last_traded_at),
        "impliedVolatility": _column(chain.yahoo_iv),
    }
    rows = []
    for name, strike, is_in, *figures in zip(
        chain.contract_symbols, strikes, in_the_money, *optional.values(), strict=True
    ):
        row = {key: figure for key, figure in zip(optional, figures, strict=True) if figure is not None}
        row.update(
            contractSymbol=name,
            strike=strike,
            currency="USD",
            contractSize="REGULAR",
            expiration=expiration,
            inTheMoney=is_in,
        )
        rows.append(row)
    return rows


def _column(figures: FloatArray) -> list[float | None]:
    """Return the figures with None where there is none."""
    found: list[float | None] = figures.tolist()
    missing = np.isnan(figures)
    if not missing.any():
        return found
    return [None if is_missing else figure for figure, is_missing in zip(found, missing.tolist(), strict=True)]


def _counts(figures: FloatArray) -> list[int | None]:
    return [None if figure != figure else int(figure) for figure in figures.tolist()]


def _plain(figure: float | None) -> float | int | None:
    """Return whole numbers as integers: Yahoo's JSON has both."""
    return int(figure) if figure is not None and figure == figure and figure.is_integer() else figure


def _quote(market: Market, symbol: str, stock: StockState, now: datetime) -> dict[str, Any]:
    company = market.company(symbol)
    price, previous = stock.price, stock.previous_close
    quote: dict[str, Any] = {
        "language": "en-US",
        "region": "US",
        "quoteType": "EQUITY",
        "typeDisp": "Equity",
        "quoteSourceName": "Nasdaq Real Time Price",
        "triggerable": True,
        "customPriceAlertConfidence": "HIGH",
        "currency": "USD",
        "corporateActions": [],
        "longName": company.name,
        "shortName": company.name,
        "exchange": "NMS",
        "fullExchangeName": "NasdaqGS",
        "exchangeTimezoneName": "America/New_York",
        "market": "us_market",
        "marketState": market_state(now),
        "hasPrePostMarketData": True,
        "esgPopulated": False,
        "priceHint": 2,
        "regularMarketPrice": price,
        "regularMarketTime": int(stock.quoted_at.timestamp()),
        "regularMarketPreviousClose": previous,
        "regularMarketOpen": stock.open,
        "regularMarketDayHigh": stock.high,
        "regularMarketDayLow": stock.low,
        "regularMarketVolume": stock.volume,
        "averageDailyVolume3Month": stock.volume,
        "bid": stock.bid,
        "ask": stock.ask,
        "bidSize": 3,
        "askSize": 2,
        "marketCap": company.market_cap,
        "trailingAnnualDividendYield": stock.dividend_yield,
        # In percent, unlike the line above: so does Yahoo.
        "dividendYield": round(100 * stock.dividend_yield, 2) if stock.dividend_yield else None,
        "sourceInterval": 15,
        "exchangeDataDelayedBy": 0,
        "tradeable": False,
        "cryptoTradeable": False,
        "symbol": yahoo_symbol(symbol),
    }
    if price is not None and previous:
        change = price - previous
        quote.update(regularMarketChange=change, regularMarketChangePercent=100 * change / previous)
    return {key: figure for key, figure in quote.items() if figure is not None}
