"""Which provider is down, and how that looks from outside."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from optsync_pipeline.sandbox.faults import PROVIDERS, FaultOrderError, ProviderName, told

Outage = Literal["refuse", "error", "hang"]


class OutageOrder(BaseModel):
    """A provider's outage: its connections are reset, it answers 503, or it never answers. "*": the network is gone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: ProviderName = "*"
    how: Outage = "refuse"


class OutageBook:
    """The outages in force."""

    def __init__(self) -> None:
        self._how: dict[str, Outage] = {}

    def order(self, wish: dict[str, Any]) -> None:
        """Take a provider down. Raise FaultOrderError naming what is allowed."""
        order = _validated(wish)
        for provider in PROVIDERS if order.provider == "*" else (order.provider,):
            self._how[provider] = order.how

    def end(self, wish: dict[str, Any]) -> None:
        """Take a provider up again. Raise FaultOrderError naming what is allowed."""
        order = _validated(wish)
        for provider in PROVIDERS if order.provider == "*" else (order.provider,):
            self._how.pop(provider, None)

    def how(self, provider: str) -> Outage | None:
        """Return how the provider is down, or None."""
        return self._how.get(provider)

    def told(self) -> dict[str, Outage]:
        """Return the outages in force by provider."""
        return dict(self._how)


def _validated(wish: dict[str, Any]) -> OutageOrder:
    try:
        return OutageOrder.model_validate(wish)
    except ValidationError as error:
        raise FaultOrderError(told(error)) from None
