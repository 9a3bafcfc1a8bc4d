"""Scalars of a vendor's JSON, read distrustfully: what is not what it should be is None, never a guess.

What a field means and which one to take is said in that vendor's file.
"""

import math
from datetime import UTC, date, datetime

_LARGEST_COUNT = 2**63 - 1  # what a bigint column holds
_TEXT_LIMIT = 40


def number(value: object) -> float | None:
    """Return a finite float, None for null, text, booleans, NaN and infinities; `{"raw": 1.5, …}` counts as 1.5."""
    if isinstance(value, dict):
        value = value.get("raw")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:  # a JSON integer of hundreds of digits
        return None
    return result if math.isfinite(result) else None


def positive(value: object) -> float | None:
    """Return a number above 0, else None: vendors write 0 where a price is missing."""
    result = number(value)
    return result if result is not None and result > 0 else None


def count(value: object) -> int | None:
    """Return a whole number (12.0 as 12), else None."""
    result = number(value)
    return int(result) if result is not None and result.is_integer() and abs(result) < _LARGEST_COUNT else None


def text(value: object) -> str | None:
    """Return a short printable text, else None. PostgreSQL takes no NUL, and no name of a vendor's is long."""
    if not isinstance(value, str):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in value[:_TEXT_LIMIT]).strip() or None


def moment(epoch_seconds: object) -> datetime | None:
    """Return the UTC time of seconds since 1970, else None."""
    seconds = positive(epoch_seconds)
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return None


def day(epoch_seconds: object) -> date | None:
    """Return the UTC date of seconds since 1970, else None. Local time would give the day before."""
    instant = moment(epoch_seconds)
    return instant.date() if instant else None


def same_symbol(answered: object, asked: str) -> bool:
    """Say whether a reply's symbol is the one asked for, however spelt (`BRK-B`, `_RUT`); a missing one passes."""
    if not isinstance(answered, str) or not answered:
        return True
    return _letters(answered) == _letters(asked)


def _letters(symbol: str) -> str:
    return "".join(letter for letter in symbol.upper() if letter.isalnum())
