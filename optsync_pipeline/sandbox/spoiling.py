"""What a fault does to a market's figures: the same market, seen through the fault."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import orjson

from optsync_pipeline.sandbox.faults import Fault
from optsync_pipeline.sandbox.model import Chain, Company, DayBar, FloatArray, Market, StockState
from optsync_pipeline.sandbox.sessions import session_book

_USUALLY_EVERY = 5
_RESULT_KEYS = frozenset({"results", "result", "data"})
_YAHOO_LEFTOVER = 0.00001
_LONG_AGO = datetime(2019, 6, 28, 20, 0, tzinfo=UTC)


class SpoiledMarket:
    """A market in which a fault spoils each of some symbols, and the others are sound."""

    def __init__(self, sound: Market, spoils: Mapping[str, Fault]) -> None:
        self._sound = sound
        self._spoils = spoils
        self.description = sound.description

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the sound market without those that are delisted."""
        return tuple(symbol for symbol in self._sound.symbols if not self._is_gone(symbol))

    def company(self, symbol: str) -> Company:
        """Return the company. Raise KeyError where it is delisted."""
        if self._is_gone(symbol):
            raise KeyError(symbol)
        return self._sound.company(symbol)

    def stock(self, symbol: str, now: datetime) -> StockState:
        """Return the quote, which may be old."""
        stock = self._sound.stock(symbol, now)
        if self._kind(symbol) == "delisted":
            return StockState(None, _LONG_AGO)
        if self._kind(symbol) == "stale_quote":
            book = session_book(now)
            before = book.on(book.before(book.latest(now).date))
            assert before is not None
            return stock._replace(quoted_at=before.closes_at)
        return stock

    def expirations(self, symbol: str, now: datetime) -> tuple[date, ...]:
        """Return the expirations, or none."""
        return () if self._kind(symbol) in ("no_options", "delisted") else self._sound.expirations(symbol, now)

    def chain(self, symbol: str, expiration: date, now: datetime) -> Chain:
        """Return the contracts as the fault leaves them."""
        chain = self._sound.chain(symbol, expiration, now)
        return _spoiled(chain, self._spoils[symbol]) if symbol in self._spoils else chain

    def history(self, symbol: str, first: date, now: datetime) -> list[DayBar]:
        """Return the sound market's history."""
        return self._sound.history(symbol, first, now)

    def _kind(self, symbol: str) -> str | None:
        return self._spoils[symbol].kind if symbol in self._spoils else None

    def _is_gone(self, symbol: str) -> bool:
        return self._kind(symbol) == "delisted" and self._spoils[symbol].status != 200


def _spoiled(chain: Chain, fault: Fault) -> Chain:
    if fault.kind == "empty_chain":
        return _only(chain, np.zeros(len(chain), dtype=np.bool_))
    if fault.kind == "short_chain":
        return _only(chain, np.asarray(chain.strike < np.median(chain.strike), dtype=np.bool_))
    if fault.kind == "zero_quotes":
        hit = _each(chain, fault.every or 1)
        return replace(
            chain,
            bid=np.where(hit, 0.0, chain.bid),
            ask=np.where(hit, 0.0, chain.ask),
            yahoo_iv=np.where(hit, _YAHOO_LEFTOVER, chain.yahoo_iv),
            cboe_iv=np.where(hit, 0.0, chain.cboe_iv),
        )
    hit = _each(chain, fault.every or _USUALLY_EVERY)
    if fault.kind == "crossed_quotes":
        above: FloatArray = np.round(chain.ask + 0.05, 2)
        return replace(chain, bid=np.where(hit, above, chain.bid))
    if fault.kind == "null_strike":
        return replace(chain, strike=_without(chain.strike, hit))
    if fault.kind == "missing_fields" and not fault.fields:
        return replace(chain, bid=_without(chain.bid, hit), open_interest=_without(chain.open_interest, hit))
    return chain


def without_fields(body: bytes, fields: Collection[str]) -> bytes:
    """Return the JSON without those keys, at whatever depth."""
    return orjson.dumps(_pruned(orjson.loads(body), frozenset(fields)))


def with_null_results(body: bytes) -> bytes:
    """Return the JSON with null in place of what the vendor found: `results`, Yahoo's `result`, Cboe's `data`."""
    return orjson.dumps(_nulled(orjson.loads(body)))


def _nulled(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: None if key in _RESULT_KEYS else _nulled(value) for key, value in node.items()}


def _pruned(node: Any, fields: frozenset[str]) -> Any:
    if isinstance(node, dict):
        return {key: _pruned(value, fields) for key, value in node.items() if key not in fields}
    if isinstance(node, list):
        return [_pruned(value, fields) for value in node]
    return node


def _each(chain: Chain, every: int) -> np.typing.NDArray[np.bool_]:
    return np.asarray(np.arange(len(chain)) % every == 0, dtype=np.bool_)


def _without(figures: FloatArray, hit: np.typing.NDArray[np.bool_]) -> FloatArray:
    return np.where(hit, np.nan, figures)


def _only(chain: Chain, kept: np.typing.NDArray[np.bool_]) -> Chain:
    columns = {name: getattr(chain, name) for name in Chain.__dataclass_fields__}
    some: dict[str, Any] = {name: value[kept] for name, value in columns.items() if isinstance(value, np.ndarray)}
    symbols = [name for name, is_kept in zip(chain.contract_symbols, kept, strict=True) if is_kept]
    return replace(chain, contract_symbols=symbols, **some)
