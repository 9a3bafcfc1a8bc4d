"""Polygon (Massive): a stock's chain by its option snapshot, filtered to expirations, 250 contracts a request.

    Polygon says                                                    we say
    status 401 / 403, or no contract with a quote                   AuthError / NotEntitled: both end it for the run
    status 404                                                      UnknownSymbol
    `results: []` without a filter, or adjusted contracts only      NoOptions
    an expiration that it listed before is gone; no results key     VendorFault
    not JSON, `results: null`, no price, no time, endless pages     InvalidReply
    429, 5xx                                                        RateLimited, VendorFault

A filtered reply does not tell which other expirations there are. So the question names not one date but the days that
are at most as far from the target as the guessed expiration: what comes back is the nearest listed one, with proof. It
costs one request for a right guess (an expiration known from an earlier sync, or the nearest Friday), one more for a
wrong one (a month's days around the target, which hold a monthly expiration), and another where that is empty too: all
expirations, which alone can show that there are none. Every further 250 contracts cost one more; so does every further
target whose days do not overlap. Strikes are not filtered: the price is not known before the first reply, and every
standard contract of an expiration is to be stored.

Client and pool are polygon_session.py's, rows polygon_rows.py's.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import SecretStr

from optsync_pipeline.calendar import is_trading_day, likely_expirations, nearest_expirations, new_york_date
from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    InvalidReply,
    NoOptions,
    StaleReply,
    VendorFault,
)
from optsync_pipeline.providers.polygon_rows import RowReader, expiration_of_row, has_quotes
from optsync_pipeline.providers.polygon_session import REAL_URL, PolygonSnapshots, not_entitled
from optsync_pipeline.providers.transport import TIMEOUT, Timeout, wire_count

_DAY = timedelta(days=1)
_MONTHLY_REACH = timedelta(days=18)  # monthly expirations are 28 or 35 days apart, one of a holiday 36


class _Days(NamedTuple):
    """A span of days, both ends included."""

    first: date
    last: date

    def holds_any(self, expirations: Iterable[date]) -> bool:
        return any(self.first <= expiration <= self.last for expiration in expirations)


_ALL_DAYS = _Days(date.min, date.max)


class PolygonProvider:
    """Polygon through massive, with an API key whose plan has option quotes."""

    name = "polygon"
    quote_delay = timedelta(minutes=15)  # of all plans but the dearest

    def __init__(self, *, stand_in_url: str | None, api_key: SecretStr, timeout: Timeout = TIMEOUT) -> None:
        self._snapshots = PolygonSnapshots(stand_in_url or REAL_URL, api_key, timeout)
        self._has_seen_quotes = False

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with wire_count() as spent:
            search = _Search(self._snapshots, request)
            search.run()
            self._check_entitlement(request.symbol, search.rows)
            return _read_reply(request, search, spent())

    def close(self) -> None:
        self._snapshots.close()

    def _check_entitlement(self, symbol: str, rows: list[Any]) -> None:
        if has_quotes(rows):
            self._has_seen_quotes = True
        elif rows and self._has_seen_quotes:  # so it is this stock, and not the plan
            raise InvalidReply(f"Polygon sent {len(rows)} contracts of {symbol} and a quote of none")
        elif rows:
            raise not_entitled(f"none of {len(rows)} contracts of {symbol} came with a quote")


class _Search:
    """Asks for days until those around every target hold an expiration; keeps the rows and the expirations found."""

    def __init__(self, snapshots: PolygonSnapshots, request: ChainRequest) -> None:
        self.rows: list[Any] = []
        self.listed: set[date] = set()
        self._snapshots = snapshots
        self._request = request
        self._asked: list[_Days] = []

    def run(self) -> None:
        """Ask nearer days first. Raises VendorFault where an expiration is gone that Polygon listed before."""
        request = self._request
        pending = request.target_dtes
        for step in (_near_days, _month_days, _all_days):
            around = {target: step(request, target) for target in pending}
            for days in _merged(around.values()):
                self._ask(days)
            self._check_promises()
            pending = tuple(target for target in pending if not around[target].holds_any(self.listed))
            if not pending:
                return

    def has_asked_for(self, expiration: date) -> bool:
        """Whether a reply was to hold this expiration."""
        return any(days.holds_any([expiration]) for days in self._asked)

    def _ask(self, days: _Days) -> None:
        symbol = self._request.symbol
        for row in self._snapshots.fetch_rows(symbol, _filters(days)):
            expiration, is_standard = expiration_of_row(symbol, row)
            if expiration is not None and self.has_asked_for(expiration):
                continue  # an earlier reply, of fewer days, brought it
            self.rows.append(row)
            if is_standard and expiration is not None and days.holds_any([expiration]):
                self.listed.add(expiration)
        self._asked.append(days)

    def _check_promises(self) -> None:
        promised = self._request.promised_expirations(PolygonProvider.name)
        for expiration in nearest_expirations(promised, self._request.target_dtes, self._request.now):
            if self.has_asked_for(expiration) and expiration not in self.listed:
                raise VendorFault(
                    f"Polygon listed {self._request.symbol}'s expiration {expiration} before and now sends none of it"
                )


def _near_days(request: ChainRequest, target_dte: int) -> _Days:
    """Return the days at most as far from the target as the likeliest expiration."""
    guess = _guess(request, (target_dte,))
    around = _days_around(request.now, target_dte, abs(guess - _target_day(request.now, target_dte)))
    # Nothing expires on a day without trading, and a single day is what the vendor answers fastest.
    first, last = around
    while first < guess and not is_trading_day(first):
        first += _DAY
    while last > guess and not is_trading_day(last):
        last -= _DAY
    return _Days(first, last)


def _guess(request: ChainRequest, target: tuple[int]) -> date:
    """Return the known expiration nearest to the target; the nearest Friday where there is none."""
    known = nearest_expirations(request.known_expirations, target, request.now)
    likely = likely_expirations(target, request.now)
    if known and 14 <= known[0].day <= 21:  # a third Friday: perhaps the stock has no others
        return known[0]
    # A stock with weekly expirations has the nearest Friday too, though we may have asked for earlier ones alone.
    return nearest_expirations((*known, *likely), target, request.now)[0]


def _month_days(request: ChainRequest, target_dte: int) -> _Days:
    return _days_around(request.now, target_dte, _MONTHLY_REACH)


def _all_days(request: ChainRequest, target_dte: int) -> _Days:
    return _ALL_DAYS


def _target_day(now: datetime, target_dte: int) -> date:
    return new_york_date(now) + target_dte * _DAY


def _days_around(now: datetime, target_dte: int, reach: timedelta) -> _Days:
    target = _target_day(now, target_dte)
    return _Days(max(target - reach, new_york_date(now)), target + reach)


def _merged(spans: Iterable[_Days]) -> list[_Days]:
    """Return the spans with those that overlap made into one."""
    merged: list[_Days] = []
    for span in sorted(spans):
        if merged and span.first <= merged[-1].last:
            merged[-1] = _Days(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return merged


def _filters(days: _Days) -> dict[str, str]:
    if days == _ALL_DAYS:
        return {}
    if days.first == days.last:
        return {"expiration_date": days.first.isoformat()}
    return {"expiration_date.gte": days.first.isoformat(), "expiration_date.lte": days.last.isoformat()}


def _read_reply(request: ChainRequest, search: _Search, requests_spent: int) -> ChainReply:
    symbol = request.symbol
    if not search.listed:
        raise NoOptions(f"Polygon lists no {'standard ' if search.rows else ''}options of {symbol}")
    chosen = nearest_expirations(search.listed, request.target_dtes, request.now)
    if not chosen:
        raise StaleReply(f"Polygon lists only expirations of {symbol} that have passed")
    reader = RowReader(symbol, chosen, search.listed, request.now)
    for row in search.rows:
        reader.read(row)
    # What it listed before, outside the days asked for now, it has not taken back.
    promised = request.promised_expirations(PolygonProvider.name)
    still_listed = {expiration for expiration in promised if not search.has_asked_for(expiration)}
    return ChainReply(
        symbol=symbol,
        provider=PolygonProvider.name,
        quote=reader.stock_quote(),
        expirations=chosen,
        listed_expirations=tuple(sorted(search.listed | still_listed)),
        contracts=reader.sorter.contracts,
        refused=reader.sorter.refused,
        requests=requests_spent,
    )
