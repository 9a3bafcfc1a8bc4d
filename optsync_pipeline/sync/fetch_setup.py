"""What a run fetches with: the router and the pool that its plan and the settings ask for."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from optsync_pipeline.calendar import new_york_date
from optsync_pipeline.fetching.call_slots import CallSlots
from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.fetching.rate_limit import HORIZON_SECONDS
from optsync_pipeline.fetching.router import Router
from optsync_pipeline.providers.base import BulkQuotes, Provider
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits
from optsync_pipeline.sync.fetch_pool import FetchPool
from optsync_pipeline.sync.pacing import pacing_of
from optsync_pipeline.sync.plan import SyncPlan
from optsync_pipeline.sync.price_fetch import PriceFetch
from optsync_pipeline.sync.whole_chains import WholeChains

# More threads than calls at once: some wait within a call for a token of its next request.
THREADS_PER_CALL = 4
A_PERSON_WAITS = frozenset({"refresh", "symbols"})
URGENT_HORIZON_SECONDS = 2 * HORIZON_SECONDS
"""Who is waited for takes tokens that are further away than others do: of the next ones that come free, the first."""


def build_router(
    plan: SyncPlan,
    settings: Settings,
    providers: Sequence[Provider],
    limits: ProviderLimits,
    stop: threading.Event,
) -> Router:
    """Return what asks the providers."""
    return Router(
        providers,
        limits,
        stop=stop,
        tries=plan.tries,
        call_slots=CallSlots(settings.max_concurrent_fetches),
        spillover=settings.spillover,
        # Who does not ask again does not wait for a vendor to come back either.
        standing=Standing(patience_seconds=0.0) if plan.tries == 1 else Standing(),
        horizon_seconds=URGENT_HORIZON_SECONDS if plan.sync_type in A_PERSON_WAITS else HORIZON_SECONDS,
    )


def build_pool(
    plan: SyncPlan,
    settings: Settings,
    database: Database,
    router: Router,
    todo: Sequence[str],
    *,
    givers: Mapping[str, BulkQuotes],
    avoid: Mapping[str, Collection[str]],
    clock: Callable[[], datetime],
    stop: threading.Event,
) -> FetchPool | PriceFetch:
    """Return what fetches the symbols of `todo`.

    givers: who gives quotes in bulk, by name. avoid: whom to ask last, by symbol.
    """
    if plan.prices_only:
        return PriceFetch(router, givers, todo, clock=clock, stop=stop)
    return FetchPool(
        WholeChains(router, database, clock),
        todo,
        target_dtes=plan.target_dtes or settings.target_dtes,
        known_expirations=stocks.known_expirations(database, todo, on_or_after=new_york_date(clock())),
        clock=clock,
        stop=stop,
        threads=THREADS_PER_CALL * settings.max_concurrent_fetches,
        room=settings.chunk_symbols,
        avoid=avoid,
        pacing=pacing_of(settings),
    )


def bulk_givers(providers: Sequence[Provider]) -> dict[str, BulkQuotes]:
    """Return the providers that give quotes in bulk, by name."""
    return {provider.name: provider for provider in providers if isinstance(provider, BulkQuotes)}
