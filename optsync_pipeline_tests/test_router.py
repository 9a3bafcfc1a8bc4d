"""Whom the router asks in which order, and what it tells of it; both real providers over HTTP."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import ChainReply, ChainRequest, NetworkError, Provider
from optsync_pipeline.providers.cboe import CboeProvider
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline_tests.stand_in import (
    Reply,
    ScriptedMarket,
    cboe_file,
    cboe_row,
    scripted_market,
    yahoo_chain,
    yahoo_row,
)

NOW = datetime(2026, 7, 16, 15, 36, tzinfo=UTC)
AUGUST_14 = date(2026, 8, 14)


def yahoo_reply(quoted_at: datetime = NOW, puts: list[Any] | None = None, calls: list[Any] | None = None) -> Reply:
    return Reply(yahoo_chain("AAPL", [AUGUST_14], AUGUST_14, quoted_at=quoted_at, puts=puts, calls=calls))


CBOE_FILE = Reply(cboe_file("AAPL", [cboe_row("AAPL", AUGUST_14, "put", 95.0)]))
DEAD_PUT = yahoo_row("AAPL", AUGUST_14, "put", 95.0, bid=0, ask=0)
NO_OPTIONS = Reply(yahoo_chain("AAPL", [], None, quoted_at=NOW))


@pytest.fixture
def market() -> Iterator[ScriptedMarket]:
    with scripted_market() as running:
        yield running


@pytest.fixture
def providers(market: ScriptedMarket, tmp_path: Path) -> Iterator[tuple[Provider, ...]]:
    both = (
        YahooProvider(stand_in_url=market.yahoo_url, cache_folder=tmp_path),
        CboeProvider(stand_in_url=market.cboe_url),
    )
    yield both
    for provider in both:
        provider.close()


def fetch(providers: tuple[Provider, ...], stop: threading.Event | None = None, tries: int = 2) -> FetchResult:
    router = Router(
        providers,
        stop=stop or threading.Event(),
        call_slots=threading.Semaphore(4),
        tries=tries,
        base_wait_seconds=0.01,
    )
    return router.fetch(ChainRequest("AAPL", (30,), NOW))


def kinds(result: FetchResult) -> list[tuple[str, str | None]]:
    return [(attempt.provider, attempt.error_type) for attempt in result.attempts]


def test_the_first_provider_that_delivers_is_the_last_asked(
    market: ScriptedMarket, providers: tuple[Provider, ...]
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    result = fetch(providers)
    assert result.reply is not None
    assert result.reply.provider == "yahoo"
    assert kinds(result) == [("yahoo", None)]
    assert (result.error, result.requests, result.retry_count, result.refused) == (None, 3, 0, [])


def test_a_flaky_provider_is_asked_again_before_the_next(
    market: ScriptedMarket, providers: tuple[Provider, ...]
) -> None:
    market.yahoo("AAPL", Reply("", 503), yahoo_reply())
    result = fetch(providers)
    assert kinds(result) == [("yahoo", None)]
    assert (result.requests, result.retry_count) == (4, 1)


def test_the_next_provider_delivers_where_the_first_fails_and_the_attempts_say_why(
    market: ScriptedMarket, providers: tuple[Provider, ...]
) -> None:
    market.yahoo("AAPL", Reply("", 503))
    market.cboe("AAPL", CBOE_FILE)
    result = fetch(providers)
    assert result.reply is not None
    assert result.reply.provider == "cboe"
    assert kinds(result) == [("yahoo", "provider_error"), ("cboe", None)]
    assert "503" in (result.attempts[0].message or "")
    assert [attempt.requests for attempt in result.attempts] == [4, 1]
    assert (result.requests, result.retry_count) == (5, 1)


@pytest.mark.parametrize(
    ("now", "kind"), [(NOW, "invalid_data"), (datetime(2026, 7, 16, 23, tzinfo=UTC), "stale_data")]
)
def test_dead_quotes_fall_back_and_every_contract_is_refused_by_name(
    market: ScriptedMarket, providers: tuple[Provider, ...], now: datetime, kind: str
) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[DEAD_PUT, None], calls=[]))
    market.cboe("AAPL", CBOE_FILE)
    router = Router(providers, stop=threading.Event(), call_slots=threading.Semaphore(1), tries=1)
    result = router.fetch(ChainRequest("AAPL", (30,), now))
    assert kinds(result) == [("yahoo", kind), ("cboe", None)]
    assert result.refused_provider == "yahoo"
    assert {(row.contract_symbol, row.rule) for row in result.refused} == {
        ("AAPL260814P00095000", "zero_quote"),
        ("missing #1", "unreadable_contract_symbol"),
    }


def test_quotes_of_an_earlier_session_are_stale(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    market.yahoo("AAPL", yahoo_reply(quoted_at=datetime(2026, 7, 15, 20, tzinfo=UTC)))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "stale_data"
    assert {row.rule for row in result.refused} == {"stale_quote"}


def test_a_stock_with_adjusted_contracts_alone_has_no_options(
    market: ScriptedMarket, providers: tuple[Provider, ...]
) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[yahoo_row("NGD", AUGUST_14, "put", 5.0)], calls=[]))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "no_options"
    assert result.answers == (("yahoo", "no_options"),)
    assert [row.rule for row in result.refused] == ["adjusted_contract"]


def test_a_chain_of_unreadable_rows_is_no_chain(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[yahoo_row("AAPL", AUGUST_14, "put", 5.0, strike=None)], calls=[]))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "invalid_data"
    assert [row.rule for row in result.refused] == ["missing_strike"]


def test_an_answer_is_checked_with_the_next_provider(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    market.yahoo("AAPL", NO_OPTIONS)
    market.cboe("AAPL", CBOE_FILE)
    result = fetch(providers)
    assert result.reply is not None
    assert result.answers == (("yahoo", "no_options"),)


@pytest.mark.parametrize(
    ("yahoo", "cboe", "kind", "answers"),
    [
        (NO_OPTIONS, Reply("", 404), "no_options", (("yahoo", "no_options"), ("cboe", "delisted"))),
        (Reply("", 404), Reply("", 500), "delisted", (("yahoo", "delisted"),)),
        (Reply("", 500), Reply("", 404), "delisted", (("cboe", "delisted"),)),
        (Reply("", 500), Reply("", 429), "provider_error", ()),
        (yahoo_reply(puts=[DEAD_PUT], calls=[]), Reply("", 404), "invalid_data", (("cboe", "delisted"),)),
    ],
)
def test_where_all_fail_the_error_is_the_one_that_tells_most_and_its_text_has_all(
    market: ScriptedMarket, providers: tuple[Provider, ...], yahoo: Reply, cboe: Reply, kind: str, answers: object
) -> None:
    market.yahoo("AAPL", yahoo)
    market.cboe("AAPL", cboe)
    result = fetch(providers, tries=1)
    assert result.error is not None
    assert result.error.error_type == kind
    assert result.answers == answers
    for attempt in result.attempts:
        assert attempt.message is not None
        assert attempt.message in str(result.error)
    assert result.error.requests == result.requests == len(market.hits)


def test_stop_before_the_first_call_asks_nothing(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    stop = threading.Event()
    stop.set()
    result = fetch(providers, stop)
    assert (result.reply, result.error, result.attempts, result.stopped) == (None, None, (), True)
    assert market.hits == []


@pytest.mark.timeout(100)  # far less than the wait that is asked for
def test_stop_ends_a_wait_and_asks_no_other_provider(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    market.yahoo("AAPL", Reply("", 429, {"Retry-After": "290"}))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    result = fetch(providers, stop)
    assert result.stopped
    assert kinds(result) == [("yahoo", "rate_limited")]


class SlowProvider:
    """Counts how many calls run at once; fails the first try of each thread, so that it waits."""

    name = "slow"
    quote_delay = YahooProvider.quote_delay

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.running = self.most = 0
        self.lock = threading.Lock()

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            time.sleep(0.02)
            return self.provider.fetch_chain(request)
        finally:
            with self.lock:
                self.running -= 1

    def close(self) -> None:
        self.provider.close()


def test_calls_hold_a_slot(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    market.cboe("AAPL", *[Reply("", 503)] * 6, CBOE_FILE)
    slow = SlowProvider(providers[1])
    router = Router((slow,), stop=threading.Event(), call_slots=threading.Semaphore(2), tries=5, base_wait_seconds=0.2)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: router.fetch(ChainRequest("AAPL", (30,), NOW)), range(6)))
    assert all(result.reply for result in results)
    assert slow.most == 2


@pytest.mark.timeout(100)  # far less than the wait that is asked for
def test_a_symbol_that_waits_to_be_asked_again_holds_no_slot(
    market: ScriptedMarket, providers: tuple[Provider, ...]
) -> None:
    market.cboe("MSFT", Reply("", 429, {"Retry-After": "290"}))
    market.cboe("AAPL", CBOE_FILE)
    stop = threading.Event()
    router = Router(providers[1:], stop=stop, call_slots=threading.Semaphore(1))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(router.fetch, ChainRequest("MSFT", (30,), NOW))
        while not market.hits:
            time.sleep(0.01)
        assert router.fetch(ChainRequest("AAPL", (30,), NOW)).reply is not None
        assert not waiting.done()
        stop.set()
        assert waiting.result().stopped


def test_stop_ends_the_wait_for_a_slot(market: ScriptedMarket, providers: tuple[Provider, ...]) -> None:
    stop = threading.Event()
    router = Router(providers, stop=stop, call_slots=threading.Semaphore(0))
    threading.Timer(0.1, stop.set).start()
    result = router.fetch(ChainRequest("AAPL", (30,), NOW))
    assert result.stopped
    assert result.attempts == ()
    assert market.hits == []


def test_stop_between_two_tries_leaves_the_first_ones_error(providers: tuple[Provider, ...]) -> None:
    slots, stop = threading.Semaphore(1), threading.Event()

    class FailsAndLosesItsSlot:
        name = "greedy"
        quote_delay = YahooProvider.quote_delay

        def fetch_chain(self, request: ChainRequest) -> ChainReply:
            threading.Thread(target=slots.acquire, daemon=True).start()
            threading.Timer(0.3, stop.set).start()
            raise NetworkError("gone")

        def close(self) -> None:
            raise AssertionError

    router = Router((FailsAndLosesItsSlot(),), stop=stop, call_slots=slots, base_wait_seconds=0.1)
    result = router.fetch(ChainRequest("AAPL", (30,), NOW))
    assert result.stopped
    assert kinds(result) == [("greedy", "network_error")]


def test_a_bug_of_a_provider_passes_through_and_gives_its_slot_back() -> None:
    class Broken:
        name = "broken"
        quote_delay = YahooProvider.quote_delay

        def fetch_chain(self, request: ChainRequest) -> ChainReply:
            raise KeyError("bug")

        def close(self) -> None:
            raise AssertionError

    slots = threading.Semaphore(1)
    with pytest.raises(KeyError):
        Router((Broken(),), stop=threading.Event(), call_slots=slots).fetch(ChainRequest("AAPL", (30,), NOW))
    assert slots.acquire(blocking=False)
