"""How often one provider is asked again for one symbol, and how long to wait between: the only place that retries.

Which errors may heal is said by the error itself (providers/base.py); whom to ask next is router.py's.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from optsync_pipeline.providers.base import FetchError

T = TypeVar("T")

LONGEST_RETRY_AFTER_SECONDS = 300.0


def ask_patiently(ask: Callable[[], T], *, tries: int, stop: threading.Event, base_wait_seconds: float = 2.0) -> T:
    """Call `ask` until it answers, at most `tries` times; raise its last FetchError.

    Waits base, 2, 4, 8 times base (2, 4, 8, 16 s) plus up to a quarter of base at random, and never less than the
    vendor's Retry-After. A Retry-After above 300 s ends it at once. So does `stop`: no wait is sat out and nothing is
    asked once it is set.
    """
    latest: FetchError | None = None

    def ask_unless_stopped() -> T:
        nonlocal latest
        if latest is not None and stop.is_set():
            raise latest
        try:
            return ask()
        except FetchError as error:
            latest = _explain_long_wait(error)
            raise latest from None

    def worth_another_try(error: BaseException) -> bool:
        return (
            isinstance(error, FetchError)
            and error.retryable
            and (error.retry_after_seconds or 0.0) <= LONGEST_RETRY_AFTER_SECONDS
            and not stop.is_set()
        )

    backoff = tenacity.wait_exponential(multiplier=base_wait_seconds) + tenacity.wait_random(0, base_wait_seconds / 4)
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(tries),
        retry=tenacity.retry_if_exception(worth_another_try),
        wait=lambda state: max(backoff(state), _retry_after_seconds(state)),
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )
    return retrying(ask_unless_stopped)


def _retry_after_seconds(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after_seconds or 0.0) if isinstance(error, FetchError) else 0.0


def _explain_long_wait(error: FetchError) -> FetchError:
    wait = error.retry_after_seconds or 0.0
    if not error.retryable or wait <= LONGEST_RETRY_AFTER_SECONDS:
        return error
    explained = type(error)(
        f"{error}, longer than the {LONGEST_RETRY_AFTER_SECONDS:g} s that a sync waits", retry_after_seconds=wait
    )
    explained.requests = error.requests
    return explained
