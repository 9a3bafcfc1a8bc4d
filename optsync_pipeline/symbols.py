"""How a stock is named: one key inside, however a person or a file spells it. Each vendor's spelling is in its file."""

import re

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}([./-][A-Z0-9]{1,4})?")


def normalise_symbol(text: str) -> str:
    """Return our key for a symbol: upper case, class shares with a dot (`brk-b`, `BRK/B` → `BRK.B`).

    Raises ValueError naming the text where it cannot be a US stock symbol.
    """
    symbol = text.strip().upper()
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(f"{text!r} is not a US stock symbol (letters, and a class after a dot, like AAPL or BRK.B)")
    return symbol.replace("/", ".").replace("-", ".")


def occ_root(symbol: str) -> str:
    """Return the root that the symbol's standard contracts carry in their OCC symbols (`BRK.B` → `BRKB`)."""
    return symbol.replace(".", "")
