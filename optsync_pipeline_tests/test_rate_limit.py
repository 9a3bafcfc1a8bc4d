"""The gate that every wire request of a call passes: a token each, and a call slot while it lasts."""

import threading
import time
from collections.abc import Iterator

import pytest

from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.rate_limit import CallGate, StoppedError, Token, nap_seconds, token_of
from optsync_pipeline.providers.base import CircuitOpen, RateLimited
from optsync_pipeline.storage.provider_limits import Offer, ProviderLimits
from optsync_pipeline_tests.limits import limits

__all__ = ["limits"]


@pytest.fixture
def slots() -> CallSlots:
    return CallSlots(1)


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def gate(limits: ProviderLimits, slots: CallSlots, stop: threading.Event) -> CallGate:
    return CallGate(limits, first_token(limits), slots=slots, stop=stop)


def first_token(limits: ProviderLimits) -> Token:
    token = token_of(limits.take(["cboe"]))
    assert token is not None
    return token


def requests_counted(limits: ProviderLimits) -> int:
    return {state.provider: state.total_requests for state in limits.read()}["cboe"]


def held(slots: CallSlots) -> bool:
    if not slots.acquire():
        return True
    slots.release()
    return False


def test_the_first_request_uses_the_token_that_was_taken_before(limits: ProviderLimits, gate: CallGate) -> None:
    with gate():
        assert requests_counted(limits) == 1


def test_each_further_request_takes_its_own(limits: ProviderLimits, gate: CallGate) -> None:
    for _ in range(3):
        with gate():
            pass
    assert requests_counted(limits) == 3


def test_a_slot_is_held_while_a_request_lasts_and_given_back_when_it_fails(gate: CallGate, slots: CallSlots) -> None:
    with pytest.raises(KeyError), gate():
        assert held(slots)
        raise KeyError
    assert not held(slots)
    assert not gate.shut


def test_a_token_that_could_not_be_used_in_time_is_let_go_for_another(
    limits: ProviderLimits, slots: CallSlots, stop: threading.Event
) -> None:
    late = first_token(limits)._replace(due=-1000.0)
    with CallGate(limits, late, slots=slots, stop=stop)():
        assert requests_counted(limits) == 2


def test_a_breaker_that_opened_while_the_token_was_waited_for_shuts_the_gate(
    limits: ProviderLimits, slots: CallSlots, stop: threading.Event
) -> None:
    token = first_token(limits)
    waited = token._replace(offer=Offer("cboe", wait_seconds=3.0, taken=True))
    limits.note_failure("cboe", 20, "network_error: gone")
    gate = CallGate(limits, waited, slots=slots, stop=stop)
    with pytest.raises(CircuitOpen, match="cboe failed too often"), gate():
        pytest.fail("nothing may go out")
    assert gate.shut
    assert not held(slots)


def test_a_pause_longer_than_a_sync_waits_shuts_the_gate(limits: ProviderLimits, gate: CallGate) -> None:
    limits.note_rate_limited("cboe", 3600)
    with gate():
        pass  # the token that was there already
    with pytest.raises(RateLimited, match="longer than a sync waits") as raised, gate():
        pytest.fail("nothing may go out")
    assert raised.value.retry_after_seconds == pytest.approx(3600, abs=60)  # so that nobody tries again


def test_an_hour_that_is_spent_shuts_the_gate_to_a_call_under_way(limits: ProviderLimits, gate: CallGate) -> None:
    limits.set_limits("cboe", per_hour=1)
    with gate():
        pass
    with pytest.raises(RateLimited, match="no room for"), gate():
        pytest.fail("nothing may go out")
    assert gate.shut


def test_a_further_request_that_comes_after_the_breakers_minute_makes_the_call_the_probe(
    limits: ProviderLimits, gate: CallGate
) -> None:
    with gate():
        limits.note_failure("cboe", 20, "network_error: gone")
    limits._database.execute("UPDATE api_rate_limits SET circuit_opened_at = now() - interval '61 s'")
    assert not gate.is_probe
    with gate():
        assert gate.is_probe


def test_further_requests_of_a_probe_pass_while_the_breaker_is_half_open(
    limits: ProviderLimits, slots: CallSlots, stop: threading.Event
) -> None:
    probe = first_token(limits)._replace(offer=Offer("cboe", wait_seconds=0.0, taken=True, is_probe=True))
    limits.note_failure("cboe", 20, "network_error: gone")
    limits._database.execute("UPDATE api_rate_limits SET circuit_state = 'half_open', probe_until = now() + '1 minute'")
    gate = CallGate(limits, probe, slots=slots, stop=stop)
    for _ in range(2):
        with gate():
            assert held(slots)


@pytest.fixture
def stopping(stop: threading.Event) -> Iterator[None]:
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    yield
    timer.join()


@pytest.mark.usefixtures("stopping")
def test_a_stop_ends_the_wait_for_a_slot(gate: CallGate, slots: CallSlots) -> None:
    slots.acquire()
    with pytest.raises(StoppedError), gate():
        pytest.fail("nothing may go out")


@pytest.mark.usefixtures("stopping")
@pytest.mark.timeout(60)  # far less than the wait for the token
def test_a_stop_ends_the_wait_for_a_token(limits: ProviderLimits, slots: CallSlots, stop: threading.Event) -> None:
    far = first_token(limits)._replace(due=time.monotonic() + 1e6)
    with pytest.raises(StoppedError), CallGate(limits, far, slots=slots, stop=stop)():
        pytest.fail("nothing may go out")


def test_a_token_that_is_far_away_is_asked_for_again_before_its_time() -> None:
    assert nap_seconds(Offer("cboe", wait_seconds=600.0, taken=False)) == 5.0
    assert nap_seconds(Offer("cboe", wait_seconds=9.5, taken=False)) == 2.0
    assert nap_seconds(Offer("cboe", wait_seconds=1.0, taken=False)) == 0.2
