"""What every provider gives and every reader of one relies on: the question, the reply, the errors.

    FetchError                      error_type       retried  then
    ├── ApiTimeout                  api_timeout      yes      next provider
    ├── NetworkError                network_error    yes      next provider
    ├── RateLimited                 rate_limited     yes      next provider; waits retry_after_seconds where given
    ├── VendorFault                 provider_error   yes      next provider
    ├── AuthError                   auth_error       no       next provider
    ├── NotEntitled                 not_entitled     no       next provider
    ├── CircuitOpen                 circuit_open     no       next provider
    ├── InvalidReply                invalid_data     no       next provider
    ├── StaleReply                  stale_data       no       next provider
    └── Answer                                                an answer, not a fault: to be proven at the chunk's end
        ├── NoOptions               no_options       no       next provider
        └── UnknownSymbol           delisted         no       next provider

How a vendor's words map to these is said in that vendor's file. What is not in the tree is a bug and is not caught.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable


class FetchError(Exception):
    """A provider could not give a symbol's chain. The text is for a person and never holds a secret."""

    error_type: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, ends_provider: bool = False) -> None:
        # It is stored, as text and as JSON: PostgreSQL takes neither NUL nor half a surrogate pair, and the words of a
        # vendor may hold both.
        super().__init__(message.replace("\0", "").encode("utf-8", "replace").decode())
        self.retry_after_seconds = retry_after_seconds
        self.ends_provider = ends_provider
        """Whether the same would be said of every symbol: the provider is left out for the rest of the run."""
        self.requests = 0
        """Wire requests that this call had made when it failed."""


class ApiTimeout(FetchError):
    """The vendor did not answer in time."""

    error_type = "api_timeout"
    retryable = True


class NetworkError(FetchError):
    """No connection, or it broke."""

    error_type = "network_error"
    retryable = True


class RateLimited(FetchError):
    """The vendor refuses because it was asked too often."""

    error_type = "rate_limited"
    retryable = True


class VendorFault(FetchError):
    """The vendor has a fault of its own: a 5xx, or a reply that takes back what it said before."""

    error_type = "provider_error"
    retryable = True


class AuthError(FetchError):
    """The vendor refuses who we are: a crumb, a token, or a block."""

    error_type = "auth_error"


class NotEntitled(FetchError):
    """The account's plan does not include what was asked."""

    error_type = "not_entitled"


class CircuitOpen(FetchError):
    """The provider failed too often in a row and is left alone for a while."""

    error_type = "circuit_open"


class InvalidReply(FetchError):
    """The reply is not what the protocol says: not JSON, cut off, a field missing, every quote zero while trading."""

    error_type = "invalid_data"


class StaleReply(FetchError):
    """The reply is sound but its quotes are not of the latest session."""

    error_type = "stale_data"


class Answer(FetchError):
    """The vendor says that there is nothing to have. Believed once a known symbol answered in the same run."""


class NoOptions(Answer):
    """The stock exists and has no listed options."""

    error_type = "no_options"


class UnknownSymbol(Answer):
    """The vendor does not know the symbol."""

    error_type = "delisted"


class StockQuote(NamedTuple):
    """A stock's quote. Prices in dollars a share, volume in shares, dividend_yield a fraction, quoted_at in UTC."""

    current_price: float
    quoted_at: datetime
    previous_close: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: int | None = None
    market_state: str | None = None
    dividend_yield: float | None = None


class ContractQuote(NamedTuple):
    """A contract as its vendor quoted it: columns of option_chains, in the order of the table.

    Dollars a share; implied_volatility a fraction; greeks the vendor's own. None where the vendor says nothing: a
    missing open interest is not zero. strike_price is None where the vendor gave no number.
    """

    contract_symbol: str
    expiration_date: date
    strike_price: float | None
    option_type: str
    bid: float | None
    ask: float | None
    last_price: float | None
    volume: int | None
    open_interest: int | None
    implied_volatility: float | None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    rho: float | None = None


class RefusedContract(NamedTuple):
    """A contract that did not become sellable: rule is a name of quality.rules."""

    contract_symbol: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class ChainRequest:
    """A question: the chain of `symbol` at the listed expirations nearest to each of `target_dtes`, as of `now` (UTC).

    known_expirations: future expirations that an earlier sync saw listed for the symbol; empty where none did.
    known_provider: who listed them. To another vendor they are a good guess, and no promise.
    """

    symbol: str
    target_dtes: tuple[int, ...]
    now: datetime
    known_expirations: tuple[date, ...] = ()
    known_provider: str | None = None

    def promised_expirations(self, provider: str) -> tuple[date, ...]:
        """Return the known expirations that this provider itself listed: one that it drops is a fault of its own."""
        return self.known_expirations if self.known_provider == provider else ()


@dataclass(frozen=True, slots=True)
class ChainReply:
    """A symbol's quote and the whole chain of the chosen expirations.

    contracts: readable rows, adjusted and unusable quotes included; quality judges them.
    refused: rows that cannot become one (no strike, unreadable contract symbol, adjusted deliverable).
    listed_expirations: all that the vendor lists. requests: wire requests this reply cost.
    """

    symbol: str
    provider: str
    quote: StockQuote
    expirations: tuple[date, ...]
    listed_expirations: tuple[date, ...]
    contracts: list[ContractQuote]
    refused: list[RefusedContract] = field(default_factory=list)
    requests: int = 0


class Provider(Protocol):
    """A vendor of chains. One instance serves many threads."""

    name: str
    quote_delay: timedelta
    """How far the vendor's quotes lie behind the market."""

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        """Ask once, without retries. Raise a FetchError whose `requests` says what the attempt cost."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class QuotesReply:
    """The quotes of many stocks. A symbol that is in neither is one that the vendor did not speak of.

    unknown: symbols that the vendor does not know, or knows without a price, with its words. requests: wire requests.
    """

    provider: str
    quotes: dict[str, StockQuote]
    unknown: dict[str, FetchError] = field(default_factory=dict)
    requests: int = 0


@runtime_checkable
class BulkQuotes(Protocol):
    """A provider that also gives the quotes of many stocks in one request."""

    symbols_per_request: int

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        """Ask once for at most symbols_per_request stocks, without retries. Raise a FetchError as fetch_chain does."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A provider that fetches cheaper when it knows which symbols it will be asked for."""

    def expect(self, symbols: Sequence[str]) -> None:
        """Be told of the symbols of a run, in their order, before the first is asked. More may be told later."""
        ...
