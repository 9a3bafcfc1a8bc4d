"""Syncs of prices alone: a network that goes, our own code that breaks."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from optsync_pipeline.fetching.bulk_quotes import quote_steps
from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.router import FetchResult, Router
from optsync_pipeline.providers.base import BulkQuotes, ChainReply, ChainRequest, QuotesReply
from optsync_pipeline.providers.build import build_providers
from optsync_pipeline.sandbox.running import Sandbox, running_sandbox
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.limits import limits
from optsync_pipeline_tests.recovery import let_a_minute_pass, list_market, run_sync, settings_for

__all__ = ["limits"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(symbols=60) as running:
        yield running


def test_a_batch_of_quotes_that_the_breaker_cut_off_is_asked_for_again(
    sandbox: Sandbox, database: Database, database_url: str, limits: ProviderLimits
) -> None:
    symbols = list_market(database, sandbox)
    (yahoo,) = build_providers(settings_for(sandbox, database_url, providers="yahoo"))
    assert isinstance(yahoo, BulkQuotes)
    results: list[FetchResult] = []
    slots, stop = CallSlots(2), threading.Event()
    router = Router([yahoo], limits, stop=stop, call_slots=slots, tries=30, base_wait_seconds=0.0)
    steps = quote_steps(router, {"yahoo": yahoo}, symbols, clock=lambda: datetime.now(UTC), deliver=results.append)
    sandbox.down("yahoo")
    with closing(yahoo):
        for _ in steps:
            if any(state.circuit_state == "open" for state in limits.read()):
                sandbox.up("yahoo")
                let_a_minute_pass(database)

    assert sorted(result.symbol for result in results if result.reply is not None) == sorted(symbols)


class BrokenQuotes:
    """A provider with a bug in our own code of it."""

    name = "yahoo"
    quote_delay = timedelta(0)
    symbols_per_request = 50

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        raise KeyError("a bug")

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        raise AssertionError("prices alone are asked for")

    def close(self) -> None:
        """Hold nothing."""


@pytest.mark.timeout(60)
def test_a_bug_ends_a_sync_of_prices_instead_of_letting_it_wait_for_ever(
    sandbox: Sandbox, database: Database, database_url: str
) -> None:
    symbols = list_market(database, sandbox)
    engine = SyncEngine(database, settings_for(sandbox, database_url), providers=[BrokenQuotes()])
    with pytest.raises(KeyError, match="a bug"):
        run_sync(engine, symbols, prices_only=True)
