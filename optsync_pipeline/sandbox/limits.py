"""How often each provider may be asked, where that is ordered: rolling windows, as a vendor counts."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optsync_pipeline.sandbox.faults import PROVIDERS, FaultOrderError, ProviderName, told


class LimitOrder(BaseModel):
    """At most so many requests in any second, minute or hour. retry_after: whether a 429 says when to come again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: ProviderName
    per_second: int | None = Field(default=None, ge=1)
    per_minute: int | None = Field(default=None, ge=1)
    per_hour: int | None = Field(default=None, ge=1)
    retry_after: bool = True


@dataclass(slots=True)
class _Window:
    limit: int
    seconds: float
    answered_at: deque[float] = field(default_factory=deque)

    def wait_seconds(self, now: float) -> float:
        """Return how long until a request is taken; 0 where one is now."""
        while self.answered_at and self.answered_at[0] <= now - self.seconds:
            self.answered_at.popleft()
        return 0.0 if len(self.answered_at) < self.limit else self.answered_at[0] + self.seconds - now


class RateLimits:
    """The limits in force. What was refused does not count, so a client that waits as told is answered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._orders: dict[str, LimitOrder] = {}
        self._windows: dict[str, list[_Window]] = {}

    def order(self, wish: dict[str, Any]) -> None:
        """Put a limit in force in place of the provider's earlier one. Raise FaultOrderError naming what is allowed."""
        try:
            order = LimitOrder.model_validate(wish)
        except ValidationError as error:
            raise FaultOrderError(told(error)) from None
        limits = ((order.per_second, 1.0), (order.per_minute, 60.0), (order.per_hour, 3600.0))
        if all(limit is None for limit, _ in limits):
            raise FaultOrderError("give per_second, per_minute or per_hour")
        for provider in PROVIDERS if order.provider == "*" else (order.provider,):
            self._orders[provider] = order.model_copy(update={"provider": provider})
            self._windows[provider] = [_Window(limit, seconds) for limit, seconds in limits if limit is not None]

    def lift(self, provider: str) -> None:
        """Put a provider's limit, or with "*" every one, out of force."""
        for name in list(self._orders) if provider == "*" else [provider]:
            self._orders.pop(name, None)
            self._windows.pop(name, None)

    def refusal(self, provider: str) -> dict[str, str] | None:
        """Return the headers of a 429 where this request is one too many; else count it and return None."""
        windows = self._windows.get(provider)
        if windows is None:
            return None
        now = self._clock()
        wait = max(window.wait_seconds(now) for window in windows)
        if wait <= 0:
            for window in windows:
                window.answered_at.append(now)
            return None
        return {"Retry-After": f"{max(math.ceil(wait), 1)}"} if self._orders[provider].retry_after else {}

    def told(self) -> list[dict[str, Any]]:
        """Return the limits in force."""
        return [order.model_dump(exclude_none=True) for order in self._orders.values()]
