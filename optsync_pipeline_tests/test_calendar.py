"""Sessions, days to expiration and the choice of expirations, on days where they are easily got wrong."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from optsync_pipeline import calendar

NEW_YORK = ZoneInfo("America/New_York")


def new_york(text: str) -> datetime:
    """A New York wall-clock time as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


THURSDAY = new_york("2026-07-16 11:31")


@pytest.mark.parametrize(
    ("now", "session"),
    [
        pytest.param("2026-07-16 11:31", date(2026, 7, 16), id="while it trades"),
        pytest.param("2026-07-16 09:30", date(2026, 7, 16), id="at its open"),
        pytest.param("2026-07-16 09:29", date(2026, 7, 15), id="a minute before its open"),
        pytest.param("2026-07-16 23:00", date(2026, 7, 16), id="late in its evening"),
        pytest.param("2026-07-19 12:00", date(2026, 7, 17), id="on a Sunday"),
        pytest.param("2026-07-03 12:00", date(2026, 7, 2), id="on the observed Independence Day"),
        pytest.param("2027-01-01 12:00", date(2026, 12, 31), id="on New Year's Day"),
    ],
)
def test_the_latest_session_is_the_last_that_has_begun(now: str, session: date) -> None:
    assert calendar.latest_session(new_york(now)).date == session


@pytest.mark.parametrize(
    ("now", "session"),
    [
        pytest.param("2026-07-16 11:31", date(2026, 7, 15), id="while the next trades"),
        pytest.param("2026-07-16 15:59", date(2026, 7, 15), id="a minute before its close"),
        pytest.param("2026-07-16 16:00", date(2026, 7, 16), id="at its close"),
        pytest.param("2026-07-20 09:30", date(2026, 7, 17), id="on Monday's open"),
        pytest.param("2027-01-04 10:00", date(2026, 12, 31), id="over the turn of the year"),
    ],
)
def test_the_latest_finished_session_is_the_last_that_is_over(now: str, session: date) -> None:
    assert calendar.latest_finished_sessions(new_york(now), 1)[0].date == session


@pytest.mark.parametrize("day", ["2026-11-27", "2026-12-24"])
def test_an_early_close_ends_the_session_at_one(day: str) -> None:
    session = calendar.session_on(date.fromisoformat(day))
    assert session is not None
    assert session.close == new_york(f"{day} 13:00")
    assert calendar.is_market_open(new_york(f"{day} 12:59"))
    assert not calendar.is_market_open(new_york(f"{day} 13:00"))


def test_session_times_are_utc_and_follow_daylight_saving() -> None:
    summer, winter = calendar.session_on(date(2026, 7, 16)), calendar.session_on(date(2026, 1, 15))
    assert summer is not None
    assert winter is not None
    assert (summer.open.hour, winter.open.hour) == (13, 14)
    assert summer.open.utcoffset() == timedelta(0)


@pytest.mark.parametrize("now", ["2026-07-16 09:29", "2026-07-16 16:00", "2026-07-18 12:00", "2026-12-25 12:00"])
def test_the_market_is_closed_outside_sessions(now: str) -> None:
    assert not calendar.is_market_open(new_york(now))


@pytest.mark.parametrize("holiday", [date(2027, 3, 26), date(2026, 12, 25), date(2026, 7, 18)])
def test_a_holiday_or_weekend_is_no_trading_day(holiday: date) -> None:
    assert not calendar.is_trading_day(holiday)
    assert calendar.session_on(holiday) is None


def test_days_count_from_the_new_york_date_and_not_from_that_of_utc() -> None:
    evening = datetime(2026, 7, 17, 1, 0, tzinfo=UTC)
    assert calendar.new_york_date(evening) == date(2026, 7, 16)
    assert calendar.days_to_expiration(date(2026, 8, 15), evening) == 30


@pytest.mark.parametrize("expiration", [date(2026, 7, 16), date(2026, 7, 17)])
def test_days_to_expiration_are_at_least_one(expiration: date) -> None:
    assert calendar.days_to_expiration(expiration, THURSDAY) == 1


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        calendar.new_york_date(datetime(2026, 7, 16))  # noqa: DTZ001


def test_the_listed_expiration_nearest_to_the_target_is_chosen() -> None:
    listed = [date(2026, 8, 7), date(2026, 8, 14), date(2026, 8, 21)]
    assert calendar.nearest_expirations(listed, (30,), THURSDAY) == (date(2026, 8, 14),)


def test_of_two_equally_near_expirations_the_later_is_chosen() -> None:
    listed = [date(2026, 8, 12), date(2026, 8, 18)]
    assert calendar.nearest_expirations(listed, (30,), THURSDAY) == (date(2026, 8, 18),)


def test_an_expiration_before_today_is_not_chosen() -> None:
    listed = [date(2026, 7, 15), date(2026, 12, 18)]
    assert calendar.nearest_expirations(listed, (1,), THURSDAY) == (date(2026, 12, 18),)


def test_todays_expiration_may_be_chosen() -> None:
    assert calendar.nearest_expirations([date(2026, 7, 16)], (30,), THURSDAY) == (date(2026, 7, 16),)


def test_two_targets_with_one_nearest_expiration_give_it_once() -> None:
    assert calendar.nearest_expirations([date(2026, 8, 21)], (30, 45), THURSDAY) == (date(2026, 8, 21),)


def test_two_targets_give_their_expirations_in_order_of_date() -> None:
    listed = [date(2026, 8, 14), date(2026, 8, 28)]
    assert calendar.nearest_expirations(listed, (45, 30), THURSDAY) == (date(2026, 8, 14), date(2026, 8, 28))


def test_without_listed_expirations_none_is_chosen() -> None:
    assert calendar.nearest_expirations([], (30,), THURSDAY) == ()


def test_the_likely_expiration_is_the_weekly_friday_nearest_to_the_target() -> None:
    assert calendar.likely_expirations((30,), THURSDAY) == (date(2026, 8, 14),)


@pytest.mark.parametrize(
    ("now", "thursday"),
    [
        pytest.param("2026-11-25 12:00", date(2026, 12, 24), id="Christmas on a Friday"),
        pytest.param("2026-12-01 12:00", date(2026, 12, 31), id="New Year's Day on a Friday"),
        pytest.param("2027-02-24 12:00", date(2027, 3, 25), id="Good Friday"),
        pytest.param("2027-05-19 12:00", date(2027, 6, 17), id="Juneteenth observed on the third Friday"),
    ],
)
def test_a_week_whose_friday_is_closed_expires_on_thursday(now: str, thursday: date) -> None:
    assert calendar.likely_expirations((30,), new_york(now)) == (thursday,)


@pytest.mark.parametrize("target", [1, 7, 30, 45, 400, 1100])
def test_a_likely_expiration_lies_within_half_a_week_of_any_target(target: int) -> None:
    (guess,) = calendar.likely_expirations((target,), THURSDAY)
    assert abs((guess - THURSDAY.date()).days - target) <= 4


@pytest.mark.parametrize(
    ("now", "minutes", "since"),
    [
        pytest.param("2026-07-16 11:31", 60, "2026-07-16 10:31", id="within a session"),
        pytest.param("2026-07-20 10:00", 60, "2026-07-17 15:30", id="over a weekend"),
        pytest.param(
            "2026-07-20 10:00", 30, "2026-07-17 16:00", id="exactly since the open, so since the close before"
        ),
        pytest.param("2026-07-19 12:00", 60, "2026-07-17 15:00", id="on a Sunday"),
        pytest.param("2026-07-19 12:00", 0, "2026-07-17 16:00", id="none at all on a Sunday"),
        pytest.param("2026-07-16 11:31", 0, "2026-07-16 11:31", id="none at all in a session"),
        pytest.param("2026-11-30 09:40", 40, "2026-11-27 12:30", id="over an early close"),
        pytest.param("2026-07-20 16:00", 780, "2026-07-16 16:00", id="two whole sessions"),
        pytest.param("2026-01-02 10:30", 120, "2025-12-31 15:00", id="over New Year"),
    ],
)
def test_market_time_passes_over_what_is_closed(now: str, minutes: int, since: str) -> None:
    assert calendar.before_market_time(new_york(now), timedelta(minutes=minutes)) == new_york(since)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        pytest.param("2026-07-16 11:31", "2026-07-16 10:31", id="in a session: the last hour"),
        pytest.param("2026-07-20 09:40", "2026-07-17 16:00", id="ten minutes after an open: the close before"),
        pytest.param("2026-07-20 10:30", "2026-07-17 16:00", id="an hour after it: still"),
        pytest.param("2026-07-20 10:31", "2026-07-20 09:31", id="a minute later: no more"),
        pytest.param("2026-07-17 15:59", "2026-07-17 14:59", id="before a close: the last hour"),
        pytest.param("2026-07-17 16:00", "2026-07-17 16:00", id="after it: only what is newer than it"),
        pytest.param("2026-07-19 12:00", "2026-07-17 16:00", id="a Friday's close on Sunday"),
        pytest.param("2026-07-20 09:29", "2026-07-17 16:00", id="before Monday's open"),
        pytest.param("2026-11-27 14:00", "2026-11-27 13:00", id="an early close"),
    ],
)
def test_fresh_is_what_was_asked_lately_and_since_the_last_close(now: str, since: str) -> None:
    assert calendar.fresh_since(new_york(now), timedelta(minutes=60)) == new_york(since)
