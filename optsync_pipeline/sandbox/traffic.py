"""What was asked of a sandbox since its start or the last reset: counts by provider, path, status and symbol."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Asked:
    """One request while it is under way. status stays `gave_up` unless an answer was made."""

    status: str = "gave_up"
    fault: str | None = None
    sent_bytes: int = 0


@dataclass(slots=True)
class ProviderTraffic:
    """The counts of one provider. at_once: requests under way; most_at_once: their greatest number."""

    total: int = 0
    sent_bytes: int = 0
    at_once: int = 0
    most_at_once: int = 0
    by_path: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    by_symbol: Counter[str] = field(default_factory=Counter)


class Traffic:
    """Counts requests. A request counts when it comes in; its status once it is answered or given up."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self._by_provider = {provider: ProviderTraffic() for provider in providers}

    @contextmanager
    def asked(self, provider: str, path: str, symbols: tuple[str, ...]) -> Iterator[Asked]:
        """Count a request for the length of the block, which fills in how it ended."""
        counts = self._by_provider[provider]
        counts.total += 1
        counts.by_path[path] += 1
        counts.by_symbol.update(symbols)
        counts.at_once += 1
        counts.most_at_once = max(counts.most_at_once, counts.at_once)
        asked = Asked()
        try:
            yield asked
        finally:
            counts.at_once -= 1
            counts.by_status[asked.status] += 1
            counts.sent_bytes += asked.sent_bytes
            if asked.fault:
                counts.by_fault[asked.fault] += 1

    def reset(self) -> None:
        """Start counting anew; requests under way stay under way."""
        # In place: requests under way hold on to their provider's counts.
        for counts in self._by_provider.values():
            counts.total = counts.sent_bytes = 0
            counts.most_at_once = counts.at_once
            for counter in (counts.by_path, counts.by_status, counts.by_fault, counts.by_symbol):
                counter.clear()

    def told(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return {
            "total": sum(counts.total for counts in self._by_provider.values()),
            "providers": {
                provider: {name: getattr(counts, name) for name in ProviderTraffic.__dataclass_fields__}
                for provider, counts in self._by_provider.items()
            },
        }
