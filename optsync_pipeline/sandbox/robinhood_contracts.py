"""A market in Robinhood's words: the list of contracts, a hundred a page. Quotes are in robinhood_marketdata.py."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

import numpy as np
import orjson

from optsync_pipeline.sandbox.contract_rows import ContractRows, cached_rows
from optsync_pipeline.sandbox.model import Chain, Market
from optsync_pipeline.sandbox.refusals import robinhood_refusal
from optsync_pipeline.sandbox.replies import ByteCache, Reply, edition
from optsync_pipeline.sandbox.robinhood_ids import (
    ROBINHOOD,
    RobinhoodIds,
    chain_id,
    chain_symbol,
    contract_ids,
    own_contracts,
)

MIN_TICKS = {"above_tick": "0.05", "below_tick": "0.01", "cutoff_price": "3.00"}
_PAGE_CONTRACTS = 100
_CACHE_BYTES = 32 * 2**20


class RobinhoodContracts:
    """Answers Robinhood's requests for contracts. Cached is only what comes from `sound`, the market without faults."""

    def __init__(self, sound: Market, ids: RobinhoodIds) -> None:
        self._sound = sound
        self._ids = ids
        self._cache = ByteCache(_CACHE_BYTES)

    def symbols_of(self, query: Mapping[str, str]) -> tuple[str, ...]:
        """Return the symbols whose contracts a query is for: those that chain_id and chain_symbol agree on."""
        named = self._ids.symbol_of_chain_symbol(query.get("chain_symbol", ""))
        by_id = self._ids.symbol_of_chain(query.get("chain_id", ""))
        if "chain_id" in query and "chain_symbol" in query and named != by_id:
            return ()
        found = by_id if "chain_id" in query else named
        return (found,) if found else ()

    def listing(self, market: Market, query: Mapping[str, str], now: datetime) -> Reply:
        """Return a page of contracts, with the address of the next."""
        if "chain_id" not in query and "chain_symbol" not in query:
            return robinhood_refusal(400, "chain_id or chain_symbol is needed.")
        try:
            wanted, start = _Wanted.read(query), first_of_page(query.get("cursor"))
        except ValueError:
            return robinhood_refusal(400)
        found = [row for symbol in self.symbols_of(query) for row in self._listed(market, symbol, wanted, now)]
        after = start + _PAGE_CONTRACTS
        links = {"next": _page_url(query, after) if after < len(found) else None}
        links["previous"] = _page_url(query, max(start - _PAGE_CONTRACTS, 0)) if start else None
        return Reply(200, b'%s,"results":[%s]}' % (orjson.dumps(links)[:-1], b",".join(found[start:after])))

    def contract(self, market: Market, wanted: str, now: datetime) -> Reply:
        """Return the contract itself, without its quote."""
        place = self._ids.place_of_contract(wanted)
        if place and place[1] in market.expirations(place[0], now):
            key = b'"id":"%s"' % wanted.encode()
            for row in self._contracts(market, *place, now).rows:
                if key in row:
                    return Reply(200, row)
        return robinhood_refusal(404)

    def _listed(self, market: Market, symbol: str, wanted: "_Wanted", now: datetime) -> list[bytes]:
        found: list[bytes] = []
        for expiration in wanted.expirations_of(market, symbol, now):
            contracts = self._contracts(market, symbol, expiration, now)
            found += [contracts.rows[at] for at in np.flatnonzero(wanted.hits(contracts)).tolist()]
        return found

    def _contracts(self, market: Market, symbol: str, expiration: date, now: datetime) -> ContractRows:
        if market is not self._sound:
            return _listing_rows(market.chain(symbol, expiration, now), symbol)
        key = (symbol, expiration, edition(now))
        return cached_rows(self._cache, key, lambda: _listing_rows(market.chain(symbol, expiration, now), symbol))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which contracts of a chain a query is for."""

    expirations: frozenset[str] | None
    is_put: bool | None
    strike: float | None
    is_any: bool

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "_Wanted":
        """Read a query. Raise ValueError where it has no meaning."""
        days, side, strike = query.get("expiration_dates"), query.get("type"), query.get("strike_price")
        if side not in (None, "call", "put"):
            raise ValueError(side)
        return cls(
            None if days is None else frozenset(days.split(",")),
            None if side is None else side == "put",
            None if strike is None else float(strike),
            query.get("state", "active") == "active" and query.get("tradability", "tradable") == "tradable",
        )

    def expirations_of(self, market: Market, symbol: str, now: datetime) -> list[date]:
        """Return the listed expirations that are meant."""
        listed = market.expirations(symbol, now) if self.is_any else ()
        return [day for day in listed if self.expirations is None or f"{day}" in self.expirations]

    def hits(self, contracts: ContractRows) -> np.typing.NDArray[np.bool_]:
        """Return for each contract whether it is meant."""
        hit = np.ones(len(contracts.rows), dtype=np.bool_)
        if self.is_put is not None:
            hit &= contracts.is_put == self.is_put
        if self.strike is not None:
            hit &= contracts.strike == self.strike
        return hit


def first_of_page(cursor: str | None) -> int:
    """Return the place of a page's first contract. Raise ValueError where the cursor is none of ours."""
    if cursor is None:
        return 0
    try:
        text = base64.b64decode(cursor, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(cursor) from error
    return int(text.removeprefix("p="))


def page_number(query: Mapping[str, str]) -> int:
    """Return which page of the list is asked for, from 1."""
    try:
        return first_of_page(query.get("cursor")) // _PAGE_CONTRACTS + 1
    except ValueError:
        return 1


def _page_url(query: Mapping[str, str], start: int) -> str:
    cursor = base64.b64encode(f"p={start}".encode()).decode()
    return f"{ROBINHOOD}/options/instruments/?{urlencode({**query, 'cursor': cursor})}"


def _listing_rows(chain: Chain, symbol: str) -> ContractRows:
    own = own_contracts(chain.contract_symbols, symbol)
    day = chain.expiration
    ids = contract_ids(symbol, day, chain.contract_symbols)
    same = {
        "chain_id": chain_id(symbol),
        "chain_symbol": chain_symbol(symbol),
        "expiration_date": f"{day}",
        "state": "active",
        "tradability": "tradable",
        "rhs_tradability": "tradable",
        "min_ticks": MIN_TICKS,
        "issue_date": "2024-01-02",
        "created_at": "2024-01-02T06:00:00.000000Z",
        "updated_at": "2024-01-02T06:00:00.000000Z",
        "sellout_datetime": f"{day}T18:45:00+00:00",
    }
    sides, strikes = chain.is_put.tolist(), chain.strike.tolist()
    rows = tuple(
        orjson.dumps(
            {
                **same,
                "id": ids[at],
                "url": f"{ROBINHOOD}/options/instruments/{ids[at]}/",
                "strike_price": f"{strikes[at]:.4f}" if strikes[at] == strikes[at] else None,
                "type": "put" if sides[at] else "call",
            }
        )
        for at in own
    )
    return ContractRows(chain.is_put[own], chain.strike[own], rows)
