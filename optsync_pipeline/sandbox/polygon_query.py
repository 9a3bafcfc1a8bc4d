"""What a request for Polygon's contracts asks for: filters, order, and the page.

A cursor holds the whole query and where its page begins: the client sends nothing else with it.
"""

import base64
import binascii
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from optsync_pipeline.sandbox.contract_rows import ContractRows

_USUAL_LIMIT = 10
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "": operator.eq,
    ".gt": operator.gt,
    ".gte": operator.ge,
    ".lt": operator.lt,
    ".lte": operator.le,
}
_SORTS = ("ticker", "expiration_date", "strike_price")
_Test = tuple[Callable[[Any, Any], Any], Any]


class QueryError(ValueError):
    """A parameter has no meaning. The text names it."""


@dataclass(frozen=True, slots=True)
class ContractQuery:
    """A query as read. asked: the query itself, to be continued by the next page's cursor."""

    asked: Mapping[str, str]
    expiration: tuple[_Test, ...]
    strike: tuple[_Test, ...]
    is_put: bool | None
    sort: str
    is_descending: bool
    limit: int
    start: int

    @classmethod
    def read(cls, query: Mapping[str, str], most: int) -> "ContractQuery":
        """Read the query, or the one that its cursor holds. Raise QueryError."""
        start = 0
        if "cursor" in query:
            query, start = _read_cursor(query["cursor"])
        limit = _read("limit", int, query.get("limit", str(_USUAL_LIMIT)))
        if not 1 <= limit <= most:
            raise QueryError(f"limit must be 1 to {most}")
        return cls(
            asked=query,
            expiration=_tests("expiration_date", date.fromisoformat, query),
            strike=_tests("strike_price", float, query),
            is_put={None: None, "call": False, "put": True}[_one_of("contract_type", (None, "call", "put"), query)],
            sort=_one_of("sort", (None, *_SORTS), query) or _SORTS[0],
            is_descending=_one_of("order", (None, "asc", "desc"), query) == "desc",
            limit=limit,
            start=start,
        )

    def takes_expiration(self, day: date) -> bool:
        """Whether contracts of that expiration are meant."""
        return all(compare(day, bound) for compare, bound in self.expiration)

    def page(self, by_expiration: Iterable[ContractRows]) -> tuple[list[bytes], str | None]:
        """Return the page's rows, and the query of the next page where there is one."""
        # As listed they are in the order of their tickers, and of their expirations.
        found = [pair for contracts in by_expiration for pair in self._hits(contracts)]
        if self.sort == "strike_price":
            found.sort(key=lambda pair: pair[0])
        if self.is_descending:
            found.reverse()
        after = self.start + self.limit
        rows = [row for _, row in found[self.start : after]]
        return rows, urlencode({"cursor": _cursor(self.asked, after)}) if after < len(found) else None

    def _hits(self, contracts: ContractRows) -> list[tuple[float, bytes]]:
        hit = np.ones(len(contracts.rows), dtype=np.bool_)
        for compare, bound in self.strike:
            hit &= compare(contracts.strike, bound)
        if self.is_put is not None:
            hit &= contracts.is_put == self.is_put
        return [(float(contracts.strike[at]), contracts.rows[at]) for at in np.flatnonzero(hit).tolist()]


def page_number(query: Mapping[str, str]) -> int:
    """Return 1 for the first page of a list, 2 for any that a cursor leads to."""
    return 2 if "cursor" in query else 1


def underlying_of(query: Mapping[str, str]) -> str:
    """Return the underlying that a query for contracts names, if need be in its cursor; empty where it names none."""
    try:
        asked = _read_cursor(query["cursor"])[0] if "cursor" in query else query
    except QueryError:
        return ""
    return asked.get("underlying_ticker", "")


def _tests(name: str, read: Callable[[str], Any], query: Mapping[str, str]) -> tuple[_Test, ...]:
    asked = ((name + suffix, compare) for suffix, compare in _COMPARISONS.items() if name + suffix in query)
    return tuple((compare, _read(key, read, query[key])) for key, compare in asked)


def _read(name: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError:
        raise QueryError(f"{name} has no meaning") from None


def _one_of(name: str, allowed: tuple[str | None, ...], query: Mapping[str, str]) -> str | None:
    if query.get(name) not in allowed:
        raise QueryError(f"{name} must be one of {', '.join(filter(None, allowed))}")
    return query.get(name)


def _cursor(asked: Mapping[str, str], start: int) -> str:
    return base64.urlsafe_b64encode(urlencode({**asked, "start": start}).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[dict[str, str], int]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise QueryError("cursor has no meaning") from None
    query = dict(parse_qsl(text))
    return query, _read("cursor", int, query.pop("start", ""))
