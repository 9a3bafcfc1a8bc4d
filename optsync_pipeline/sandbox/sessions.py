"""When the New York exchange trades: sessions, early closes, and the days on which options expire.

Read from exchange_calendars, not from the project's calendar: what shares the code under test proves nothing about it.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FRIDAY = 4


class Session(NamedTuple):
    """A day of trading; times are in UTC."""

    date: date
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True)
class SessionBook:
    """The sessions of a few years, in order."""

    sessions: tuple[Session, ...]
    dates: tuple[date, ...]
    opens: tuple[datetime, ...]

    def latest(self, now: datetime) -> Session:
        """Return the latest session that has begun."""
        return self.sessions[bisect_right(self.opens, now) - 1]

    def before(self, day: date) -> date:
        """Return the last session day before `day`."""
        return self.dates[bisect_left(self.dates, day) - 1]

    def on(self, day: date) -> Session | None:
        """Return the session of that day, or None."""
        at = bisect_left(self.dates, day)
        return self.sessions[at] if at < len(self.dates) and self.dates[at] == day else None

    def between(self, first: date, last: date) -> tuple[date, ...]:
        """Return the session days from `first` to `last`, both included."""
        return self.dates[bisect_left(self.dates, first) : bisect_right(self.dates, last)]

    def expiration_of_week(self, friday: date) -> date:
        """Return the day on which that week's options expire: its Friday, or the session before a closed one."""
        return friday if self.on(friday) else self.before(friday)


def session_book(now: datetime) -> SessionBook:
    """Return the sessions around `now`: two years back, for histories, and two ahead, for expirations."""
    return session_book_of(now.astimezone(NEW_YORK).year)


@lru_cache(maxsize=8)
def session_book_of(year: int) -> SessionBook:
    """Return the sessions around a year of New York's calendar."""
    import exchange_calendars  # half a second to import: only a market that is asked pays it

    calendar = exchange_calendars.get_calendar("XNYS", start=f"{year - 2}-01-01", end=f"{year + 2}-12-31")
    days = calendar.sessions
    opens = tuple(stamp.to_pydatetime() for stamp in calendar.opens.dt.tz_convert("UTC"))
    closes = tuple(stamp.to_pydatetime() for stamp in calendar.closes.dt.tz_convert("UTC"))
    dates = tuple(stamp.date() for stamp in days)
    return SessionBook(tuple(map(Session, dates, opens, closes)), dates, opens)


def new_york_date(now: datetime) -> date:
    """Return the calendar day in New York."""
    return now.astimezone(NEW_YORK).date()


def quote_time(now: datetime) -> datetime:
    """Return when a quote seen at `now` was made: now while trading, else the latest close."""
    return min(now, session_book(now).latest(now).closes_at)


def market_state(now: datetime) -> str:
    """Return Yahoo's word for the hour: PREPRE, PRE, REGULAR, POST, POSTPOST, or CLOSED on days without a session."""
    session = session_book(now).on(new_york_date(now))
    if session is None:
        return "CLOSED"
    if session.opens_at <= now < session.closes_at:
        return "REGULAR"
    hour = now.astimezone(NEW_YORK).hour
    if now < session.opens_at:
        return "PREPRE" if hour < 4 else "PRE"
    return "POST" if hour < 20 else "POSTPOST"


def third_friday(year: int, month: int) -> date:
    """Return the month's third Friday, whether or not the exchange is open then."""
    first = date(year, month, 1)
    return first + timedelta(days=(FRIDAY - first.weekday()) % 7 + 14)


def monthly_expirations(book: SessionBook, first: date, months: int) -> list[date]:
    """Return the monthly expirations of `months` calendar months from that of `first`, none before `first`."""
    found = []
    for step in range(months):
        year, month = divmod(first.year * 12 + first.month - 1 + step, 12)
        found.append(book.expiration_of_week(third_friday(year, month + 1)))
    return [day for day in found if day >= first]


def weekly_expirations(book: SessionBook, first: date, weeks: int) -> list[date]:
    """Return the expirations of `weeks` weeks from that of `first`, none before `first`."""
    friday = first + timedelta(days=(FRIDAY - first.weekday()) % 7)
    found = [book.expiration_of_week(friday + timedelta(weeks=step)) for step in range(weeks)]
    return [day for day in found if day >= first]
