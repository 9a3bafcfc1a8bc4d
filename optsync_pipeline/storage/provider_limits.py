"""Each vendor's rate limit and circuit breaker, shared by all processes and machines: one row of api_rate_limits each.

A token is reserved, not polled for: one statement takes it and tells how long to wait for its time. In no 60 seconds do
more go out than the limit; a burst must be earned by being idle before and is paid for afterwards. The statements are
sql/queries/take_token.sql and its neighbours. Whom to ask, and the waiting itself, are fetching's.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault, StorageError
from optsync_pipeline.storage.prepared_session import PreparedSession

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 86_400.0
SHORTEST_PAUSE_SECONDS = 1.0  # a Retry-After of 0 would let each of the requests under way halve the rate again
GATHERED_REPLIES = 20
GATHERED_SECONDS = 1.0

_PREPARED = {
    "take_token": ("providers", "spillover", "max_wait_seconds", "probe", "now"),
    "is_token_good": ("provider", "probe", "now"),
    "note_good_replies": ("provider", "replies", "probe", "now"),
    "note_failed_requests": ("provider", "requests", "reason", "probe", "now"),
    "note_rate_limited": ("provider", "retry_after_seconds", "now"),
    "mend_clock": ("now",),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """The soonest token among the providers asked for.

    provider: whose; None where none may be asked (every breaker is open, or a probe of somebody else is under way).
    wait_seconds: until its request may go out; with provider None: until a probe may be tried.
    taken: the token is the caller's; False where it is further away than max_wait_seconds, or there is none: ask later.
    is_probe: this request decides whether an open breaker closes.
    paused_seconds: how much of the wait is a pause that the vendor asked for (429).
    """

    provider: str | None
    wait_seconds: float
    taken: bool
    is_probe: bool = False
    paused_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ProviderState:
    """How a provider stands now.

    circuit_state: closed, open or half_open; probe_in_seconds: until a (next) probe may be tried, 0 where it is due,
    None where closed. next_token_seconds: what a new request would wait. left_this_minute: how many requests could go
    out in the next 60 s; left_this_hour: what the last 60 minutes (up to the last token reserved) leave of the limit.
    consecutive_failures: requests. last_error: "error_type: reason".
    """

    provider: str
    max_requests_per_minute: int
    max_requests_per_hour: int
    current_requests_per_minute: float
    circuit_state: str
    consecutive_failures: int
    circuit_opened_at: datetime | None
    probe_in_seconds: float | None
    paused_seconds: float
    next_token_seconds: float
    left_this_minute: int
    left_this_hour: int
    total_requests: int
    rate_limited_count: int
    last_error: str | None
    last_error_at: datetime | None
    updated_at: datetime


@dataclass(slots=True)
class _GoodReplies:
    """What of a provider's good replies is not told yet, since when, and whether its row has failures to clear."""

    untold: int = 0
    since: float = -math.inf
    failing: bool = True


class _OfThisProcess:
    """What a forked child must not use of its parent's: the connection, the locks, the replies not told yet."""

    def __init__(self, database: Database) -> None:
        self.process_id = os.getpid()
        self.session = PreparedSession(database, _PREPARED)
        self.lock = threading.Lock()
        self.good_replies: dict[str, _GoodReplies] = {}


class ProviderLimits:
    """The limits and breakers of all providers; safe for threads. Every method may raise StorageError.

    clock: for tests; else time is the server's clock alone, so that machines need not agree about theirs.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._of_process = _OfThisProcess(database)

    def declare(self, provider: str, per_minute: int, per_hour: int) -> None:
        """Write a provider's limits: once by each process that starts."""
        limits = {"provider": provider, "per_minute": per_minute, "per_hour": per_hour, "now": self._now()}
        self._database.execute("declare_provider_limits", limits)

    def take(
        self,
        providers: Sequence[str],
        *,
        spillover: bool = True,
        max_wait_seconds: float = math.inf,
        probe: bool = False,
    ) -> Offer:
        """Take the soonest token among the providers; of equally near ones the first provider's.

        spillover: False takes the first provider that may be asked at all. probe: for a further request of the call
        that probes. The caller waits for wait_seconds, and asks still_good() when that was long.
        """
        asked = {
            "providers": list(providers),
            "spillover": spillover,
            "max_wait_seconds": max_wait_seconds,
            "probe": probe,
        }
        row = self._run("take_token", asked)
        if row["clock_went_back"]:
            self._run("mend_clock")
            row = self._run("take_token", asked)
        if row["known_providers"] < len(set(providers)):
            names = ", ".join(providers)
            raise DatabaseFault(f"a limit of {names} is not in the database: start this process again", retryable=False)
        provider = row["provider"]
        if provider is not None:
            self._good_replies(provider).failing |= row["consecutive_failures"] > 0
        return Offer(provider, row["wait_seconds"], row["taken"], row["is_probe"], row["paused_seconds"])

    def still_good(self, offer: Offer) -> bool:
        """Whether a taken token may be used, now that its time has come.

        Not where a 429 or an opened breaker came in between: then another is to be taken. Costs a read.
        """
        row = self._run("is_token_good", {"provider": offer.provider, "probe": offer.is_probe})
        return bool(row.get("is_good"))

    def note_success(self, provider: str, *, probe: bool = False) -> None:
        """Note a good reply; an answer such as 404 is one too.

        Told to the others with every 20th or after a second, at once where failures are to be cleared or a probe ends.
        """
        with self._mine.lock:
            replies = self._good_replies(provider)
            replies.untold += 1
            due = replies.untold >= GATHERED_REPLIES or self._seconds() - replies.since >= GATHERED_SECONDS
            due = due or replies.failing or probe
        if due:
            self._tell_good_replies(provider, probe=probe)
        if probe:
            log.warning("%s answers again: its breaker is closed", provider, extra={"provider": provider})

    def note_failure(self, provider: str, failed_requests: int, reason: str, *, probe: bool = False) -> None:
        """Note a call's failed requests, at least one; 20 in a row open the breaker. reason: "error_type: text"."""
        self._tell_good_replies(provider)  # they came before
        self._good_replies(provider).failing = True
        told = {"provider": provider, "requests": max(1, failed_requests), "probe": probe}
        # PostgreSQL's text has no NUL, and a vendor's words may.
        noted = self._run("note_failed_requests", told | {"reason": reason.replace("\0", "")})
        if noted.get("opened"):
            log.warning("%s is left alone: its breaker is open: %s", provider, reason, extra={"provider": provider})

    def note_rate_limited(self, provider: str, retry_after_seconds: float | None) -> None:
        """Note a 429, beside note_failure: the provider pauses for everybody, and its rate is halved."""
        if retry_after_seconds is not None:
            retry_after_seconds = min(max(retry_after_seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        noted = self._run("note_rate_limited", {"provider": provider, "retry_after_seconds": retry_after_seconds})
        if noted.get("is_new"):
            paused = {"provider": provider, "seconds": noted["paused_seconds"]}
            log.info("%s answered 429: nobody asks it for %.0f s", provider, noted["paused_seconds"], extra=paused)

    def set_limits(self, provider: str, *, per_minute: int | None = None, per_hour: int | None = None) -> bool:
        """Change limits for all processes at once, until the next one starts; False where the provider has no row."""
        limits = {"provider": provider, "per_minute": per_minute, "per_hour": per_hour}
        return self._database.execute("set_provider_limits", limits) > 0

    def reset(self, provider: str) -> bool:
        """Close the breaker, end the pause, restore the rate; False where the provider has no row."""
        return self._database.execute("reset_provider_limits", {"provider": provider, "now": self._now()}) > 0

    def read(self) -> list[ProviderState]:
        """Return every provider's state, by name."""
        rows = self._database.fetch_all("list_provider_limits", {"now": self._now()})
        return [ProviderState(**row) for row in rows]

    def close(self) -> None:
        """Tell what is not told yet and close the connection."""
        mine = self._mine
        # At most 19 good replies: not worth an error, nor a wait, at the end of a run.
        with contextlib.suppress(StorageError):
            for provider, replies in list(mine.good_replies.items()):
                if replies.untold:
                    mine.session.run_once("note_good_replies", self._untold(provider) | {"now": self._now()})
        mine.session.close()

    @property
    def _mine(self) -> _OfThisProcess:
        # Two threads of a new child may each make one: the first is dropped with nothing in it.
        if self._of_process.process_id != os.getpid():
            self._of_process = _OfThisProcess(self._database)
        return self._of_process

    def _good_replies(self, provider: str) -> _GoodReplies:
        return self._mine.good_replies.setdefault(provider, _GoodReplies())

    def _tell_good_replies(self, provider: str, *, probe: bool = False) -> None:
        told = self._untold(provider)
        if told["replies"] or probe:
            self._run("note_good_replies", told | {"probe": probe})

    def _untold(self, provider: str) -> dict[str, Any]:
        """Return what is to be told of a provider, and count it as told."""
        with self._mine.lock:
            replies = self._good_replies(provider)
            told, replies.untold = replies.untold, 0
            replies.since, replies.failing = self._seconds(), False
        return {"provider": provider, "replies": told, "probe": False}

    def _run(self, name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._mine.session.run(name, {**(parameters or {}), "now": self._now()}) or {}

    def _now(self) -> datetime | None:
        return self._clock() if self._clock is not None else None

    def _seconds(self) -> float:
        return self._clock().timestamp() if self._clock is not None else time.monotonic()
