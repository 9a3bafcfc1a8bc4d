"""Robinhood's scalars: prices, greeks and times come as texts. What is not what it should be is None, never a guess."""

import re
from datetime import UTC, date, datetime

from optsync_pipeline.providers import fields

_NUMBER = re.compile(r"-?[0-9]{1,20}([.][0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")


def number(value: object) -> float | None:
    """Return a finite float of a text like "0.120000", or of a number; else None."""
    if isinstance(value, str):
        return fields.number(float(value)) if _NUMBER.fullmatch(value) else None
    return fields.number(value)


def price(value: object) -> float | None:
    """Return a number above 0, else None."""
    result = number(value)
    return result if result is not None and result > 0 else None


def count(value: object) -> int | None:
    """Return a whole number, else None."""
    return fields.count(number(value))


def iso_date(value: object) -> date | None:
    """Return the date of a text like "2026-08-21", else None."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def iso_moment(value: object) -> datetime | None:
    """Return the UTC time of a text like "2026-07-16T15:30:00.123456Z", else None."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
