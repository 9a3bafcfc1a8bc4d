"""A market in Cboe's words: the delayed-quotes file of a symbol, which holds every expiration with model greeks."""

from datetime import UTC, datetime

import numpy as np
import orjson

from optsync_pipeline.sandbox.model import Chain, Market, StockState
from optsync_pipeline.sandbox.replies import ByteCache, Reply, edition
from optsync_pipeline.sandbox.sessions import NEW_YORK, new_york_date

# The files of 1,205 symbols would be 800 MB; one takes 11 ms to make.
_CACHE_BYTES = 48 * 2**20
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


class CboeFace:
    """Answers Cboe's requests from any market. Cached is only what comes from `sound`, the market without faults."""

    def __init__(self, sound: Market) -> None:
        self._sound = sound
        self._cache = ByteCache(_CACHE_BYTES)

    def symbol_of(self, spelled: str) -> str:
        """Return our symbol for a file's name: Cboe writes a class share as we do."""
        return spelled.upper()

    def chain_file(self, market: Market, symbol: str, now: datetime, unknown_status: int = 404) -> Reply:
        """Return the symbol's file; an XML error where the symbol is not listed."""
        try:
            market.company(symbol)
        except KeyError:
            return Reply(unknown_status, _DENIED, "application/xml")
        stock = market.stock(symbol, now)
        if market is self._sound:
            options, iv30 = self._cache.get_or_make(
                (symbol, edition(now)), lambda: _options(market, symbol, stock, now)
            )
        else:
            options, iv30 = _options(market, symbol, stock, now)
        head = orjson.dumps({"timestamp": f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S}", "symbol": symbol})
        quote = orjson.dumps(_quote(symbol, stock))
        body = b'%s,"data":%s,"iv30":%s,"options":%s}}' % (head[:-1], quote[:-1], iv30, options)
        return Reply(200, body)


def _quote(symbol: str, stock: StockState) -> dict[str, object]:
    price, previous = stock.price, stock.previous_close
    change = round(price - previous, 4) if price is not None and previous is not None else None
    return {
        "symbol": symbol,
        "security_type": "stock",
        "exchange_id": 2,
        "current_price": price,
        "price_change": change,
        "price_change_percent": round(100 * change / previous, 4) if change is not None and previous else None,
        "bid": stock.bid,
        "ask": stock.ask,
        "bid_size": 3,
        "ask_size": 2,
        "open": stock.open,
        "high": stock.high,
        "low": stock.low,
        "close": price,
        "prev_day_close": previous,
        "volume": stock.volume,
        "iv30_change": 0.0,
        "iv30_change_percent": 0.0,
        "seqno": int(stock.quoted_at.timestamp()) * 10,
        "last_trade_time": f"{stock.quoted_at.astimezone(NEW_YORK):%Y-%m-%dT%H:%M:%S}",
        "tick": "no_change",
    }


def _options(market: Market, symbol: str, stock: StockState, now: datetime) -> tuple[bytes, bytes]:
    chains = [market.chain(symbol, day, now) for day in market.expirations(symbol, now)]
    rows = [row for chain in chains for row in _rows(chain)]
    return orjson.dumps(rows), orjson.dumps(_iv30(chains, stock, now))


def _rows(chain: Chain) -> list[dict[str, object]]:
    # A contract is known by its OCC symbol alone here: a strike that is none leaves a symbol that nobody can read.
    names = [
        name if strike == strike else name[:-8]
        for name, strike in zip(chain.contract_symbols, chain.strike.tolist(), strict=True)
    ]
    keys = ("bid", "ask", "iv", "open_interest", "volume", "delta", "gamma", "theta", "vega", "rho", "theo", "last")
    columns = (
        chain.bid,
        chain.ask,
        chain.cboe_iv,
        chain.open_interest,
        np.nan_to_num(chain.volume),  # Cboe writes 0.0 where nothing traded
        chain.delta,
        chain.gamma,
        chain.theta,
        chain.vega,
        chain.rho,
        chain.theo,
        chain.last,
    )
    # NaN becomes null when serialised.
    figures = (dict(zip(keys, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True))
    return [
        {
            "option": name,
            "bid_size": 11.0,
            "ask_size": 14.0,
            "change": 0.0,
            "percent_change": 0.0,
            "open": 0.0,
            "high": 0.0,
            "low": 0.0,
            "tick": "no_change",
            "last_trade_price": figure.pop("last"),
            "last_trade_time": traded_at,
            "prev_day_close": figure["theo"],
            **figure,
        }
        for name, figure, traded_at in zip(names, figures, _trade_times(chain), strict=True)
    ]


def _trade_times(chain: Chain) -> list[str | None]:
    """Return New York times without an offset, None where no trade is known; a second is formatted once."""
    known = {
        seconds: f"{datetime.fromtimestamp(seconds, NEW_YORK):%Y-%m-%dT%H:%M:%S}"
        for seconds in set(chain.last_traded_at[~np.isnan(chain.last_traded_at)].tolist())
    }
    return [known.get(seconds) for seconds in chain.last_traded_at.tolist()]


def _iv30(chains: list[Chain], stock: StockState, now: datetime) -> float | None:
    """Return the volatility at the money some 30 days out, in percent."""
    priced = [chain for chain in chains if len(chain)]
    if not priced or stock.price is None:
        return None
    today = new_york_date(now)
    chain = min(priced, key=lambda chain: abs((chain.expiration - today).days - 30))
    nearest = np.argsort(np.abs(chain.strike - stock.price))[0]
    iv = float(chain.cboe_iv[nearest])
    return round(100 * iv, 3) if iv == iv else None
