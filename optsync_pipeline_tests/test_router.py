"""Whom the router asks in which order, and what it tells of it; both real providers over HTTP."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import ChainReply, ChainRequest, NotEntitled, Provider
from optsync_pipeline.providers.cboe import CboeProvider
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline_tests.limits import limits
from optsync_pipeline_tests.stand_in import (
    Reply,
    ScriptedMarket,
    cboe_file,
    cboe_row,
    scripted_market,
    yahoo_chain,
    yahoo_row,
)

__all__ = ["limits"]

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


Fetch = Callable[..., FetchResult]


@pytest.fixture
def fetch(limits: ProviderLimits) -> Fetch:
    """Ask the given providers for AAPL: fetch(providers, stop=..., tries=...)."""

    def fetch_aapl(
        providers: Sequence[Provider], stop: threading.Event | None = None, tries: int = 2, **options: Any
    ) -> FetchResult:
        router = make_router(providers, limits, stop=stop, tries=tries, **options)
        return router.fetch(ChainRequest("AAPL", (30,), NOW))

    return fetch_aapl


def make_router(providers: Sequence[Provider], limits: ProviderLimits, **options: Any) -> Router:
    given = {name: value for name, value in options.items() if value is not None}
    defaults: dict[str, Any] = {
        "stop": threading.Event(),
        "call_slots": CallSlots(4),
        "base_wait_seconds": 0.01,
        "standing": Standing(patience_seconds=0.0),
    }
    return Router(providers, limits, **{**defaults, **given})


def kinds(result: FetchResult) -> list[tuple[str, str | None]]:
    return [(attempt.provider, attempt.error_type) for attempt in result.attempts]


def test_the_first_provider_that_delivers_is_the_last_asked(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    result = fetch(providers)
    assert result.reply is not None
    assert result.reply.provider == "yahoo"
    assert kinds(result) == [("yahoo", None)]
    assert (result.error, result.requests, result.retry_count, result.refused) == (None, 3, 0, [])


def test_a_flaky_provider_is_asked_again_before_the_next(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", Reply("", 503), yahoo_reply())
    result = fetch(providers)
    assert kinds(result) == [("yahoo", None)]
    assert (result.requests, result.retry_count) == (4, 1)


def test_the_next_provider_delivers_where_the_first_fails_and_the_attempts_say_why(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
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
    market: ScriptedMarket,
    providers: tuple[Provider, ...],
    now: datetime,
    kind: str,
    fetch: Fetch,
    limits: ProviderLimits,
) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[DEAD_PUT, None], calls=[]))
    market.cboe("AAPL", CBOE_FILE)
    result = make_router(providers, limits, tries=1).fetch(ChainRequest("AAPL", (30,), now))
    assert kinds(result) == [("yahoo", kind), ("cboe", None)]
    assert result.refused_provider == "yahoo"
    assert {(row.contract_symbol, row.rule) for row in result.refused} == {
        ("AAPL260814P00095000", "zero_quote"),
        ("missing #1", "unreadable_contract_symbol"),
    }


def test_quotes_of_an_earlier_session_are_stale(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", yahoo_reply(quoted_at=datetime(2026, 7, 15, 20, tzinfo=UTC)))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "stale_data"
    assert {row.rule for row in result.refused} == {"stale_quote"}


def test_a_stock_with_adjusted_contracts_alone_has_no_options(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[yahoo_row("NGD", AUGUST_14, "put", 5.0)], calls=[]))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "no_options"
    assert result.answers == (("yahoo", "no_options"),)
    assert [row.rule for row in result.refused] == ["adjusted_contract"]


def test_a_chain_of_unreadable_rows_is_no_chain(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", yahoo_reply(puts=[yahoo_row("AAPL", AUGUST_14, "put", 5.0, strike=None)], calls=[]))
    result = fetch(providers[:1])
    assert result.error is not None
    assert result.error.error_type == "invalid_data"
    assert [row.rule for row in result.refused] == ["missing_strike"]


def test_an_answer_is_checked_with_the_next_provider(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
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
    market: ScriptedMarket,
    providers: tuple[Provider, ...],
    yahoo: Reply,
    cboe: Reply,
    kind: str,
    answers: object,
    fetch: Fetch,
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


def test_stop_before_the_first_call_asks_nothing(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    stop = threading.Event()
    stop.set()
    result = fetch(providers, stop)
    assert (result.reply, result.error, result.attempts, result.stopped) == (None, None, (), True)
    assert market.hits == []


@pytest.mark.timeout(100)  # far less than the wait that is asked for
def test_stop_ends_a_wait_and_asks_no_other_provider(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", Reply("", 503))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    result = fetch(providers, stop, base_wait_seconds=290)
    assert result.stopped
    assert "/api/global" not in "".join(market.paths)


def test_a_provider_that_answers_429_is_asked_again_once_the_others_were(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", Reply("", 429, {"Retry-After": "0"}), yahoo_reply())
    market.cboe("AAPL", Reply("", 404))
    result = fetch(providers)
    assert result.reply is not None
    assert kinds(result) == [("yahoo", "rate_limited"), ("cboe", "delisted"), ("yahoo", None)]


def test_a_429_costs_a_symbol_no_wait_where_another_provider_delivers(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch
) -> None:
    market.yahoo("AAPL", Reply("", 429, {"Retry-After": "290"}))
    market.cboe("AAPL", CBOE_FILE)
    assert kinds(fetch(providers)) == [("yahoo", "rate_limited"), ("cboe", None)]


def test_a_429_pauses_the_provider_for_every_process(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", Reply("", 429, {"Retry-After": "290"}))
    market.cboe("AAPL", CBOE_FILE)
    fetch(providers)
    asked = len(market.hits)
    assert kinds(fetch(providers)) == [("cboe", None)]
    assert len(market.hits) == asked + 1
    state = {one.provider: one for one in limits.read()}["yahoo"]
    assert 280 < state.paused_seconds <= 290
    assert state.rate_limited_count == 1


def test_a_pause_longer_than_a_sync_waits_is_told_without_a_request(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    limits.note_rate_limited("yahoo", 3600)
    result = fetch(providers[:1])
    assert kinds(result) == [("yahoo", "rate_limited")]
    assert market.hits == []


def test_where_spillover_is_off_the_first_provider_is_waited_for(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    limits.declare("yahoo", 600, 36_000)
    for _ in range(15):
        limits.take(["yahoo"])  # its next token is half a second away, cboe's is now
    assert kinds(fetch(providers, spillover=False)) == [("yahoo", None)]
    assert kinds(fetch(providers)) != [("yahoo", None)]


def test_an_open_breaker_lets_no_request_out_and_the_next_provider_serves_at_once(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.cboe("AAPL", CBOE_FILE)
    limits.note_failure("yahoo", 20, "network_error: gone")
    assert kinds(fetch(providers)) == [("cboe", None)]
    assert not any("yahoo" in hit.host for hit in market.hits)


def test_where_every_breaker_is_open_the_symbol_fails_of_that(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    for name in ("yahoo", "cboe"):
        limits.note_failure(name, 20, "network_error: gone")
    result = fetch(providers)
    assert kinds(result) == [("yahoo", "circuit_open"), ("cboe", "circuit_open")]
    assert result.error is not None
    assert result.error.error_type == "circuit_open"
    assert market.hits == []


def test_20_failed_requests_open_the_breaker_and_the_error_is_what_the_vendor_said(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.cboe("AAPL", Reply("", 503))
    result = fetch(providers[1:], tries=30, base_wait_seconds=0.0)
    assert kinds(result) == [("cboe", "provider_error")]
    assert len(market.hits) == 20
    assert {state.provider: state.circuit_state for state in limits.read()}["cboe"] == "open"


def test_a_provider_whose_breaker_opens_between_two_tries_has_another_turn(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits, database: Database
) -> None:
    market.cboe("AAPL", *[Reply("", 503)] * 20, CBOE_FILE)
    router = make_router(providers[1:], limits, tries=30, base_wait_seconds=0.0, standing=Standing())
    steps = router.steps(ChainRequest("AAPL", (30,), NOW))
    while next(steps, None) is not None:
        if len(market.hits) == 20:  # a minute passes
            database.execute("UPDATE api_rate_limits SET circuit_opened_at = circuit_opened_at - interval '1 minute'")
    assert len(market.hits) == 21
    assert {state.provider: state.circuit_state for state in limits.read()}["cboe"] == "closed"


def test_an_answer_is_no_failure_to_the_breaker(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.cboe("AAPL", Reply("", 404))
    limits.note_failure("cboe", 19, "network_error: gone")
    fetch(providers[1:])
    assert {state.provider: state.consecutive_failures for state in limits.read()}["cboe"] == 0


def test_a_provider_that_would_say_the_same_of_every_symbol_is_left_out_and_asked_no_more(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    class NotInThePlan:
        name = "greedy"
        quote_delay = YahooProvider.quote_delay
        asked = 0

        def fetch_chain(self, request: ChainRequest) -> ChainReply:
            self.asked += 1
            raise NotEntitled("the plan has no snapshots", ends_provider=True)

        def close(self) -> None:
            raise AssertionError

    market.cboe("AAPL", CBOE_FILE)
    refusing = NotInThePlan()
    router = make_router((refusing, providers[1]), limits)
    results = [router.fetch(ChainRequest("AAPL", (30,), NOW)) for _ in range(3)]
    assert [kinds(result)[-1] for result in results] == [("cboe", None)] * 3
    assert refusing.asked == 1
    assert {name: str(reason) for name, reason in router.left_out.items()} == {"greedy": "the plan has no snapshots"}


def test_providers_that_just_failed_are_asked_last(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    market.cboe("AAPL", Reply("", 404))
    steps = make_router(providers, limits).steps(ChainRequest("AAPL", (30,), NOW), last={"yahoo"})
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    assert kinds(end.value.value) == [("cboe", "delisted"), ("yahoo", None)]


def test_a_provider_that_is_to_be_asked_first_and_cannot_be_asked_now_is_not_waited_for(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    limits.note_failure("cboe", 20, "network_error: gone")
    router = make_router(providers, limits, standing=Standing())
    steps = router.steps(ChainRequest("AAPL", (30,), NOW), last={"yahoo"})
    with pytest.raises(StopIteration) as end:
        next(steps)  # without a single wait
    assert kinds(end.value.value) == [("yahoo", None)]


def test_an_hour_that_is_spent_sends_a_call_under_way_to_the_next_provider(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    market.cboe("AAPL", CBOE_FILE)
    limits.set_limits("yahoo", per_hour=1)  # its cookie, and nothing for the crumb and the chain
    result = make_router(providers, limits).fetch(ChainRequest("AAPL", (30,), NOW))
    assert result.reply is not None
    assert result.reply.provider == "cboe"
    assert {state.provider: state.consecutive_failures for state in limits.read()}["yahoo"] == 0


def test_a_fetch_with_little_patience_ends_where_the_limit_has_no_room(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.cboe("AAPL", CBOE_FILE)
    limits.set_limits("cboe", per_hour=1)
    router = make_router(providers[1:], limits)
    assert router.fetch(ChainRequest("AAPL", (30,), NOW)).reply is not None
    looks: list[None] = []
    request = ChainRequest("AAPL", (30,), NOW)
    assert router.fetch_within(45, request, while_waiting=lambda: looks.append(None)) is None
    assert looks == []


def test_who_waited_for_a_token_of_a_provider_that_was_left_out_meanwhile_does_not_ask_it(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    limits.set_limits("cboe", per_minute=6)
    standing = Standing()
    router = make_router(providers[::-1], limits, standing=standing, spillover=False)
    limits.take(["cboe"])
    steps = router.steps(ChainRequest("AAPL", (30,), NOW))
    assert next(steps).seconds > 1
    standing.leave_out("cboe", NotEntitled("the plan has no snapshots", ends_provider=True))
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert kinds(end.value.value) == [("cboe", "not_entitled"), ("yahoo", None)]
    assert not any("/api/global" in hit.path for hit in market.hits)


def test_each_wire_request_takes_a_token(
    market: ScriptedMarket, providers: tuple[Provider, ...], fetch: Fetch, limits: ProviderLimits
) -> None:
    market.yahoo("AAPL", yahoo_reply())
    assert fetch(providers).requests == 3
    assert {state.provider: state.total_requests for state in limits.read()}["yahoo"] == 3


class CountedSlots(CallSlots):
    """Keeps the most slots that were held at a time."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.held = self.most = 0
        self.guard = threading.Lock()

    def acquire(self, timeout_seconds: float = 0.0) -> bool:
        taken = super().acquire(timeout_seconds)
        with self.guard:
            self.held += taken
            self.most = max(self.most, self.held)
        return taken

    def release(self, held_seconds: float | None = None) -> None:
        with self.guard:
            self.held -= 1
        super().release(held_seconds)


def test_no_more_wire_requests_than_slots_are_under_way(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    market.script["/api/global/delayed_quotes/options/AAPL.json"] = [replace(CBOE_FILE, delay_seconds=0.05)]
    slots = CountedSlots(2)
    router = make_router(providers[1:], limits, call_slots=slots)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: router.fetch(ChainRequest("AAPL", (30,), NOW)), range(6)))
    assert all(result.reply for result in results)
    assert slots.most == 2


def test_stop_ends_the_wait_for_a_slot(
    market: ScriptedMarket, providers: tuple[Provider, ...], limits: ProviderLimits
) -> None:
    stop = threading.Event()
    router = make_router(providers, limits, stop=stop, call_slots=CallSlots(0))
    threading.Timer(0.1, stop.set).start()
    result = router.fetch(ChainRequest("AAPL", (30,), NOW))
    assert result.stopped
    assert result.attempts == ()
    assert market.hits == []


def test_a_bug_of_a_provider_passes_through(limits: ProviderLimits) -> None:
    class Broken:
        name = "broken"
        quote_delay = YahooProvider.quote_delay

        def fetch_chain(self, request: ChainRequest) -> ChainReply:
            raise KeyError("bug")

        def close(self) -> None:
            raise AssertionError

    with pytest.raises(KeyError):
        make_router((Broken(),), limits).fetch(ChainRequest("AAPL", (30,), NOW))
