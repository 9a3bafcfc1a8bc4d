"""A market in Robinhood's words: the quotes of contracts, by id, a hundred at once at most."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson

from optsync_pipeline.sandbox.contract_rows import MOMENT, at_moment
from optsync_pipeline.sandbox.model import Chain, FloatArray, Market
from optsync_pipeline.sandbox.refusals import robinhood_refusal
from optsync_pipeline.sandbox.replies import ByteCache, Reply, edition
from optsync_pipeline.sandbox.robinhood_ids import ROBINHOOD, RobinhoodIds, chain_symbol, contract_ids, own_contracts
from optsync_pipeline.sandbox.robinhood_wording import decimal, moment
from optsync_pipeline.sandbox.sessions import session_book

_MOST_IDS = 100
# One expiration of 1,205 symbols: 140 MB.
_CACHE_BYTES = 192 * 2**20


class RobinhoodMarketData:
    """Answers Robinhood's requests for quotes. Cached is only what comes from `sound`, the market without faults."""

    def __init__(self, sound: Market, ids: RobinhoodIds) -> None:
        self._sound = sound
        self._ids = ids
        self._cache = ByteCache(_CACHE_BYTES)

    def quotes(self, market: Market, ids: Sequence[str], now: datetime) -> Reply:
        """Return the contracts' quotes in the order asked for, null for what is not listed."""
        if not 1 <= len(ids) <= _MOST_IDS:
            return robinhood_refusal(400, f"give 1 to {_MOST_IDS} contracts")
        quoted: dict[tuple[str, date], dict[bytes, bytes]] = {}
        results: list[bytes] = []
        for wanted in ids:
            place = self._ids.place_of_contract(wanted)
            if place is None:
                results.append(b"null")
                continue
            if place not in quoted:
                quoted[place] = self._quoted(market, *place, now)
            results.append(quoted[place].get(wanted.encode(), b"null"))
        return Reply(200, b'{"next":null,"previous":null,"results":[%s]}' % b",".join(results))

    def _quoted(self, market: Market, symbol: str, expiration: date, now: datetime) -> dict[bytes, bytes]:
        if expiration not in market.expirations(symbol, now):
            return {}

        def make() -> tuple[bytes, ...]:
            return _quote_rows(market.chain(symbol, expiration, now), symbol, now)

        is_sound = market is self._sound
        key = (symbol, expiration, edition(now))
        parts = self._cache.get_or_make(key, make) if is_sound else make()
        updated_at = orjson.dumps(moment(market.stock(symbol, now).quoted_at))
        rows = (at_moment(row, updated_at) for row in parts[1::2])
        return dict(zip(parts[::2], rows, strict=True))


def _quote_rows(chain: Chain, symbol: str, now: datetime) -> tuple[bytes, ...]:
    """Return ids and rows by turns."""
    ids = contract_ids(symbol, chain.expiration, chain.contract_symbols)
    book = session_book(now)
    root = chain_symbol(symbol)
    same = {
        "symbol": root,
        "state": "active",
        "pricing_model": "Bjerksund-Stensland 1993",
        "previous_close_date": f"{book.before(book.latest(now).date)}",
        "updated_at": MOMENT,
        "last_trade_size": 1,
        "chance_of_profit_long": None,
        "chance_of_profit_short": None,
    }
    columns = _columns(chain)
    figures = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    parts: list[bytes] = []
    for at in own_contracts(chain.contract_symbols, symbol):
        own = {
            "instrument": f"{ROBINHOOD}/options/instruments/{ids[at]}/",
            "instrument_id": ids[at],
            "occ_symbol": f"{root:<6}{chain.contract_symbols[at][-15:]}",
        }
        parts += (ids[at].encode(), orjson.dumps({**same, **own, **figures[at]}))
    return tuple(parts)


def _columns(chain: Chain) -> dict[str, Sequence[Any]]:
    mark = np.round((chain.bid + chain.ask) / 2, 6)
    # Without a volatility the model has no greeks either.
    modelled = np.where(chain.cboe_iv > 0, 1.0, np.nan)
    columns: dict[str, Sequence[Any]] = {
        "adjusted_mark_price": _decimals(mark),
        "ask_price": _decimals(chain.ask),
        "bid_price": _decimals(chain.bid),
        "mark_price": _decimals(mark),
        "break_even_price": _decimals(np.where(chain.is_put, chain.strike - mark, chain.strike + mark)),
        "last_trade_price": _decimals(chain.last),
        "high_price": _decimals(chain.last),
        "low_price": _decimals(chain.last),
        "previous_close_price": _decimals(np.round(chain.theo, 2)),
        "ask_size": [14] * len(chain),
        "bid_size": [11] * len(chain),
        "volume": [int(figure) for figure in np.nan_to_num(chain.volume).tolist()],
        "open_interest": [None if figure != figure else int(figure) for figure in chain.open_interest.tolist()],
        "implied_volatility": _decimals(chain.cboe_iv * modelled),
    }
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        columns[name] = _decimals(getattr(chain, name) * modelled)
    return columns


def _decimals(figures: FloatArray) -> list[str | None]:
    return [decimal(figure) for figure in figures.tolist()]
