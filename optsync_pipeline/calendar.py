"""The market's calendar: sessions of the New York Stock Exchange, and the expirations nearest to a target.

Holidays and early closes are exchange_calendars' (XNYS); option expirations follow them. Which quotes are too old is
judged in quality/rules.py. `now` is always an aware datetime given by the caller; no function here reads the clock.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_FRIDAY = 4
_WEEK = dt.timedelta(days=7)


class Session(NamedTuple):
    """A trading day of the exchange; open and close in UTC, early closes included."""

    date: dt.date
    open: dt.datetime
    close: dt.datetime


def latest_session(now: dt.datetime) -> Session:
    """Return the latest session that has begun: its open is not after `now`."""
    year = new_york_date(now).year
    sessions = _sessions(year)
    begun = bisect_right(sessions, now, key=lambda session: session.open)
    return sessions[begun - 1] if begun else _sessions(year - 1)[-1]


def latest_finished_sessions(now: dt.datetime, count: int) -> list[Session]:
    """Return so many sessions that have closed, the latest first; count: at most 200."""
    year = new_york_date(now).year
    ended = [session for session in (*_sessions(year - 1), *_sessions(year)) if session.close <= now]
    return ended[: -count - 1 : -1]


def is_market_open(now: dt.datetime) -> bool:
    """Say whether the exchange trades at `now`, which counts from the open to just before the close."""
    return now < latest_session(now).close


def before_market_time(now: dt.datetime, market_time: dt.timedelta) -> dt.datetime:
    """Return the earliest time from which to `now` the exchange was open no longer than `market_time`.

    Nights, weekends and holidays don't count: an hour of market time before a Monday's 10:00 is Friday's 15:30.
    """
    moment, left = now, market_time
    while True:
        session = latest_session(moment)
        open_for = min(moment, session.close) - session.open
        if left < open_for:
            return min(moment, session.close) - left
        left -= open_for
        # Just before the open, so that the latest session is the one before.
        moment = session.open - dt.timedelta(microseconds=1)


def fresh_since(now: dt.datetime, market_time: dt.timedelta) -> dt.datetime:
    """Return since when a stock must have been asked for what is stored of it to count as fresh.

    No more than `market_time` of trading may lie between, and no close: what was asked for before a close misses the
    session's last prices, which are fresh from then until `market_time` after the next open.
    """
    session = latest_session(now)
    last_close = session.close if session.close <= now else latest_session(session.open - dt.timedelta(seconds=1)).close
    return max(last_close, before_market_time(now, market_time))


def session_on(day: dt.date) -> Session | None:
    """Return the session of a New York date, or None where the exchange is closed that day."""
    sessions = _sessions(day.year)
    index = bisect_right(sessions, day, key=lambda session: session.date) - 1
    return sessions[index] if index >= 0 and sessions[index].date == day else None


def is_trading_day(day: dt.date) -> bool:
    """Say whether the exchange trades on that New York date."""
    return session_on(day) is not None


def new_york_date(now: dt.datetime) -> dt.date:
    """Return the New York date at `now`. Raises ValueError for a datetime without a time zone."""
    if now.tzinfo is None:
        raise ValueError("now needs a time zone: give an aware datetime, like datetime.now(UTC)")
    return now.astimezone(NEW_YORK).date()


def days_to_expiration(expiration: dt.date, now: dt.datetime) -> int:
    """Return the calendar days from the New York date of `now` to the expiration, at least 1."""
    return max(1, (expiration - new_york_date(now)).days)


def nearest_expirations(listed: Iterable[dt.date], target_dtes: Sequence[int], now: dt.datetime) -> tuple[dt.date, ...]:
    """Return for each target (calendar days) the listed expiration nearest to it; distinct, sorted.

    Only those on or after the New York date of `now` count; of two equally near, the later. Empty where none is left.
    """
    today = new_york_date(now)
    ahead = [expiration for expiration in set(listed) if expiration >= today]
    if not ahead:
        return ()
    chosen = {
        min(ahead, key=lambda day: (abs((day - today).days - target), -day.toordinal())) for target in target_dtes
    }
    return tuple(sorted(chosen))


def likely_expirations(target_dtes: Sequence[int], now: dt.datetime) -> tuple[dt.date, ...]:
    """Guess the expirations of a stock whose list is not known: the weekly ones nearest to each target (calendar days).

    Weekly options expire on Fridays, and where a Friday is closed on the last session before it.
    """
    today = new_york_date(now)
    this_friday = today + dt.timedelta(days=(_FRIDAY - today.weekday()) % 7)
    weeks = {max(0, target // 7 + step) for target in target_dtes for step in (-1, 0, 1)}
    return nearest_expirations((_weekly_expiration(this_friday + week * _WEEK) for week in weeks), target_dtes, now)


def _weekly_expiration(friday: dt.date) -> dt.date:
    day = friday
    while not is_trading_day(day):
        day -= dt.timedelta(days=1)
    return day


# A year at a time, because exchange_calendars' default calendar ends one year ahead and long-dated options do not.
@lru_cache(maxsize=16)
def _sessions(year: int) -> tuple[Session, ...]:
    # Imported at first use: it takes most of a second, and commands that need no calendar should not wait for it.
    import exchange_calendars

    exchange = exchange_calendars.get_calendar("XNYS", start=f"{year}-01-01", end=f"{year}-12-31")
    schedule = exchange.schedule
    return tuple(
        Session(day.date(), opened.to_pydatetime(), closed.to_pydatetime())
        for day, opened, closed in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    )
