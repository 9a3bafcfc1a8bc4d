"""Which contracts Robinhood lists of a stock: instrument → chain → pages of contracts, or the ids kept of them.

    Robinhood says                                                  we say
    no instrument                                                   UnknownSymbol
    no chain, no expirations, or an adjusted chain only             NoOptions
    any of these, or not the expiration counted on, listed before   VendorFault
    only expirations that have passed                               StaleReply
    an expiration without a contract; a row without an id           VendorFault; RefusedContract

An adjusted chain (a digit before its symbol, closed to new positions) is not asked for its contracts: none of them
delivers 100 shares. Numbers are texts here. How ids are kept is robinhood_ids.py's.
"""

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zlib import crc32

from optsync_pipeline.calendar import nearest_expirations, new_york_date
from optsync_pipeline.providers.base import (
    Answer,
    ChainRequest,
    InvalidReply,
    NoOptions,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.fields import same_symbol
from optsync_pipeline.providers.occ import ContractSorter
from optsync_pipeline.providers.robinhood_fields import iso_date, price
from optsync_pipeline.providers.robinhood_ids import ContractIds, ListedChain, ListedContract
from optsync_pipeline.providers.robinhood_session import RobinhoodSession, UnknownId
from optsync_pipeline.symbols import occ_root

LISTING_DAYS = (5, 9)
"""Lists are asked for again between these ages in days, each stock at its own: exchanges add an expiration a week, and
strikes as the price moves; a run that listed every stock must not be followed by another one that does."""

STRIKES_LEFT_BEHIND = timedelta(hours=12)
"""A list whose strikes the price has left is asked for again when older than this: it may still be all there is."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class Listing(NamedTuple):
    """A stock's listed expirations, those chosen, and all contracts of the chosen. kept: whether by kept ids alone."""

    expirations: tuple[date, ...]
    chosen: tuple[date, ...]
    contracts: list[ListedContract]
    kept: bool


class RobinhoodLister:
    """Lists a stock's contracts. One instance serves many threads."""

    def __init__(self, session: RobinhoodSession, ids: ContractIds) -> None:
        self._session = session
        self._ids = ids

    def list_contracts(self, request: ChainRequest, spot: float, sorter: ContractSorter) -> Listing:
        """Return the contracts of the chosen expirations; rows that are none are refused in `sorter`."""
        try:
            chain = self._chain(request)
            chosen = _choose(request, chain.expirations)
            kept = [ListedContract(*row) for row in self._ids.read_contracts(request.symbol, chosen)]
            if _are_good(kept, chosen, request, spot):
                return Listing(chain.expirations, chosen, kept, kept=True)
            return Listing(chain.expirations, chosen, self._ask_contracts(request, chain, chosen, sorter), kept=False)
        except UnknownId:
            self._ids.forget(request.symbol)
            raise

    def forget(self, symbol: str) -> None:
        """Drop the stock's ids, so that the next question asks for new ones."""
        self._ids.forget(symbol)

    def _chain(self, request: ChainRequest) -> ListedChain:
        symbol = request.symbol
        row = self._ids.read_chain(symbol)
        kept = ListedChain(*row) if row is not None else None
        if kept is not None and _is_young(kept.listed_at, symbol, request.now) and _still_serves(kept, request):
            return kept
        ids = (kept.instrument_id, kept.chain_id) if kept is not None else None
        try:
            chain = self._ask_chain(request, *(ids or self._ask_instrument(request)))
        except NoOptions:
            if ids is None:
                raise
            # After a split or a merger the chain that we know is adjusted, and the stock has another.
            chain = self._ask_chain(request, *self._ask_instrument(request))
        self._ids.write_chain(symbol, chain)
        return chain

    def _ask_instrument(self, request: ChainRequest) -> tuple[str, str]:
        symbol = request.symbol
        rows = self._session.rows("/instruments/", symbol, symbol=symbol)
        if not rows:
            raise _nothing(request, UnknownSymbol(f"Robinhood does not know {symbol}"))
        ours = [row for row in rows if isinstance(row, dict) and same_symbol(row.get("symbol"), symbol)]
        instrument_id = _id(ours[0].get("id")) if ours else None
        if instrument_id is None:
            raise InvalidReply(f"Robinhood answered {symbol} with another stock's instrument, or one without an id")
        if ours[0].get("tradable_chain_id") is None:
            raise _nothing(request, NoOptions(f"Robinhood lists no options of {symbol}"))
        chain_id = _id(ours[0]["tradable_chain_id"])
        if chain_id is None:
            raise InvalidReply(f"Robinhood answered {symbol} with a chain id that is none")
        return instrument_id, chain_id

    def _ask_chain(self, request: ChainRequest, instrument_id: str, chain_id: str) -> ListedChain:
        symbol = request.symbol
        told = self._session.get(f"/options/chains/{chain_id}/", symbol)
        chain_symbol, dates = told.get("symbol"), told.get("expiration_dates")
        if not isinstance(chain_symbol, str) or not isinstance(dates, list):
            raise InvalidReply(f"Robinhood answered {symbol} with JSON that is not an option chain")
        if chain_symbol != occ_root(symbol) or told.get("can_open_position") is False:
            raise _nothing(request, NoOptions(f"Robinhood lists no standard options of {symbol}, only adjusted ones"))
        expirations = sorted({day for text in dates if (day := iso_date(text))})
        if dates and not expirations:
            raise InvalidReply(f"Robinhood lists expirations of {symbol} that are no dates")
        if not expirations:
            raise _nothing(request, NoOptions(f"Robinhood lists no options of {symbol}"))
        return ListedChain(instrument_id, chain_id, chain_symbol, tuple(expirations), request.now)

    def _ask_contracts(
        self, request: ChainRequest, chain: ListedChain, chosen: tuple[date, ...], sorter: ContractSorter
    ) -> list[ListedContract]:
        rows = self._session.rows(
            "/options/instruments/",
            f"the contracts of {request.symbol}",
            chain_id=chain.chain_id,
            chain_symbol=chain.chain_symbol,
            expiration_dates=",".join(str(day) for day in chosen),
            state="active",
        )
        contracts = {
            contract.contract_id: contract for row in rows if (contract := _read_row(row, chosen, sorter, request.now))
        }
        found = {contract.expiration_date for contract in contracts.values()}
        empty = [day for day in chosen if day not in found]
        if empty:
            raise VendorFault(f"Robinhood lists {request.symbol}'s expiration {empty[0]} but sent no contract of it")
        self._ids.write_contracts(request.symbol, chosen, contracts.values())
        return list(contracts.values())


def _nothing(request: ChainRequest, answer: Answer) -> Answer | VendorFault:
    """Return the answer, or, where Robinhood itself listed options of the stock before, a fault."""
    if not request.promised_expirations("robinhood"):
        return answer
    return VendorFault(f"Robinhood listed options of {request.symbol} before and now says: {answer}")


def _choose(request: ChainRequest, listed: tuple[date, ...]) -> tuple[date, ...]:
    lost = _lost(request, listed)
    if lost:
        raise VendorFault(
            f"Robinhood listed {request.symbol}'s expiration {lost[0]} before and now lists {len(listed)} others"
        )
    chosen = nearest_expirations(listed, request.target_dtes, request.now)
    if not chosen:
        raise StaleReply(f"Robinhood lists only expirations of {request.symbol} that have passed")
    return chosen


def _lost(request: ChainRequest, listed: Collection[date]) -> list[date]:
    relied_on = nearest_expirations(request.promised_expirations("robinhood"), request.target_dtes, request.now)
    return [expiration for expiration in relied_on if expiration not in listed]


def _still_serves(chain: ListedChain, request: ChainRequest) -> bool:
    today = new_york_date(request.now)
    return not _lost(request, chain.expirations) and any(day >= today for day in chain.expirations)


def _is_young(listed_at: datetime, symbol: str, now: datetime) -> bool:
    first, last = LISTING_DAYS
    longest = timedelta(days=first + crc32(symbol.encode()) % (last - first + 1))
    return -timedelta(days=1) < now - listed_at < longest  # one from the future is a clock's that was wrong


def _are_good(kept: list[ListedContract], chosen: tuple[date, ...], request: ChainRequest, spot: float) -> bool:
    if {contract.expiration_date for contract in kept} != set(chosen):
        return False
    oldest = min(contract.listed_at for contract in kept)
    if not _is_young(oldest, request.symbol, request.now):
        return False
    strikes = [contract.strike_price for contract in kept]
    return min(strikes) <= spot <= max(strikes) or request.now - oldest < STRIKES_LEFT_BEHIND


def _read_row(row: Any, chosen: tuple[date, ...], sorter: ContractSorter, now: datetime) -> ListedContract | None:
    fields = row if isinstance(row, dict) else {}
    contract_id, strike = _id(fields.get("id")), price(fields.get("strike_price"))
    expiration, option_type = iso_date(fields.get("expiration_date")), fields.get("type")
    if contract_id is None or expiration is None or option_type not in ("put", "call"):
        sorter.refuse(fields.get("id"), "unreadable_contract_symbol", "listed without an id, an expiration or a type")
    elif strike is None:
        sorter.refuse(contract_id, "missing_strike", "listed without a strike above 0")
    elif expiration not in chosen:
        sorter.refuse(contract_id, "wrong_expiration", f"expires {expiration}, asked for {chosen[0]}")
    else:
        return ListedContract(contract_id, expiration, strike, option_type, now)
    return None


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
