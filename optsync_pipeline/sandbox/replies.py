"""What a vendor's face hands to the server, and the cache of the parts that stay the same for a whole session."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime

from optsync_pipeline.sandbox.sessions import new_york_date, session_book

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply, whole."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


class ByteCache:
    """Serialised parts of replies, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._parts: OrderedDict[Hashable, tuple[bytes, ...]] = OrderedDict()

    def get_or_make(self, key: Hashable, make: Callable[[], tuple[bytes, ...]]) -> tuple[bytes, ...]:
        """Return the parts under `key`, made first where they are not there."""
        if key in self._parts:
            self._parts.move_to_end(key)
            return self._parts[key]
        parts = self._parts[key] = make()
        self._size_bytes += sum(map(len, parts))
        while self._size_bytes > self._limit_bytes:
            _, dropped = self._parts.popitem(last=False)
            self._size_bytes -= sum(map(len, dropped))
        return parts


def edition(now: datetime) -> tuple[Hashable, ...]:
    """Return what a market's chains and lists of expirations depend on besides the symbol."""
    return session_book(now).latest(now).date, new_york_date(now)
