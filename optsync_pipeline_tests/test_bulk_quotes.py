"""Quotes of many stocks, as many a request as the vendor takes."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from optsync_pipeline.fetching.bulk_quotes import quote_steps
from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    FetchError,
    QuotesReply,
    RateLimited,
    StockQuote,
)
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline_tests.limits import limits

__all__ = ["limits"]

NOW = datetime(2026, 7, 16, 15, 0, tzinfo=UTC)
SYMBOLS = [f"S{number}" for number in range(7)]


class QuoteGiver:
    """Gives the quotes of all but some symbols; fails with the given errors first."""

    quote_delay = timedelta(0)

    def __init__(self, name: str, *errors: FetchError, per_request: int = 3, unknown: Sequence[str] = ()) -> None:
        self.name = name
        self.symbols_per_request = per_request
        self.errors = list(errors)
        self.unknown = set(unknown)
        self.batches: list[list[str]] = []

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        self.batches.append(list(symbols))
        if self.errors:
            raise self.errors.pop(0)
        quotes = {symbol: StockQuote(100.0, now) for symbol in symbols if symbol not in self.unknown}
        return QuotesReply(self.name, quotes, requests=1)

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


def ask(limits: ProviderLimits, *givers: QuoteGiver) -> tuple[dict[str, FetchResult], float]:
    """Return what came of each symbol, and the seconds that were to be waited."""
    router = Router(givers, limits, stop=threading.Event(), call_slots=CallSlots(4))
    results: list[FetchResult] = []
    by_name = {giver.name: giver for giver in givers}
    steps = quote_steps(router, by_name, SYMBOLS, clock=lambda: NOW, deliver=results.append)
    waited = sum(wait.seconds for wait in steps)
    assert sorted(result.symbol for result in results) == SYMBOLS
    return {result.symbol: result for result in results}, waited


def provider_of(result: FetchResult) -> str | None:
    return result.reply.provider if result.reply else None


def test_as_many_symbols_as_the_vendor_takes_go_into_a_request(limits: ProviderLimits) -> None:
    giver = QuoteGiver("yahoo")
    results, _ = ask(limits, giver)
    assert [len(batch) for batch in giver.batches] == [3, 3, 1]
    assert sum(result.requests for result in results.values()) == 3


def test_a_symbol_that_a_vendor_does_not_speak_of_is_asked_of_the_next(limits: ProviderLimits) -> None:
    results, _ = ask(limits, QuoteGiver("yahoo", unknown=["S1", "S5"]), QuoteGiver("cboe"))
    assert {symbol for symbol in SYMBOLS if provider_of(results[symbol]) == "cboe"} == {"S1", "S5"}


def test_a_429_is_not_waited_out_where_another_vendor_can_be_asked_meanwhile(limits: ProviderLimits) -> None:
    paused = QuoteGiver("yahoo", RateLimited("yahoo answered with status 429", retry_after_seconds=200))
    results, waited = ask(limits, paused, QuoteGiver("cboe"))
    assert {provider_of(result) for result in results.values()} == {"cboe"}
    assert waited < 1


def test_what_no_vendor_knows_has_what_each_said(limits: ProviderLimits) -> None:
    results, _ = ask(limits, QuoteGiver("yahoo", unknown=["S2"]), QuoteGiver("cboe", unknown=["S2"]))
    error = results["S2"].error
    assert error is not None
    assert error.error_type == "delisted"
    assert "yahoo" in str(error)
    assert "cboe" in str(error)
