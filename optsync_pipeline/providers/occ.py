"""OCC contract symbols (`BRKB260821P00480000`), and the sorting of a reply's rows by what they say.

A row either becomes a ContractQuote or a RefusedContract with the name of its rule; none is dropped unseen. Whether a
readable row's quote is any good is not decided here but in quality/rules.py.
"""

from datetime import date
from functools import lru_cache
from typing import NamedTuple

from optsync_pipeline.providers.base import ContractQuote, RefusedContract
from optsync_pipeline.providers.fields import text
from optsync_pipeline.symbols import occ_root

TAIL = 15  # YYMMDD, C or P, strike in thousandths of a dollar with 8 digits
_TYPES = {"C": "call", "P": "put"}


class OccSymbol(NamedTuple):
    """What a contract symbol says. strike_price in dollars; text is the symbol without padding."""

    root: str
    expiration_date: date
    option_type: str
    strike_price: float
    text: str


def parse_occ(contract_symbol: object) -> OccSymbol | None:
    """Read a contract symbol, padded or not; None where it is none."""
    if not isinstance(contract_symbol, str) or not contract_symbol.isascii():
        return None
    root, tail = contract_symbol[:-TAIL].strip(), contract_symbol[-TAIL:]
    expiration = expiration_of(tail[:6])
    option_type = _TYPES.get(tail[6:7])
    if not (1 <= len(root) <= 6 and root.isalnum() and expiration and option_type and tail[7:].isdecimal()):
        return None
    return OccSymbol(root, expiration, option_type, int(tail[7:]) / 1000, root + tail)


@lru_cache(maxsize=4096)
def expiration_of(yymmdd: str) -> date | None:
    """Return the date of an OCC symbol's six digits, or None where they are no date."""
    if len(yymmdd) != 6 or not (yymmdd.isascii() and yymmdd.isdecimal()):
        return None
    try:
        return date(2000 + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:]))
    except ValueError:
        return None


class ContractSorter:
    """Sorts one symbol's rows into `contracts` and `refused`, each name in `refused` once."""

    def __init__(self, symbol: str) -> None:
        self.root = occ_root(symbol)
        self.contracts: list[ContractQuote] = []
        self.refused: list[RefusedContract] = []
        self._accepted: set[str] = set()
        self._refused: set[str] = set()

    def identify(self, contract_symbol: object, expiration: date, option_type: str | None = None) -> OccSymbol | None:
        """Return what the contract symbol says, or refuse the row and return None.

        expiration: the one asked for. option_type: what the row's place in the reply says, where that says anything.
        """
        occ = parse_occ(contract_symbol)
        if occ is None:
            self.refuse(contract_symbol, "unreadable_contract_symbol", "not an OCC symbol")
        elif option_type is not None and occ.option_type != option_type:
            self.refuse(contract_symbol, "unreadable_contract_symbol", f"a {occ.option_type} among the {option_type}s")
        elif occ.root != self.root:
            self.refuse(occ.text, "adjusted_contract", f"root {occ.root}, standard contracts have {self.root}")
        elif occ.expiration_date != expiration:
            self.refuse(occ.text, "wrong_expiration", f"expires {occ.expiration_date}, asked for {expiration}")
        elif occ.text in self._accepted:
            self.refuse(occ.text, "duplicate_contract", "stands more than once in the reply; the first is kept")
        else:
            return occ
        return None

    def accept(self, contract: ContractQuote) -> None:
        """Take a contract that `identify` passed."""
        self._accepted.add(contract.contract_symbol)
        self.contracts.append(contract)

    def refuse(self, contract_symbol: object, rule: str, detail: str) -> None:
        """Refuse a row by name; one without a readable name, or with one already used, gets a number."""
        name = text(contract_symbol) or "missing"
        label = name
        number = len(self.refused) + 1
        while label in self._refused or label in self._accepted or label == "missing":
            label = f"{name} #{number}"
            number += 1
        self._refused.add(label)
        self.refused.append(RefusedContract(label, rule, detail))
