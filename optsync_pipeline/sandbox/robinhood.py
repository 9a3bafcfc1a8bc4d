"""A market in Robinhood's words: stocks and chains. Contracts are in robinhood_contracts.py, their quotes in
robinhood_marketdata.py.

Numbers are strings of six decimals. A class share is spelled with a dot as a stock, without one as a chain.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from optsync_pipeline.sandbox.model import Market, StockState
from optsync_pipeline.sandbox.refusals import robinhood_refusal
from optsync_pipeline.sandbox.replies import Reply
from optsync_pipeline.sandbox.robinhood_contracts import MIN_TICKS, RobinhoodContracts
from optsync_pipeline.sandbox.robinhood_ids import ROBINHOOD, RobinhoodIds, chain_id, chain_symbol, instrument_id
from optsync_pipeline.sandbox.robinhood_marketdata import RobinhoodMarketData
from optsync_pipeline.sandbox.robinhood_wording import decimal, moment, page
from optsync_pipeline.sandbox.sessions import session_book

# Reported of the real one, as a limit on the length of the URL.
_MOST_SYMBOLS = 1630


class RobinhoodFace:
    """Answers Robinhood's requests for data from any market."""

    def __init__(self, sound: Market) -> None:
        self.ids = RobinhoodIds(sound.symbols)
        self.contracts = RobinhoodContracts(sound, self.ids)
        self.marketdata = RobinhoodMarketData(sound, self.ids)

    def positions(self) -> Reply:
        """Return the account's positions: none."""
        return page([])

    def quotes(self, market: Market, symbols: Sequence[str], now: datetime) -> Reply:
        """Return the quotes in the order asked for, null for what is not listed."""
        if len(symbols) > _MOST_SYMBOLS:
            return robinhood_refusal(414)
        if not symbols:
            return robinhood_refusal(400, "symbols is needed.")
        listed = set(market.symbols).intersection(symbols)
        found = {symbol: _quote(symbol, market.stock(symbol, now), now) for symbol in listed}
        return page([found.get(symbol) for symbol in symbols])

    def instruments(self, market: Market, symbol: str, now: datetime) -> Reply:
        """Return the stock of that symbol, or none."""
        found = _instrument(market, symbol, now)
        return page([found] if found else [])

    def instrument(self, market: Market, symbol: str, now: datetime) -> Reply:
        """Return the stock itself."""
        found = _instrument(market, symbol, now)
        return Reply(200, orjson.dumps(found)) if found else robinhood_refusal(404)

    def chains(self, market: Market, symbols: Sequence[str], now: datetime) -> Reply:
        """Return the chains of those stocks that have one."""
        found = (_chain(market, symbol, now) for symbol in symbols)
        return page([chain for chain in found if chain])

    def chain(self, market: Market, symbol: str, now: datetime) -> Reply:
        """Return the chain itself: its expirations, no contracts."""
        found = _chain(market, symbol, now)
        return Reply(200, orjson.dumps(found)) if found else robinhood_refusal(404)


def _quote(symbol: str, stock: StockState, now: datetime) -> dict[str, Any]:
    book = session_book(now)
    return {
        "ask_price": decimal(stock.ask),
        "ask_size": 2,
        "bid_price": decimal(stock.bid),
        "bid_size": 3,
        "last_trade_price": decimal(stock.price),
        "last_extended_hours_trade_price": None,
        "previous_close": decimal(stock.previous_close),
        "adjusted_previous_close": decimal(stock.previous_close),
        "previous_close_date": f"{book.before(book.latest(now).date)}",
        "symbol": symbol,
        "trading_halted": False,
        "has_traded": stock.price is not None,
        "last_trade_price_source": "consolidated",
        "updated_at": moment(stock.quoted_at),
        "instrument": f"{ROBINHOOD}/instruments/{instrument_id(symbol)}/",
        "instrument_id": instrument_id(symbol),
        "state": "active" if stock.price is not None else "inactive",
    }


def _instrument(market: Market, symbol: str, now: datetime) -> dict[str, Any] | None:
    try:
        company = market.company(symbol)
    except KeyError:
        return None
    own_id = instrument_id(symbol)
    is_traded = market.stock(symbol, now).price is not None
    tradability = "tradable" if is_traded else "untradable"
    return {
        "id": own_id,
        "url": f"{ROBINHOOD}/instruments/{own_id}/",
        "quote": f"{ROBINHOOD}/quotes/{symbol}/",
        "fundamentals": f"{ROBINHOOD}/fundamentals/{symbol}/",
        "splits": f"{ROBINHOOD}/instruments/{own_id}/splits/",
        "market": f"{ROBINHOOD}/markets/XNAS/",
        "state": "active" if is_traded else "inactive",
        "tradability": tradability,
        "rhs_tradability": tradability,
        "tradeable": is_traded,
        "simple_name": company.name,
        "name": company.name,
        "symbol": symbol,
        "bloomberg_unique": f"EQ{own_id[:16].replace('-', '')}",
        "margin_initial_ratio": "0.5000",
        "maintenance_ratio": "0.2500",
        "day_trade_ratio": "0.2500",
        "country": "US",
        "list_date": "1990-01-02",
        "min_tick_size": None,
        "type": "stock",
        "tradable_chain_id": chain_id(symbol) if market.expirations(symbol, now) else None,
    }


def _chain(market: Market, symbol: str, now: datetime) -> dict[str, Any] | None:
    try:
        market.company(symbol)
    except KeyError:
        return None
    own_id = instrument_id(symbol)
    return {
        "id": chain_id(symbol),
        "symbol": chain_symbol(symbol),
        "can_open_position": True,
        "cash_component": None,
        "expiration_dates": [f"{day}" for day in market.expirations(symbol, now)],
        "trade_value_multiplier": "100.0000",
        "underlying_instruments": [
            {"id": chain_id(symbol), "instrument": f"{ROBINHOOD}/instruments/{own_id}/", "quantity": 100}
        ],
        "min_ticks": MIN_TICKS,
    }
