"""Robinhood's ids: the same for a stock, a chain or a contract in every sandbox, however often it is started.

A contract's id begins as its chain's does and goes on with its expiration, so that any contract is found from its id
without a table of the market's million contracts. All are well-formed UUIDs of version 5.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from uuid import NAMESPACE_URL, uuid5

ROBINHOOD = "https://api.robinhood.com"
# Dates fit into four hexadecimal digits from here on, until 2139.
_FIRST_ORDINAL = date(1960, 1, 1).toordinal()
_CONTRACT_ID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class RobinhoodIds:
    """The ids of one market's symbols."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._by_instrument = {instrument_id(symbol): symbol for symbol in symbols}
        self._by_chain = {chain_id(symbol): symbol for symbol in symbols}
        self._by_contract_start = {chain_id(symbol)[:8]: symbol for symbol in symbols}
        self._by_chain_symbol = {chain_symbol(symbol): symbol for symbol in symbols}

    def symbol_of_instrument(self, wanted: str) -> str | None:
        """Return the stock's symbol, or None."""
        return self._by_instrument.get(wanted)

    def symbol_of_chain(self, wanted: str) -> str | None:
        """Return the symbol whose chain that is, or None."""
        return self._by_chain.get(wanted)

    def symbol_of_chain_symbol(self, wanted: str) -> str | None:
        """Return our symbol for how Robinhood names a chain, or None."""
        return self._by_chain_symbol.get(wanted)

    def place_of_contract(self, wanted: str) -> tuple[str, date] | None:
        """Return the symbol and the expiration that a contract's id speaks of, or None."""
        parts = _CONTRACT_ID.fullmatch(wanted)
        symbol = self._by_contract_start.get(parts[1]) if parts else None
        return (symbol, date.fromordinal(_FIRST_ORDINAL + int(parts[2], 16))) if parts and symbol else None

    def symbols_of_contracts(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the symbols that contracts' ids speak of, each once."""
        places = (self.place_of_contract(contract) for contract in wanted)
        return tuple(dict.fromkeys(place[0] for place in places if place))


def instrument_id(symbol: str) -> str:
    """Return the id of a stock."""
    return str(uuid5(NAMESPACE_URL, f"{ROBINHOOD}/instruments/{symbol}/"))


def chain_id(symbol: str) -> str:
    """Return the id of a stock's chain."""
    return str(uuid5(NAMESPACE_URL, f"{ROBINHOOD}/options/chains/{symbol}/"))


def chain_symbol(symbol: str) -> str:
    """Return how Robinhood names the chain: BRKB for BRK.B, unlike the stock itself."""
    return symbol.replace(".", "")


def contract_ids(symbol: str, expiration: date, contract_symbols: Sequence[str]) -> list[str]:
    """Return the ids of contracts of one expiration."""
    start = f"{chain_id(symbol)[:8]}-{expiration.toordinal() - _FIRST_ORDINAL:04x}-5"
    found = []
    for name in contract_symbols:
        digest = hashlib.blake2b(name.encode(), digest_size=10).hexdigest()
        found.append(f"{start}{digest[:3]}-{'89ab'[ord(digest[3]) % 4]}{digest[4:7]}-{digest[7:19]}")
    return found


def own_contracts(contract_symbols: Sequence[str], symbol: str) -> list[int]:
    """Return the places of the contracts that are a chain's own; an adjusted one is in a chain by itself."""
    root = chain_symbol(symbol)
    return [at for at, name in enumerate(contract_symbols) if name[:-15] == root]
