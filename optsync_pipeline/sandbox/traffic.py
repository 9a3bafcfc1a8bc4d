"""What was asked of a sandbox since its start or the last reset: counts by provider, path, status and symbol."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Asked:
    """One request while it is under way. status stays `gave_up` unless an answer was made."""

    status: str = "gave_up"
    fault: str | None = None
    sent_bytes: int = 0


class Rolling:
    """The most requests that came within any stretch of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._came_at: deque[float] = deque()
        self.most = 0

    def note(self, now: float) -> None:
        """Count a request."""
        while self._came_at and self._came_at[0] <= now - self._seconds:
            self._came_at.popleft()
        self._came_at.append(now)
        self.most = max(self.most, len(self._came_at))


@dataclass(slots=True)
class ProviderTraffic:
    """The counts of one provider.

    at_once: requests under way; most_at_once: their greatest number. most_in_second and most_in_minute: of any second
    and any minute, refused requests too. first_at and last_at: seconds of the machine's monotonic clock.
    """

    total: int = 0
    sent_bytes: int = 0
    at_once: int = 0
    most_at_once: int = 0
    first_at: float | None = None
    last_at: float | None = None
    by_path: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    by_symbol: Counter[str] = field(default_factory=Counter)
    second: Rolling = field(default_factory=lambda: Rolling(1.0))
    minute: Rolling = field(default_factory=lambda: Rolling(60.0))

    def note(self, path: str, symbols: tuple[str, ...], now: float) -> None:
        """Count a request that came in."""
        self.total += 1
        self.by_path[path] += 1
        self.by_symbol.update(symbols)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.first_at = now if self.first_at is None else self.first_at
        self.last_at = now
        self.second.note(now)
        self.minute.note(now)

    def note_end(self, asked: Asked) -> None:
        """Count how a request ended."""
        self.at_once -= 1
        self.by_status[asked.status] += 1
        self.sent_bytes += asked.sent_bytes
        if asked.fault:
            self.by_fault[asked.fault] += 1

    def told(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        rolling = {"most_in_second": self.second.most, "most_in_minute": self.minute.most}
        counts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("second", "minute")}
        return {**counts, **rolling, "limited": self.by_fault["limit"]}


class Traffic:
    """Counts requests. A request counts when it comes in; its status once it is answered or given up."""

    def __init__(self, providers: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_provider = {provider: ProviderTraffic() for provider in providers}

    @contextmanager
    def asked(self, provider: str, path: str, symbols: tuple[str, ...]) -> Iterator[Asked]:
        """Count a request for the length of the block, which fills in how it ended."""
        self._by_provider[provider].note(path, symbols, self._clock())
        asked = Asked()
        try:
            yield asked
        finally:
            # Looked up anew: a reset in between has begun other counts.
            self._by_provider[provider].note_end(asked)

    def reset(self) -> None:
        """Start counting anew; requests under way stay under way."""
        self._by_provider = {
            provider: ProviderTraffic(at_once=counts.at_once, most_at_once=counts.at_once)
            for provider, counts in self._by_provider.items()
        }

    def told(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "total": sum(counts.total for counts in self._by_provider.values()),
            "providers": {provider: counts.told() for provider, counts in self._by_provider.items()},
        }
