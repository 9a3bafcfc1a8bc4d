"""The shared limit and breaker on a real PostgreSQL, in the time of a clock that the tests set."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits, ProviderState

START = datetime(2026, 7, 15, 20, 0, 0, tzinfo=UTC)
MINUTE = 60.0
SLACK = 1.02
"""The pace is 2 % slower than the limit."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def seconds(self) -> float:
        return (self.now - START).total_seconds()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(database: Database, clock: Clock) -> Iterator[ProviderLimits]:
    """Yahoo at 60 a minute (a token every 1.02 s, bursts of 6), Cboe at 5 a minute (no bursts)."""
    opened = ProviderLimits(database, clock)
    opened.declare("yahoo", 60, 2000)
    opened.declare("cboe", 5, 2000)
    yield opened
    opened.close()


def waits(limits: ProviderLimits, number: int, provider: str = "yahoo") -> list[float]:
    return [round(limits.take([provider]).wait_seconds, 3) for _ in range(number)]


def state(limits: ProviderLimits, provider: str = "yahoo") -> ProviderState:
    return next(found for found in limits.read() if found.provider == provider)


def most_within(times: list[float], window_seconds: float) -> int:
    """Return the most times in any half-open window of that length."""
    ordered = sorted(times)
    first, most = 0, 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - window_seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


# -- pace and bursts


def test_a_burst_goes_out_at_once_and_is_paid_for_afterwards(limits: ProviderLimits) -> None:
    assert waits(limits, 9) == [0, 0, 0, 0, 0, 0, 6.12, 7.14, 8.16]


def test_a_burst_is_as_long_as_the_idleness_before_it(limits: ProviderLimits, clock: Clock) -> None:
    waits(limits, 6)
    clock.move(6.12 + 2.5 * 1.02)

    assert waits(limits, 4) == [0, 0, 0, 3.06]


def test_a_small_limit_has_no_bursts(limits: ProviderLimits) -> None:
    assert waits(limits, 3, "cboe") == [0, 12.24, 24.48]


def test_a_reserved_token_that_nobody_uses_costs_its_own_time_alone(limits: ProviderLimits, clock: Clock) -> None:
    waits(limits, 1, "cboe")
    forgotten = limits.take(["cboe"])
    clock.move(forgotten.wait_seconds)

    assert waits(limits, 1, "cboe") == [12.24]
    clock.move(12.24 + 0.01)
    assert waits(limits, 1, "cboe") == [12.23]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_minute=st.sampled_from([1, 2, 5, 30, 59, 100, 1200]),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.3, 0.9, 3.1, 12.0, 61.0]), min_size=30, max_size=150),
    pauses=st.sets(st.integers(0, 150), max_size=2),
)
def test_no_minute_holds_more_than_the_limit_and_no_second_more_than_its_share_and_a_burst(
    limits: ProviderLimits, clock: Clock, per_minute: int, gaps: list[float], pauses: set[int]
) -> None:
    with limits._database.transaction() as cursor:
        cursor.execute("DELETE FROM api_rate_limits")
    limits.declare("yahoo", per_minute, 1_000_000)
    times = []
    for number, gap in enumerate(gaps):
        clock.move(gap)
        if number in pauses:
            limits.note_rate_limited("yahoo", 7)
        times.append(clock.seconds + limits.take(["yahoo"]).wait_seconds)

    burst = min(max(per_minute // 10, 1), 10)
    assert most_within(times, MINUTE) <= per_minute
    assert most_within(times, 1) <= per_minute / 60 + burst
    assert times == sorted(times)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_hour=st.sampled_from([1, 3, 20, 45]),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 2.0, 59.0, 61.0, 400.0, 3000.0, 9000.0]), min_size=30, max_size=120),
)
def test_no_60_minutes_hold_more_than_the_hours_limit(
    limits: ProviderLimits, clock: Clock, per_hour: int, gaps: list[float]
) -> None:
    with limits._database.transaction() as cursor:
        cursor.execute("DELETE FROM api_rate_limits")
    limits.declare("yahoo", 30, per_hour)
    times = []
    for gap in gaps:
        clock.move(gap)
        times.append(clock.seconds + limits.take(["yahoo"]).wait_seconds)

    assert most_within(times, 60 * MINUTE) <= per_hour
    assert most_within(times, MINUTE) <= 30


def test_a_full_hour_puts_tokens_off_until_the_first_of_its_requests_is_an_hour_old(
    limits: ProviderLimits, clock: Clock
) -> None:
    limits.set_limits("yahoo", per_hour=8)
    clock.move(30)
    waits(limits, 6)
    clock.move(600)
    waits(limits, 2)
    told = state(limits)

    assert waits(limits, 1) == [60 * 61 - 630]
    assert (told.left_this_hour, told.left_this_minute, told.next_token_seconds) == (0, 0, 60 * 61 - 630)


def test_an_hours_budget_is_used(limits: ProviderLimits, clock: Clock) -> None:
    limits.set_limits("yahoo", per_hour=120)
    times: list[float] = []
    while clock.seconds < 6 * 60 * MINUTE:
        clock.move(limits.take(["yahoo"]).wait_seconds)
        times.append(clock.seconds)

    assert 0.95 * 6 * 120 <= sum(time < 6 * 60 * MINUTE for time in times) <= 6 * 120


# -- the choice among providers


def test_the_first_provider_serves_where_several_could_at_once(limits: ProviderLimits) -> None:
    assert limits.take(["cboe", "yahoo"]).provider == "cboe"


def test_a_provider_whose_token_is_further_away_is_passed_over(limits: ProviderLimits) -> None:
    offers = [limits.take(["cboe", "yahoo"]) for _ in range(8)]

    assert [offer.provider for offer in offers] == ["cboe"] + ["yahoo"] * 7
    assert offers[-1].wait_seconds == pytest.approx(6.12)


def test_without_spillover_the_first_provider_is_waited_for(limits: ProviderLimits) -> None:
    offers = [limits.take(["cboe", "yahoo"], spillover=False) for _ in range(2)]

    assert [offer.provider for offer in offers] == ["cboe", "cboe"]


def test_without_spillover_a_provider_that_may_not_be_asked_is_still_passed_over(limits: ProviderLimits) -> None:
    limits.note_failure("cboe", 20, "provider_error: 500")

    assert limits.take(["cboe", "yahoo"], spillover=False).provider == "yahoo"


def test_a_token_too_far_away_is_not_taken(limits: ProviderLimits) -> None:
    limits.take(["cboe"])
    before = state(limits, "cboe")

    offer = limits.take(["cboe"], max_wait_seconds=5)

    assert (offer.provider, offer.taken, round(offer.wait_seconds, 3)) == ("cboe", False, 12.24)
    assert state(limits, "cboe") == before


def test_requests_are_counted_when_their_token_is_taken(limits: ProviderLimits) -> None:
    waits(limits, 7)

    assert state(limits).total_requests == 7
    assert state(limits).left_this_hour == 1993


def test_a_provider_that_was_never_declared_is_an_error(limits: ProviderLimits) -> None:
    with pytest.raises(DatabaseFault, match="polygon") as caught:
        limits.take(["yahoo", "polygon"])
    assert not caught.value.retryable


# -- 429


def test_a_429_pauses_the_provider_for_everybody_for_as_long_as_it_asks(limits: ProviderLimits) -> None:
    limits.note_rate_limited("yahoo", 30)

    offers = [limits.take(["yahoo"]) for _ in range(2)]

    assert [(offer.wait_seconds, offer.paused_seconds) for offer in offers] == [
        (30, 30),
        (pytest.approx(32.04), 30),
    ]
    assert limits.take(["yahoo", "cboe"]).provider == "cboe"
    assert state(limits).paused_seconds == 30


def test_a_429_halves_the_rate_once_an_incident(limits: ProviderLimits) -> None:
    for _ in range(8):  # all were on their way when the first came back
        limits.note_rate_limited("yahoo", None)

    after = state(limits)
    assert (after.current_requests_per_minute, after.rate_limited_count, after.paused_seconds) == (30, 8, 1)


def test_a_later_429_of_the_same_incident_lengthens_the_pause_and_never_shortens_it(
    limits: ProviderLimits, clock: Clock
) -> None:
    limits.note_rate_limited("yahoo", 30)
    clock.move(10)

    limits.note_rate_limited("yahoo", 5)
    assert state(limits).paused_seconds == 20
    limits.note_rate_limited("yahoo", 40)
    assert state(limits).paused_seconds == 40


def test_429s_that_name_no_time_double_the_pause_up_to_300_seconds(limits: ProviderLimits, clock: Clock) -> None:
    pauses = []
    for _ in range(11):
        limits.note_rate_limited("yahoo", None)
        pauses.append(state(limits).paused_seconds)
        clock.move(pauses[-1])

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert state(limits).current_requests_per_minute == 1


@pytest.mark.parametrize(("asked", "paused"), [(0.0, 1.0), (1e9, 86_400.0)])
def test_a_pause_lasts_a_second_at_least_and_a_day_at_most(limits: ProviderLimits, asked: float, paused: float) -> None:
    limits.note_rate_limited("yahoo", asked)

    assert state(limits).paused_seconds == paused


def test_each_hundred_good_replies_raise_the_rate_by_a_tenth_of_the_setting_and_never_above_it(
    limits: ProviderLimits, clock: Clock
) -> None:
    limits.note_rate_limited("yahoo", 1)
    rates = []
    for _ in range(6):
        for _ in range(100):
            limits.note_success("yahoo")
            clock.move(0.01)
        limits.close()  # tells all
        rates.append(state(limits).current_requests_per_minute)

    assert rates == [36, 42, 48, 54, 60, 60]


def test_good_replies_make_the_next_pause_short_again(limits: ProviderLimits, clock: Clock) -> None:
    for _ in range(2):
        limits.note_rate_limited("yahoo", None)
        clock.move(2)
    for _ in range(100):
        limits.note_success("yahoo")
    limits.close()

    limits.note_rate_limited("yahoo", None)

    assert state(limits).paused_seconds == 1


def test_a_token_taken_before_a_429_is_no_good_while_the_pause_lasts(limits: ProviderLimits, clock: Clock) -> None:
    offer = limits.take(["yahoo"])
    assert limits.still_good(offer)

    limits.note_rate_limited("yahoo", 5)
    assert not limits.still_good(offer)
    clock.move(5)
    assert limits.still_good(offer)


# -- the breaker


def open_breaker(limits: ProviderLimits) -> None:
    for _ in range(20):
        limits.note_failure("yahoo", 1, "provider_error: status 503")


def test_twenty_failed_requests_in_a_row_open_the_breaker(limits: ProviderLimits) -> None:
    for _ in range(6):
        limits.note_failure("yahoo", 3, "network_error: refused")
    limits.note_failure("yahoo", 1, "invalid_data: empty")
    assert state(limits).circuit_state == "closed"

    limits.note_failure("yahoo", 1, "provider_error: status 503")

    opened = state(limits)
    assert (opened.circuit_state, opened.consecutive_failures, opened.circuit_opened_at) == ("open", 20, START)
    assert (opened.last_error, opened.last_error_at) == ("provider_error: status 503", START)


def test_a_good_reply_ends_a_row_of_failures(limits: ProviderLimits) -> None:
    limits.note_failure("yahoo", 19, "provider_error: status 503")
    limits.note_success("yahoo")
    limits.note_failure("yahoo", 19, "provider_error: status 503")

    assert state(limits).circuit_state == "closed"
    assert state(limits).consecutive_failures == 19


def test_no_request_goes_out_while_the_breaker_is_open(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(20)

    assert limits.take(["yahoo"]) == Offer(None, 40, taken=False)
    assert limits.take(["yahoo", "cboe"]).provider == "cboe"
    assert state(limits).total_requests == 0
    assert state(limits).probe_in_seconds == 40


def test_a_token_taken_before_the_breaker_opened_is_no_good(limits: ProviderLimits) -> None:
    offer = limits.take(["yahoo"])
    open_breaker(limits)

    assert not limits.still_good(offer)


def test_after_60_seconds_one_process_alone_may_probe(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    assert (state(limits).circuit_state, state(limits).probe_in_seconds) == ("open", 0)

    probe = limits.take(["yahoo"])

    assert probe == Offer("yahoo", 0, taken=True, is_probe=True)
    assert limits.still_good(probe)
    assert limits.take(["yahoo"]) == Offer(None, 60, taken=False)
    assert state(limits).circuit_state == "half_open"


def test_the_probing_call_may_make_further_requests(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    limits.take(["yahoo"])
    clock.move(30)

    assert limits.take(["yahoo"], probe=True) == Offer("yahoo", 0, taken=True, is_probe=True)
    assert limits.take(["yahoo"]) == Offer(None, 60, taken=False)


def test_a_good_probe_closes_the_breaker(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    limits.take(["yahoo"])

    limits.note_success("yahoo", probe=True)

    closed = state(limits)
    assert (closed.circuit_state, closed.consecutive_failures, closed.probe_in_seconds) == ("closed", 0, None)
    assert not limits.take(["yahoo"]).is_probe


def test_a_failed_probe_opens_the_breaker_for_another_60_seconds(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    limits.take(["yahoo"])
    clock.move(3)

    limits.note_failure("yahoo", 1, "api_timeout: no answer", probe=True)

    assert limits.take(["yahoo"]) == Offer(None, 60, taken=False)


def test_a_probe_whose_process_died_gives_way_after_60_seconds(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    limits.take(["yahoo"])
    clock.move(60)

    assert limits.take(["yahoo"]).is_probe


def test_requests_that_were_on_their_way_when_it_opened_change_nothing(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(10)
    limits.note_failure("yahoo", 1, "provider_error: status 503")
    limits.note_success("yahoo")

    after = state(limits)
    assert (after.circuit_state, after.probe_in_seconds, after.consecutive_failures) == ("open", 50, 21)


# -- good replies are gathered


def test_good_replies_are_told_with_the_twentieth(limits: ProviderLimits) -> None:
    limits.note_success("yahoo")  # the first: whether the row has failures is not known yet
    for _ in range(19):
        limits.note_success("yahoo")
    assert good_replies(limits) == 1

    limits.note_success("yahoo")

    assert good_replies(limits) == 21


def test_good_replies_are_told_after_a_second(limits: ProviderLimits, clock: Clock) -> None:
    limits.note_success("yahoo")
    clock.move(1)
    limits.note_success("yahoo")

    assert good_replies(limits) == 2


def test_a_good_reply_is_told_at_once_where_another_process_had_a_failure(
    limits: ProviderLimits, database: Database, clock: Clock
) -> None:
    limits.note_success("yahoo")
    other = ProviderLimits(database, clock)
    other.note_failure("yahoo", 5, "provider_error: status 500")
    limits.take(["yahoo"])

    limits.note_success("yahoo")

    assert state(limits).consecutive_failures == 0
    other.close()


def test_closing_tells_what_is_left(limits: ProviderLimits) -> None:
    for _ in range(7):
        limits.note_success("yahoo")
    limits.close()

    assert good_replies(limits) == 7


def good_replies(limits: ProviderLimits) -> Any:
    row = limits._database.fetch_one("SELECT good_replies FROM api_rate_limits WHERE provider = 'yahoo'")
    return row and row["good_replies"]


# -- settings


def test_a_process_that_starts_writes_its_limits(limits: ProviderLimits) -> None:
    limits.declare("yahoo", 90, 3000)

    told = state(limits)
    assert (told.max_requests_per_minute, told.max_requests_per_hour) == (90, 3000)
    assert told.current_requests_per_minute == 90


@pytest.mark.parametrize(("declared", "current"), [(90, 30), (20, 20)])
def test_a_rate_that_429s_reduced_stays_reduced_when_a_process_starts(
    limits: ProviderLimits, declared: int, current: float
) -> None:
    limits.note_rate_limited("yahoo", 1)
    limits.declare("yahoo", declared, 2000)

    assert state(limits).current_requests_per_minute == current


def test_limits_change_while_others_run(limits: ProviderLimits, database: Database, clock: Clock) -> None:
    other = ProviderLimits(database, clock)

    assert other.set_limits("yahoo", per_minute=600)
    assert other.set_limits("yahoo", per_hour=5000)

    assert waits(limits, 11) == [0] * 10 + [1.02]
    assert state(limits).max_requests_per_hour == 5000
    other.close()


def test_a_provider_without_a_row_can_neither_be_set_nor_reset(limits: ProviderLimits) -> None:
    assert not limits.set_limits("polygon", per_minute=5)
    assert not limits.reset("polygon")


def test_a_reset_forgets_breaker_pause_and_reduced_rate(limits: ProviderLimits) -> None:
    limits.note_rate_limited("yahoo", 500)
    open_breaker(limits)

    assert limits.reset("yahoo")

    after = state(limits)
    assert (after.circuit_state, after.consecutive_failures, after.paused_seconds) == ("closed", 0, 0)
    assert (after.current_requests_per_minute, after.next_token_seconds, after.left_this_hour) == (60, 0, 2000)
    assert waits(limits, 2)[0] == 0


def test_a_reset_lets_no_more_out_in_a_minute_than_the_limit_since_reserved_tokens_will_be_used(
    limits: ProviderLimits,
) -> None:
    reserved = waits(limits, 25)
    assert limits.reset("yahoo")

    assert sum(wait < 60 for wait in [*reserved, *waits(limits, 100)]) <= 60


def test_a_failure_that_is_none_of_the_vendors_is_told_and_not_counted(limits: ProviderLimits) -> None:
    for _ in range(25):
        limits.note_failure("yahoo", 0, "not_entitled: the plan has no snapshots")

    told = state(limits)
    assert (told.circuit_state, told.consecutive_failures) == ("closed", 0)
    assert told.last_error == "not_entitled: the plan has no snapshots"


def test_an_idle_provider_tells_its_whole_budget(limits: ProviderLimits) -> None:
    assert [found.provider for found in limits.read()] == ["cboe", "yahoo"]
    told = state(limits)
    assert (told.left_this_minute, told.left_this_hour, told.next_token_seconds) == (59, 2000, 0)


def test_the_budget_told_is_the_one_granted(limits: ProviderLimits, clock: Clock) -> None:
    waits(limits, 11)
    clock.move(1)
    told = state(limits)

    offered = [limits.take(["yahoo"]).wait_seconds for _ in range(80)]

    assert told.next_token_seconds == pytest.approx(offered[0])
    assert told.left_this_minute == sum(wait < 60 for wait in offered)


# -- clocks that jump


def test_nobody_waits_for_a_clock_that_was_set_back(limits: ProviderLimits, clock: Clock) -> None:
    waits(limits, 8)
    limits.note_rate_limited("cboe", 30)
    clock.move(-5 * 3600)

    assert waits(limits, 1) == [8.16]
    assert limits.take(["cboe"]).wait_seconds == 30


def test_an_open_breaker_probes_in_time_after_the_clock_was_set_back(limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(-5 * 3600)
    assert limits.take(["yahoo"]) == Offer(None, 60, taken=False)
    clock.move(60)

    assert limits.take(["yahoo"]).is_probe


def test_the_hours_count_survives_a_clock_that_was_set_back(limits: ProviderLimits, clock: Clock) -> None:
    limits.set_limits("yahoo", per_hour=6)
    waits(limits, 6)
    clock.move(-90.5)

    (wait,) = waits(limits, 1)

    assert 60 * MINUTE < wait <= 62 * MINUTE


def test_a_429_and_a_failure_after_the_clock_was_set_back_count_from_then(limits: ProviderLimits, clock: Clock) -> None:
    limits.take(["yahoo"])
    clock.move(-3600)
    limits.note_rate_limited("yahoo", 30)
    assert state(limits).paused_seconds == 30
    open_breaker(limits)

    assert limits.take(["yahoo"]) == Offer(None, 60, taken=False)


def test_a_clock_that_was_set_forward_costs_nothing(limits: ProviderLimits, clock: Clock) -> None:
    waits(limits, 20)
    clock.move(5 * 3600)

    assert waits(limits, 7) == [0, 0, 0, 0, 0, 0, 6.12]


# -- many at once


def test_no_token_is_given_twice_to_threads_on_several_connections(database: Database, clock: Clock) -> None:
    processes = [ProviderLimits(database, clock) for _ in range(4)]
    processes[0].declare("yahoo", 60, 2000)
    found: list[float] = []

    def take_many(limits: ProviderLimits) -> None:
        found.extend(waits(limits, 25))

    threads = [threading.Thread(target=take_many, args=(limits,)) for limits in processes * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [0.0] * 6 + [round(1.02 * number, 3) for number in range(6, 200)]
    assert state(processes[0]).total_requests == 200
    for limits in processes:
        limits.close()


def test_two_processes_that_ask_in_opposite_orders_do_not_deadlock(database: Database, clock: Clock) -> None:
    processes = [ProviderLimits(database, clock) for _ in range(2)]
    for provider in ("yahoo", "cboe"):
        processes[0].declare(provider, 6000, 100_000)
    taken: list[bool] = []

    def take_many(limits: ProviderLimits, providers: list[str]) -> None:
        taken.extend(limits.take(providers).taken for _ in range(100))

    threads = [
        threading.Thread(target=take_many, args=arguments)
        for arguments in zip(processes, (["yahoo", "cboe"], ["cboe", "yahoo"]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken == [True] * 200
    for limits in processes:
        limits.close()


def test_only_one_of_many_processes_probes(database: Database, limits: ProviderLimits, clock: Clock) -> None:
    open_breaker(limits)
    clock.move(60)
    processes = [ProviderLimits(database, clock) for _ in range(6)]
    start = threading.Barrier(6)
    offers: list[Offer] = []

    def probe(process: ProviderLimits) -> None:
        start.wait(10)
        offers.append(process.take(["yahoo"]))

    threads = [threading.Thread(target=probe, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(offer.is_probe for offer in offers) == [False] * 5 + [True]
    for process in processes:
        process.close()


def test_without_a_clock_of_ours_the_servers_counts(database: Database) -> None:
    limits = ProviderLimits(database)
    limits.declare("yahoo", 5, 300)

    first, second = limits.take(["yahoo"]), limits.take(["yahoo"])

    assert first.wait_seconds == 0
    assert 0 < second.wait_seconds <= 12.24
    limits.close()
