"""How often one provider is asked again for one symbol, and how long to wait between: the only place that retries.

Which errors may heal is said by the error itself (providers/base.py); whom to ask next is router.py's. Waits are
yielded, not slept: whoever drives the generator has other symbols to ask meanwhile.
"""

import random
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

from optsync_pipeline.providers.base import FetchError, RateLimited

T = TypeVar("T")

LONGEST_RETRY_AFTER_SECONDS = 300.0


class Wait(NamedTuple):
    """A wait before the next step. is_stuck: a symbol that was not asked for yet could go on at once.

    expected_seconds: how long it will be until something can be done, where that is known to be more than this wait.
    """

    seconds: float
    is_stuck: bool
    expected_seconds: float = 0.0


Steps = Generator[Wait, None, T]
"""Work that yields where it has to wait, and returns its result."""


def ask_patiently(
    ask: Callable[[], Steps[T]], *, tries: int, base_wait_seconds: float = 2.0, waits_out_limits: bool = True
) -> Steps[T]:
    """Run `ask` until it answers, at most `tries` times; raise its last FetchError.

    Waits base, 2, 4, 8 times base (2, 4, 8, 16 s) plus up to a quarter of base at random, and never less than the
    vendor's Retry-After. A Retry-After above 300 s ends it at once, and so does any 429 where waits_out_limits is
    false, because another provider can be asked meanwhile.
    """
    # Written out: a retrying library keeps its state by thread, and here each try may run in another one.
    for tried in range(1, tries + 1):
        try:
            return (yield from ask())
        except FetchError as error:
            if tried == tries or not _is_worth_another_try(error, waits_out_limits):
                raise _explain_long_wait(error) from None
            backoff_seconds = base_wait_seconds * 2 ** (tried - 1) + random.uniform(0, base_wait_seconds / 4)
            wait_seconds = max(backoff_seconds, error.retry_after_seconds or 0.0)
        yield Wait(wait_seconds, is_stuck=True)
    raise AssertionError("the last try answers or raises")


def _is_worth_another_try(error: FetchError, waits_out_limits: bool) -> bool:
    if not error.retryable or (error.retry_after_seconds or 0.0) > LONGEST_RETRY_AFTER_SECONDS:
        return False
    return waits_out_limits or not isinstance(error, RateLimited)


def _explain_long_wait(error: FetchError) -> FetchError:
    wait = error.retry_after_seconds or 0.0
    if not error.retryable or wait <= LONGEST_RETRY_AFTER_SECONDS:
        return error
    explained = type(error)(
        f"{error}, longer than the {LONGEST_RETRY_AFTER_SECONDS:g} s that a sync waits",
        retry_after_seconds=wait,
        ends_provider=error.ends_provider,
    )
    explained.requests = error.requests
    return explained
