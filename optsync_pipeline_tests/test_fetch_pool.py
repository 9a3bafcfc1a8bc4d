"""The threads that fetch: what waits holds none of them, and keeps nobody else from being asked."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from optsync_pipeline.fetching.retry import Steps, Wait
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import ChainRequest
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.sync.fetch_pool import Fetched, FetchPool

NOW = datetime(2026, 7, 16, 15, 36, tzinfo=UTC)


class ScriptedRouter:
    """Stands where a Router does: each symbol waits as scripted, then ends. A wait of None raises."""

    def __init__(self, waits: dict[str, Sequence[Wait | Exception]] | None = None) -> None:
        self.waits = waits or {}
        self.begun: list[str] = []
        self.last: dict[str, Any] = {}

    def steps(self, request: ChainRequest, *, last: Any = ()) -> Steps[FetchResult]:
        self.begun.append(request.symbol)
        self.last[request.symbol] = last
        for wait in self.waits.get(request.symbol, ()):
            if isinstance(wait, Exception):
                raise wait
            yield wait
        return FetchResult(request.symbol, reply=None, error=None, attempts=(), retry_count=0, requests=1)


def pool_of(router: ScriptedRouter, symbols: Sequence[str], **options: Any) -> FetchPool:
    defaults: dict[str, Any] = {
        "target_dtes": (30,),
        "known_expirations": {},
        "clock": lambda: NOW,
        "stop": threading.Event(),
        "threads": 2,
        "room": 100,
    }
    return FetchPool(cast(Router, router), symbols, **{**defaults, **options})


def take(pool: FetchPool, count: int) -> list[str]:
    found: list[Fetched] = []
    while len(found) < count:
        result = pool.next_result(timeout_seconds=0.2)
        if result is not None:
            found.append(result)
    return [one.request.symbol for one in found]


def test_every_symbol_comes_out_once() -> None:
    symbols = [f"S{number}" for number in range(50)]
    pool = pool_of(ScriptedRouter({name: [Wait(0.001, is_stuck=False)] * 3 for name in symbols}), symbols, threads=4)
    pool.start()
    assert sorted(take(pool, 50)) == sorted(symbols)
    assert pool.next_result(timeout_seconds=0.1) is None


@pytest.mark.timeout(60)  # far less than the waits
def test_symbols_that_wait_for_a_vendor_of_their_own_keep_nobody_from_being_asked() -> None:
    stuck = [f"W{number}" for number in range(10)]
    router = ScriptedRouter({name: [Wait(1000, is_stuck=True)] for name in stuck})
    pool = pool_of(router, [*stuck, "AAPL", "MSFT"])
    pool.start()
    assert sorted(take(pool, 2)) == ["AAPL", "MSFT"]


def test_symbols_that_wait_for_what_any_symbol_would_wait_for_count_as_under_way() -> None:
    waiting = [f"W{number}" for number in range(10)]
    router = ScriptedRouter({name: [Wait(1000, is_stuck=False)] for name in waiting})
    pool = pool_of(router, waiting)
    pool.start()
    while len(router.begun) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    assert router.begun == waiting[:2]


def test_what_waits_is_no_call_under_way() -> None:
    router = ScriptedRouter({"AAPL": [Wait(1000, is_stuck=False)]})
    pool = pool_of(router, ["AAPL"])
    pool.start()
    while not router.begun or not pool.idle():
        time.sleep(0.01)
    assert pool.take_started() == ["AAPL"]
    assert pool.take_started() == []


def test_providers_to_be_asked_last_reach_the_router() -> None:
    router = ScriptedRouter()
    pool = pool_of(router, ["AAPL", "MSFT"], avoid={"AAPL": {"yahoo"}})
    pool.start()
    take(pool, 2)
    assert router.last == {"AAPL": {"yahoo"}, "MSFT": ()}


def test_a_bug_costs_its_symbol_alone_and_its_text_is_not_told() -> None:
    pool = pool_of(ScriptedRouter({"AAPL": [KeyError("a secret")]}), ["AAPL", "MSFT"])
    pool.start()
    results: dict[str, FetchResult] = {}
    while len(results) < 2:
        if (one := pool.next_result(timeout_seconds=0.2)) is not None:
            results[one.request.symbol] = one.result
    assert results["MSFT"].error is None
    error = results["AAPL"].error
    assert error is not None
    assert error.error_type == "provider_error"
    assert "KeyError" in str(error)
    assert "a secret" not in str(error)


def test_a_database_that_is_gone_ends_the_fetching_and_is_no_symbols_failure() -> None:
    stop = threading.Event()
    fault = DatabaseUnavailable("gone")
    pool = pool_of(ScriptedRouter({"AAPL": [fault]}), ["AAPL", "MSFT", "NVDA"], stop=stop, threads=1)
    pool.start()
    assert stop.wait(10)
    assert pool.fault is fault
    assert pool.close() == []


def test_a_stop_hands_out_nothing_that_it_cut_short() -> None:
    stop = threading.Event()
    router = ScriptedRouter({"AAPL": [Wait(1000, is_stuck=False)]})
    pool = pool_of(router, ["AAPL", "MSFT"], stop=stop, threads=1)
    pool.start()
    while not router.begun:
        time.sleep(0.01)
    stop.set()
    assert pool.next_result(timeout_seconds=0.5) is None
    assert router.begun == ["AAPL"]
