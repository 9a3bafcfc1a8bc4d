"""Places among the vendor calls at once, and when a token finds one."""

import time

from optsync_pipeline.fetching.call_slots import LATE_SECONDS, CallSlots


def test_no_more_places_are_taken_than_there_are() -> None:
    slots = CallSlots(2)
    assert [slots.acquire() for _ in range(3)] == [True, True, False]
    slots.release()
    assert slots.acquire()


def test_of_a_slow_vendor_no_token_is_taken_while_all_places_are_held() -> None:
    slots = CallSlots(2)
    for _ in range(20):
        slots.acquire()
        slots.release(held_seconds=5.0)
    slots.acquire()
    assert slots.has_room()
    slots.acquire()
    assert not slots.has_room()
    slots.release()
    assert slots.has_room()


def test_of_a_quick_vendor_as_many_tokens_are_kept_ready_as_there_are_places() -> None:
    slots = CallSlots(2)
    slots.acquire()
    slots.release(held_seconds=0.05)
    slots.acquire()
    slots.acquire()
    slots.expect(time.monotonic())
    assert slots.has_room()
    slots.expect(time.monotonic())
    assert not slots.has_room()


def test_tokens_that_are_due_later_take_no_room_from_those_that_are_due_now() -> None:
    slots = CallSlots(1)
    for _ in range(20):
        slots.expect(time.monotonic() + 10 * LATE_SECONDS)
    assert slots.has_room()


def test_a_token_that_never_came_for_its_place_is_forgotten() -> None:
    slots = CallSlots(1)
    for _ in range(5):
        slots.expect(time.monotonic() - 60)
    assert slots.has_room()


def test_a_call_that_made_no_request_is_expected_no_more() -> None:
    slots = CallSlots(1)
    now = time.monotonic()
    for _ in range(5):
        slots.expect(now)
        slots.expect_no_more(now)
    assert slots.has_room()


def test_who_takes_a_place_is_expected_no_more() -> None:
    slots = CallSlots(1)
    for _ in range(50):
        slots.expect(time.monotonic())
        assert slots.acquire()
        slots.release(held_seconds=5.0)
    assert slots.has_room()


def test_of_a_provider_whose_call_waits_for_a_further_token_no_other_is_begun() -> None:
    slots = CallSlots(4)
    with slots.going_on("robinhood"), slots.going_on("robinhood"):
        assert slots.ready_to_begin(["robinhood", "yahoo"]) == ["yahoo"]
    assert slots.ready_to_begin(["robinhood", "yahoo"]) == ["robinhood", "yahoo"]
