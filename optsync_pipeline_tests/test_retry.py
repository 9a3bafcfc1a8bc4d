"""How often a provider is asked again, and how long is waited between."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from optsync_pipeline.fetching.retry import Steps, ask_patiently
from optsync_pipeline.providers.base import (
    ApiTimeout,
    AuthError,
    FetchError,
    InvalidReply,
    NetworkError,
    NoOptions,
    RateLimited,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)


class Vendor:
    """Fails with the given errors in turn, then answers; counts how often it was asked and keeps the waits."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.asked = 0
        self.waits: list[float] = []

    def __call__(self) -> Steps[str]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "chain"
        yield


def ask(vendor: Vendor, tries: int = 5, base: float = 2.0, waits_out_limits: bool = True) -> str:
    steps = ask_patiently(vendor, tries=tries, base_wait_seconds=base, waits_out_limits=waits_out_limits)
    while True:
        try:
            vendor.waits.append(next(steps).seconds)
        except StopIteration as end:
            answer: str = end.value
            return answer


@pytest.mark.parametrize("error", [ApiTimeout, NetworkError, RateLimited, VendorFault])
def test_what_may_heal_is_asked_again_until_it_answers(error: type[FetchError]) -> None:
    vendor = Vendor(error("1"), error("2"), error("3"), error("4"))
    assert ask(vendor) == "chain"
    assert vendor.asked == 5


def test_the_last_error_is_raised_after_the_last_try() -> None:
    vendor = Vendor(*[VendorFault(str(number)) for number in range(9)])
    with pytest.raises(VendorFault, match="4"):
        ask(vendor)
    assert vendor.asked == 5


@pytest.mark.parametrize("error", [AuthError, InvalidReply, StaleReply, NoOptions, UnknownSymbol])
def test_what_will_not_heal_is_asked_once(error: type[FetchError]) -> None:
    vendor = Vendor(error("no"))
    with pytest.raises(error):
        ask(vendor)
    assert vendor.asked == 1


def test_a_bug_is_not_retried() -> None:
    vendor = Vendor(KeyError("bug"))
    with pytest.raises(KeyError):
        ask(vendor)
    assert vendor.asked == 1


def test_waits_double_with_jitter() -> None:
    vendor = Vendor(*[ApiTimeout("slow")] * 4)
    ask(vendor)
    for wait, planned in zip(vendor.waits, (2, 4, 8, 16), strict=True):
        assert planned <= wait <= planned + 0.5


def test_retry_after_is_never_undercut() -> None:
    vendor = Vendor(RateLimited("slow down", retry_after_seconds=30))
    ask(vendor)
    assert vendor.waits == [30]


def test_retry_after_beyond_five_minutes_ends_it_at_once_and_says_so() -> None:
    vendor = Vendor(RateLimited("asked to wait 301 s", retry_after_seconds=301))
    with pytest.raises(RateLimited, match="longer than the 300 s"):
        ask(vendor)
    assert vendor.asked == 1


def test_a_limit_is_not_waited_out_where_somebody_else_can_be_asked_meanwhile() -> None:
    vendor = Vendor(VendorFault("5xx"), RateLimited("slow down"))
    with pytest.raises(RateLimited):
        ask(vendor, waits_out_limits=False)
    assert vendor.asked == 2


def test_each_try_may_run_in_another_thread() -> None:
    vendor = Vendor(NetworkError("1"), NetworkError("2"), NetworkError("3"))
    steps = ask_patiently(vendor, tries=5)

    def step() -> float | None:
        wait = next(steps, None)
        return wait and wait.seconds

    waits = []
    for _ in range(4):
        with ThreadPoolExecutor(max_workers=1) as thread:
            waits.append(thread.submit(step).result())
    assert vendor.asked == 4
    assert waits[-1] is None


def test_an_abandoned_wait_ends_quietly() -> None:
    vendor = Vendor(NetworkError("gone"), NetworkError("never asked"))
    steps = ask_patiently(vendor, tries=5)
    next(steps)
    steps.close()
    assert vendor.asked == 1
