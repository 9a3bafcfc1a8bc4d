"""Robinhood's ids of chains and contracts, and what it takes to keep them between runs.

Data requests want ids, and ids cost requests: kept, a chain costs one for 50 contracts. Where they are kept is the
caller's say (PostgreSQL: storage/robinhood_ids.py, which knows these rows as plain tuples); when they are too old is
robinhood_listing.py's.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import NamedTuple, Protocol

ChainRow = tuple[str, str, str, tuple[date, ...], datetime]
ContractRow = tuple[str, date, float, str, datetime]


class ListedChain(NamedTuple):
    """A stock's ids, its chain's own symbol (`BRKB`) and the expirations it listed at `listed_at` (UTC)."""

    instrument_id: str
    chain_id: str
    chain_symbol: str
    expirations: tuple[date, ...]
    listed_at: datetime


class ListedContract(NamedTuple):
    """A contract's id and terms, as listed at `listed_at` (UTC). strike_price in dollars, option_type put or call."""

    contract_id: str
    expiration_date: date
    strike_price: float
    option_type: str
    listed_at: datetime


class ContractIds(Protocol):
    """Keeps ids by stock. One instance serves many threads. Rows as in ListedChain and ListedContract."""

    def read_chain(self, symbol: str) -> ChainRow | None:
        """Return the stock's chain, or None where it was never listed."""
        ...

    def write_chain(self, symbol: str, chain: ChainRow) -> None:
        """Keep the stock's chain in place of the one before."""
        ...

    def read_contracts(self, symbol: str, expirations: Collection[date]) -> list[ContractRow]:
        """Return the stock's contracts of these expirations."""
        ...

    def write_contracts(self, symbol: str, expirations: Collection[date], contracts: Iterable[ContractRow]) -> None:
        """Keep these contracts in place of those of the same expirations, and drop expired ones."""
        ...

    def forget(self, symbol: str) -> None:
        """Drop all that is kept of the stock: Robinhood does not know it any more."""
        ...


class IdsInMemory:
    """Keeps ids as long as the process lives: for use without a database."""

    def __init__(self) -> None:
        self._chains: dict[str, ChainRow] = {}
        self._contracts: dict[tuple[str, date], list[ContractRow]] = {}

    def read_chain(self, symbol: str) -> ChainRow | None:
        return self._chains.get(symbol)

    def write_chain(self, symbol: str, chain: ChainRow) -> None:
        self._chains[symbol] = chain

    def read_contracts(self, symbol: str, expirations: Collection[date]) -> list[ContractRow]:
        return [row for expiration in expirations for row in self._contracts.get((symbol, expiration), [])]

    def write_contracts(self, symbol: str, expirations: Collection[date], contracts: Iterable[ContractRow]) -> None:
        rows = list(contracts)
        for expiration in expirations:
            self._contracts[symbol, expiration] = [row for row in rows if row[1] == expiration]

    def forget(self, symbol: str) -> None:
        self._chains.pop(symbol, None)
        for key in [key for key in list(self._contracts) if key[0] == symbol]:
            self._contracts.pop(key, None)
