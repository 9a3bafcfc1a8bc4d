"""What goes wrong on purpose: which faults there are, how one is ordered, and whether a request meets one.

What a fault does to figures is in spoiling.py, what it does to the connection or the status in exchange.py.
"""

import random
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROVIDERS = ("yahoo", "cboe", "robinhood", "polygon")
ProviderName = Literal["yahoo", "cboe", "robinhood", "polygon", "*"]
WIRE_FAULTS = {
    "timeout": "holds the reply until the client gives up, at most `seconds`",
    "server_error": "status 503, or `status`, with an HTML page",
    "html": "an HTML page with status 200",
    "cut_json": "JSON that ends in the middle",
    "rate_limited": "status 429 with Retry-After: `retry_after_seconds`",
    "invalid_crumb": "status 401, Invalid Crumb",
    "blocked": "status 403 for whatever is asked, cookie and crumb too",
    "connection_reset": "the connection is reset before any reply",
    "flaky": "status 503 for the first `times` requests of each symbol (2 unless told), then good",
    "not_entitled": "status 403: the plan does not include it (Polygon's list of contracts stays)",
    "expired_token": "status 401 at Robinhood for every token given so far, until a new login; clearing heals none",
    "partial_page": "page 2 and later ones answer with status 503, or `status`",
    "null_results": "JSON whose results are null",
}
MARKET_FAULTS = {
    "delisted": "not known: status 404, or `status` (200 at Yahoo: a quote of years ago without a price)",
    "no_options": "a quote, and no expirations",
    "empty_chain": "expirations, and no contracts in them",
    "short_chain": "the chain is cut off: the contracts of the upper half of the strikes are missing",
    "zero_quotes": "every bid and ask is 0 (each n-th with `every`)",
    "crossed_quotes": "each fifth (`every`) quote has its bid above its ask",
    "null_strike": "each fifth (`every`) strike is null; at Cboe, its contract symbol is cut off",
    "missing_fields": "each fifth (`every`) contract lacks bid and open interest; `fields`: those keys are nowhere",
    "stale_quote": "the stock's quote is from the close of the session before the latest",
}
KINDS = {**WIRE_FAULTS, **MARKET_FAULTS}
# Yahoo's, Cboe's, Robinhood's, Polygon's; "quote" is two vendors'.
DATA_PATHS = (
    *("options", "quote", "chart"),
    "chain",
    *("instruments", "chains", "contracts", "marketdata"),
    *("snapshot", "reference"),
)
PATHS = (*DATA_PATHS, "cookie", "crumb", "consent", "login", "token_check", "verification")
_FLAKY_TIMES = 2
# What a fault is for unless its order says; else, the requests for data. An expired token is met at the order itself.
_USUAL_PATHS: dict[str, Collection[str]] = {
    "blocked": PATHS,
    "not_entitled": tuple(path for path in DATA_PATHS if path != "reference"),
    "expired_token": (),
}


class FaultOrderError(ValueError):
    """A fault or a latency is ordered wrongly. The text names what is allowed."""


class Fault(BaseModel):
    """A fault as ordered. times: per symbol; share: of requests, symbol_share: of symbols, both drawn by seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: ProviderName
    symbol: str = "*"
    kind: Literal[tuple(KINDS)]  # type: ignore[valid-type]
    times: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, ge=0, le=1)
    symbol_share: float = Field(default=1.0, ge=0, le=1)
    paths: tuple[Literal[PATHS], ...] | None = None  # type: ignore[valid-type]
    status: int | None = Field(default=None, ge=200, le=599)
    seconds: float = Field(default=60.0, gt=0)
    retry_after_seconds: float | None = Field(default=30, ge=0)
    every: int | None = Field(default=None, ge=1)
    fields: tuple[str, ...] = ()

    @property
    def asked_paths(self) -> Collection[str]:
        """The kinds of request that meet this fault."""
        return self.paths if self.paths is not None else _USUAL_PATHS.get(self.kind, DATA_PATHS)

    @property
    def hits(self) -> int | None:
        """How often a symbol meets this fault; None: always."""
        return self.times or (_FLAKY_TIMES if self.kind == "flaky" else None)


class Met(NamedTuple):
    """What a request meets: a fault of the wire, for the whole of it, and faults of the market by symbol."""

    wire: Fault | None
    spoils: dict[str, Fault]

    @property
    def kind(self) -> str | None:
        """The kind of what is met, the wire's first."""
        return next((fault.kind for fault in (self.wire, *self.spoils.values()) if fault), None)


class FaultBook:
    """The faults of a running sandbox, the latest order first."""

    def __init__(self, symbols: Collection[str], seed: int) -> None:
        self._symbols = symbols
        self._seed = seed
        self._orders: list[tuple[int, Fault]] = []
        self._seen: Counter[tuple[int, str]] = Counter()
        self._hits: Counter[tuple[int, str]] = Counter()
        self._ordered = 0

    @property
    def faults(self) -> list[Fault]:
        """The faults in force, the latest first."""
        return [fault for _, fault in self._orders]

    def order(self, wish: dict[str, Any]) -> Fault:
        """Put a fault in force. Raise FaultOrderError naming what is allowed."""
        try:
            fault = Fault.model_validate(wish)
        except ValidationError as error:
            raise FaultOrderError(told(error)) from None
        fault = fault.model_copy(update={"symbol": known_symbol(fault.symbol, self._symbols)})
        self._ordered += 1
        self._orders.insert(0, (self._ordered, fault))
        return fault

    def clear(self) -> None:
        """Put every fault out of force."""
        self._orders.clear()

    def meets(self, provider: str, symbols: Sequence[str], path: str, page: int = 1) -> Met:
        """Return what this request meets, counting it; there are no symbols where a request names none."""
        left, spoils = list(symbols or ("",)), dict[str, Fault]()
        for number, fault in self._orders:
            meant = left if fault.symbol == "*" else [symbol for symbol in left if symbol == fault.symbol]
            if not meant or not _is_for(fault, provider, path, page):
                continue
            if fault.kind in WIRE_FAULTS:
                # A request of many symbols has one wire: it is drawn once, not once for each of them.
                if self._strikes(number, fault, meant[0]):
                    return Met(fault, spoils)
                continue
            spoils.update({symbol: fault for symbol in meant if self._strikes(number, fault, symbol)})
            left = [symbol for symbol in left if symbol not in spoils]
        return Met(None, spoils)

    def _strikes(self, number: int, fault: Fault, symbol: str) -> bool:
        key = (number, symbol)
        self._seen[key] += 1
        if fault.hits is not None and self._hits[key] >= fault.hits:
            return False
        if self._chance(number, symbol, "symbol") >= fault.symbol_share:
            return False
        if self._chance(number, symbol, self._seen[key]) >= fault.share:
            return False
        self._hits[key] += 1
        return True

    def _chance(self, *what: object) -> float:
        return random.Random(f"{self._seed}/{what}").random()


def _is_for(fault: Fault, provider: str, path: str, page: int) -> bool:
    is_meant = fault.provider in ("*", provider) and path in fault.asked_paths
    return is_meant and (fault.kind != "partial_page" or page > 1)


class LatencyOrder(BaseModel):
    """How long a provider takes before it answers, for one symbol or all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: ProviderName
    symbol: str = "*"
    seconds: float = Field(ge=0, le=600)


class LatencyBook:
    """How long each provider takes; what is said of a symbol goes before what is said of all."""

    def __init__(self, symbols: Collection[str], seconds: float) -> None:
        self._symbols = symbols
        self._seconds = {(provider, "*"): seconds for provider in PROVIDERS}

    def order(self, wish: dict[str, Any]) -> None:
        """Set a latency. Raise FaultOrderError naming what is allowed."""
        try:
            order = LatencyOrder.model_validate(wish)
        except ValidationError as error:
            raise FaultOrderError(told(error)) from None
        symbol = known_symbol(order.symbol, self._symbols)
        for provider in PROVIDERS if order.provider == "*" else (order.provider,):
            self._seconds[provider, symbol] = order.seconds

    def seconds(self, provider: str, symbol: str) -> float:
        """Return how long this request is to take."""
        of_all = self._seconds[provider, "*"]
        return self._seconds.get((provider, symbol), of_all)

    def told(self) -> list[dict[str, Any]]:
        """Return the latencies in force."""
        return [{"provider": key[0], "symbol": key[1], "seconds": value} for key, value in self._seconds.items()]


def parse_fault(text: str) -> dict[str, Any]:
    """Read `PROVIDER:SYMBOL:KIND[:name=value,...]`, as on a command line. Raise FaultOrderError."""
    parts = text.split(":", 3)
    if len(parts) < 3:
        raise FaultOrderError(
            f"{text!r} is no fault: write PROVIDER:SYMBOL:KIND, like yahoo:AAPL:timeout or cboe:*:blocked"
        )
    wish: dict[str, Any] = {"provider": parts[0], "symbol": parts[1], "kind": parts[2]}
    for pair in parts[3].split(",") if len(parts) == 4 else ():
        name, _, value = pair.partition("=")
        wish[name.strip()] = tuple(value.split("+")) if name.strip() in ("paths", "fields") else value.strip()
    return wish


def known_symbol(text: str, symbols: Collection[str]) -> str:
    """Return our spelling of a listed symbol, or "*". Raise FaultOrderError where it is not listed."""
    symbol = text.strip().upper().replace("-", ".").replace("/", ".")
    if symbol != "*" and symbol not in symbols:
        raise FaultOrderError(f"symbol {text!r} is not listed in this sandbox; name a listed one or *")
    return symbol


def told(error: ValidationError) -> str:
    """Say in one line what is wrong with an order, and what is allowed."""
    lines = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, line['loc'])) or 'body'}: {line['msg']}" for line in lines)
