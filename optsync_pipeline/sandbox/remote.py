"""A running sandbox as seen from outside: through HTTP alone, from any process of this machine."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from optsync_pipeline.sandbox.pointing import Address, environment_of

_TIMEOUT_SECONDS = 30.0
# A proxy of the machine is none of loopback's business.
_opener = build_opener(ProxyHandler({}))


class ControlError(Exception):
    """The control API refused. The text is its own."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox, as seen from outside: through HTTP alone."""

    address: Address

    @property
    def url(self) -> str:
        """The root of everything the sandbox serves."""
        return self.address.url

    @property
    def yahoo_url(self) -> str:
        """What OPTSYNC_YAHOO_URL is to be."""
        return self.address.yahoo_url

    @property
    def cboe_url(self) -> str:
        """What OPTSYNC_CBOE_URL is to be."""
        return self.address.cboe_url

    @property
    def robinhood_url(self) -> str:
        """What OPTSYNC_ROBINHOOD_URL is to be."""
        return self.address.robinhood_url

    @property
    def polygon_url(self) -> str:
        """What OPTSYNC_POLYGON_URL is to be."""
        return self.address.polygon_url

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point a sync at this sandbox's Yahoo and Cboe, which need no credentials."""
        return self.environment_of("yahoo", "cboe")

    def environment_of(self, *providers: str) -> dict[str, str]:
        """Return the settings that point a sync at these providers, in this order, without the real vendors' limits."""
        return environment_of(self.address, *providers)

    def control(self, method: str, path: str, wish: dict[str, Any] | None = None) -> Any:
        """Ask the control API, like control("GET", "requests"). Raise ControlError where it refuses."""
        return json.loads(self._ask(method, path, wish))

    def fault(self, kind: str, *, provider: str = "*", symbol: str = "*", **limits: Any) -> None:
        """Order a fault, like fault("flaky", provider="yahoo", symbol="AAPL", times=2)."""
        self.control("POST", "faults", {"provider": provider, "symbol": symbol, "kind": kind, **limits})

    def clear_faults(self) -> None:
        """Put every fault out of force."""
        self.control("DELETE", "faults")

    def limit(
        self,
        provider: str,
        *,
        per_minute: int | None = None,
        per_second: int | None = None,
        per_hour: int | None = None,
        retry_after: bool = True,
    ) -> None:
        """Answer 429 to what is more than so many requests in any such time, with Retry-After or without."""
        limits = {"per_second": per_second, "per_minute": per_minute, "per_hour": per_hour}
        self.control("POST", "limits", {"provider": provider, **limits, "retry_after": retry_after})

    def unlimited(self, provider: str = "*") -> None:
        """Answer any number of requests again."""
        self.control("DELETE", f"limits/{provider}")

    def down(self, provider: str = "*", how: str = "refuse") -> None:
        """Take a provider down: `refuse` resets connections, `error` answers 503, `hang` never answers."""
        self.control("POST", "down", {"provider": provider, "how": how})

    def up(self, provider: str = "*") -> None:
        """Take a provider up again."""
        self.control("POST", "up", {"provider": provider})

    def require_verification(self, kind: str | None) -> None:
        """Let Robinhood verify each device anew, by `device_approval` or `sms`; None: any device may log in."""
        self.control("POST", "robinhood", {"verification": kind})

    def approve_device(self) -> None:
        """Approve, in Robinhood's app, every device that waits for it or will."""
        self.control("POST", "robinhood", {"approve": True})

    def require_mfa(self, required: bool) -> None:
        """Let Robinhood ask for a one-time code, as it does from the start, or not."""
        self.control("POST", "robinhood", {"mfa_required": required})

    def robinhood_account(self) -> dict[str, Any]:
        """Return how Robinhood's account behaves, and its counts of logins, good tokens, devices and open prompts."""
        found: dict[str, Any] = self.control("GET", "robinhood")
        return found

    def requests(self, provider: str) -> dict[str, Any]:
        """Return a provider's counts since the start or the last reset."""
        counts: dict[str, Any] = self.control("GET", "requests")["providers"][provider]
        return counts

    def total_requests(self) -> int:
        """Return how many requests all vendors got since the start or the last reset."""
        total: int = self.control("GET", "requests")["total"]
        return total

    def reset_requests(self) -> None:
        """Start counting anew."""
        self.control("POST", "requests/reset")

    def truth(self, symbol: str) -> dict[str, Any]:
        """Return the quote and the contracts that the sound market has for a symbol."""
        found: dict[str, Any] = self.control("GET", f"truth/{symbol}")
        return found

    def symbols(self) -> list[str]:
        """Return the listed symbols."""
        return [company["symbol"] for company in self.control("GET", "symbols")["symbols"]]

    def symbols_csv(self) -> bytes:
        """Return the file that `optsync stocks import` takes."""
        return self._ask("GET", "symbols.csv", None)

    def _ask(self, method: str, path: str, wish: dict[str, Any] | None) -> bytes:
        body = None if wish is None else json.dumps(wish).encode()
        request = Request(f"{self.url}/control/{path}", body, {"Content-Type": "application/json"}, method=method)
        try:
            with _opener.open(request, timeout=_TIMEOUT_SECONDS) as reply:
                read: bytes = reply.read()
                return read
        except HTTPError as error:
            with error:
                raise ControlError(json.loads(error.read())["error"]) from None
