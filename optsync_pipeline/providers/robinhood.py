"""Robinhood: a chain by its contracts' ids, 50 a request, and its share of one request for many stocks' quotes.

    Robinhood says                                                  we say
    null, in place of a quote                                       UnknownSymbol
    a quote without a price or time                                 InvalidReply
    null, in place of a few contracts' quotes / of more than 10 %   RefusedContract / VendorFault
    other contracts than those asked for, or not as many            InvalidReply

Where that is said to kept ids (or 404, or 400), they are listed anew and asked for once more, within the same question.
What is listed is robinhood_listing.py's, quotes of stocks robinhood_quotes.py's, tokens, pages and statuses
robinhood_session.py's. A contract's quote has a time of its own: the reply's time is the newest of these, and never
newer than the stock's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    ContractQuote,
    InvalidReply,
    QuotesReply,
    StockQuote,
    VendorFault,
)
from optsync_pipeline.providers.occ import ContractSorter
from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
from optsync_pipeline.providers.robinhood_fields import count, iso_moment, number
from optsync_pipeline.providers.robinhood_ids import ContractIds, IdsInMemory, ListedContract
from optsync_pipeline.providers.robinhood_listing import Listing, RobinhoodLister
from optsync_pipeline.providers.robinhood_login import Credentials
from optsync_pipeline.providers.robinhood_quotes import SYMBOLS_PER_REQUEST, SharedQuotes, as_reply, ask_quotes
from optsync_pipeline.providers.robinhood_session import RefusedQuestion, RobinhoodSession, UnknownId
from optsync_pipeline.providers.transport import TIMEOUT, Timeout, wire_count

CONTRACTS_PER_REQUEST = 50
"""40 to 50 are in use elsewhere; the most that Robinhood takes is not known."""

_FEW_MISSING_SHARE = 0.10  # more of a chain gone, and ranking what is left would mislead


class _MissingQuotes(VendorFault):
    """Robinhood has no quotes of more than a few contracts."""


class _OtherContracts(InvalidReply):
    """Robinhood sent quotes of other contracts than those asked for, or not as many."""


_OF_BAD_IDS = (UnknownId, RefusedQuestion, _MissingQuotes, _OtherContracts)
"""What is said to ids that are none any more; an outage says something else and costs no ids."""


class RobinhoodProvider:
    """Robinhood for one account. ids: where ids of contracts are kept; by default only as long as this lives."""

    name = "robinhood"
    quote_delay = timedelta(0)
    symbols_per_request = SYMBOLS_PER_REQUEST

    def __init__(
        self,
        credentials: Credentials,
        *,
        home: Path,
        stand_in_url: str | None,
        ids: ContractIds | None = None,
        timeout: Timeout = TIMEOUT,
    ) -> None:
        account = RobinhoodAccount(credentials, home, stand_in_url=stand_in_url, timeout=timeout)
        self._session = RobinhoodSession(account)
        self._lister = RobinhoodLister(self._session, ids if ids is not None else IdsInMemory())
        self._quotes = SharedQuotes(self._session)

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with wire_count() as spent:
            quote = self._quotes.quote_of(request.symbol)
            sorter = ContractSorter(request.symbol)
            listing, rows = self._ask_chain(request, quote.current_price, sorter)
            for contract in listing.contracts:
                _sort_row(sorter, contract, rows.get(contract.contract_id))
            return ChainReply(
                symbol=request.symbol,
                provider=self.name,
                quote=_dated(quote, rows),
                expirations=listing.chosen,
                listed_expirations=listing.expirations,
                contracts=sorter.contracts,
                refused=sorter.refused,
                requests=spent(),
            )

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        with wire_count() as spent:
            told = ask_quotes(self._session, symbols)
            self._quotes.store(told)
            return as_reply(self.name, told, spent())

    def expect(self, symbols: Sequence[str]) -> None:
        self._quotes.expect(symbols)

    def close(self) -> None:
        self._session.close()

    def _ask_chain(
        self, request: ChainRequest, spot: float, sorter: ContractSorter
    ) -> tuple[Listing, dict[str, dict[str, Any]]]:
        """Return the contracts and their quotes by id; kept ids that do not work are replaced by new ones, once."""
        listing = self._lister.list_contracts(request, spot, sorter)
        try:
            return listing, self._ask_contracts(request.symbol, listing.contracts)
        except _OF_BAD_IDS:
            if not listing.kept:
                raise
        self._lister.forget(request.symbol)
        listing = self._lister.list_contracts(request, spot, sorter)
        return listing, self._ask_contracts(request.symbol, listing.contracts)

    def _ask_contracts(self, symbol: str, contracts: Sequence[ListedContract]) -> dict[str, dict[str, Any]]:
        """Return the contracts' quotes by id; those that Robinhood has none of are left out, where they are few."""
        ids = [contract.contract_id for contract in contracts]
        rows: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), CONTRACTS_PER_REQUEST):
            rows |= self._ask_batch(symbol, ids[start : start + CONTRACTS_PER_REQUEST])
        missing = len(ids) - len(rows)
        if missing > max(1, _FEW_MISSING_SHARE * len(ids)) or not rows:
            raise _MissingQuotes(
                f"Robinhood has no quotes of {missing} of {symbol}'s {len(ids)} contracts that it lists"
            )
        return rows

    def _ask_batch(self, symbol: str, ids: list[str]) -> dict[str, dict[str, Any]]:
        rows = self._session.rows("/marketdata/options/", f"the quotes of {symbol}'s contracts", ids=",".join(ids))
        told = {_contract_id(row): row for row in rows if row is not None}
        if len(rows) != len(ids) or len(told) != sum(row is not None for row in rows) or not told.keys() <= set(ids):
            raise _OtherContracts(
                f"Robinhood sent {len(rows)} quotes of {symbol}'s contracts that are not the {len(ids)} asked for"
            )
        return told


def _contract_id(row: Any) -> str:
    fields = row if isinstance(row, dict) else {}
    named = fields.get("instrument_id")
    # Recordings of 2018 name a contract by its URL alone.
    return str(named if named is not None else fields.get("instrument")).rstrip("/").rpartition("/")[2]


def _sort_row(sorter: ContractSorter, contract: ListedContract, row: dict[str, Any] | None) -> None:
    made = f"{sorter.root}{contract.expiration_date:%y%m%d}{contract.option_type[0].upper()}"
    made += f"{round(contract.strike_price * 1000):08d}"
    if row is None:
        sorter.refuse(made, "missing_quote", "Robinhood lists it and has no quote of it")
        return
    occ = sorter.identify(row.get("occ_symbol") or made, contract.expiration_date, contract.option_type)
    if occ is None:
        return
    if round(contract.strike_price * 1000) != round(occ.strike_price * 1000):
        told = f"strike {contract.strike_price:g}, its symbol says {occ.strike_price:g}"
        sorter.refuse(occ.text, "strike_mismatch", told)
        return
    sorter.accept(
        ContractQuote(
            contract_symbol=occ.text,
            expiration_date=contract.expiration_date,
            strike_price=contract.strike_price,
            option_type=contract.option_type,
            bid=number(row.get("bid_price")),
            ask=number(row.get("ask_price")),
            last_price=number(row.get("last_trade_price")),
            volume=count(row.get("volume")),
            open_interest=count(row.get("open_interest")),
            implied_volatility=number(row.get("implied_volatility")),
            delta=number(row.get("delta")),
            gamma=number(row.get("gamma")),
            theta=number(row.get("theta")),
            vega=number(row.get("vega")),
            rho=number(row.get("rho")),
        )
    )


def _dated(quote: StockQuote, rows: dict[str, dict[str, Any]]) -> StockQuote:
    times = [at for row in rows.values() if (at := iso_moment(row.get("updated_at"))) is not None]
    return quote._replace(quoted_at=min(quote.quoted_at, max(times))) if times else quote
