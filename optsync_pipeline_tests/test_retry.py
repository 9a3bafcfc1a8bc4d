"""How often a provider is asked again, and how long that takes."""

import threading
import time

import pytest

from optsync_pipeline.fetching.retry import ask_patiently
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

BASE_SECONDS = 0.01


class Vendor:
    """Fails with the given errors in turn, then answers; keeps when it was asked."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.asked_at: list[float] = []

    def __call__(self) -> str:
        self.asked_at.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return "chain"

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked_at, self.asked_at[1:], strict=False)]


def ask(vendor: Vendor, tries: int = 5, stop: threading.Event | None = None, base: float = BASE_SECONDS) -> str:
    return ask_patiently(vendor, tries=tries, stop=stop or threading.Event(), base_wait_seconds=base)


@pytest.mark.parametrize("error", [ApiTimeout, NetworkError, RateLimited, VendorFault])
def test_what_may_heal_is_asked_again_until_it_answers(error: type[FetchError]) -> None:
    vendor = Vendor(error("1"), error("2"), error("3"), error("4"))
    assert ask(vendor) == "chain"
    assert len(vendor.asked_at) == 5


def test_the_last_error_is_raised_after_the_last_try() -> None:
    vendor = Vendor(*[VendorFault(str(number)) for number in range(9)])
    with pytest.raises(VendorFault, match="4"):
        ask(vendor)
    assert len(vendor.asked_at) == 5


@pytest.mark.parametrize("error", [AuthError, InvalidReply, StaleReply, NoOptions, UnknownSymbol])
def test_what_will_not_heal_is_asked_once(error: type[FetchError]) -> None:
    vendor = Vendor(error("no"))
    with pytest.raises(error):
        ask(vendor)
    assert len(vendor.asked_at) == 1


def test_a_bug_is_not_retried() -> None:
    vendor = Vendor(KeyError("bug"))
    with pytest.raises(KeyError):
        ask(vendor)
    assert len(vendor.asked_at) == 1


def test_waits_double_with_jitter() -> None:
    vendor = Vendor(*[ApiTimeout("slow")] * 4)
    ask(vendor, base=0.02)
    for wait, planned in zip(vendor.waits, (0.02, 0.04, 0.08, 0.16), strict=True):
        assert planned <= wait < planned + 0.005 + 0.05


def test_retry_after_is_never_undercut() -> None:
    vendor = Vendor(RateLimited("slow down", retry_after_seconds=0.2))
    ask(vendor)
    assert 0.2 <= vendor.waits[0] < 0.3


def test_retry_after_beyond_five_minutes_ends_it_at_once_and_says_so() -> None:
    vendor = Vendor(RateLimited("asked to wait 301 s", retry_after_seconds=301))
    with pytest.raises(RateLimited, match="longer than the 300 s"):
        ask(vendor)
    assert len(vendor.asked_at) == 1


@pytest.mark.timeout(100)  # far less than the wait that is asked for
def test_stop_ends_a_wait_and_asks_nothing_more() -> None:
    stop = threading.Event()
    vendor = Vendor(RateLimited("slow down", retry_after_seconds=290), NetworkError("never asked"))
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(RateLimited):
        ask(vendor, stop=stop)
    assert len(vendor.asked_at) == 1
