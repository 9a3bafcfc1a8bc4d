"""A vendor in memory for tests of what stands above the engine: each symbol's fate is given, replies cost nothing.

Engine, database and Dagster are the real ones. Tests of vendors' words use stand_in.py, those of a market the sandbox.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from optsync_pipeline.definitions import build_definitions
from optsync_pipeline.local_runs import add_partitions
from optsync_pipeline.providers.base import (
    ApiTimeout,
    ChainReply,
    ChainRequest,
    ContractQuote,
    FetchError,
    NoOptions,
    QuotesReply,
    StockQuote,
)
from optsync_pipeline.resources import NobodyWatches, PipelineResource, SyncConfig, SyncObserver, sync_run_config
from optsync_pipeline.settings import Settings, load_settings
from optsync_pipeline.storage.database import Database
from optsync_pipeline.symbols import occ_root
from optsync_pipeline.sync.engine import SyncRun
from optsync_pipeline.sync.outcome import SymbolOutcome
from optsync_pipeline_tests.limits import UNLIMITED

OPEN_MARKET = datetime(2026, 7, 16, 15, 0, tzinfo=UTC)
"""A Thursday, 11:00 in New York."""

EXPIRATION = date(2026, 8, 14)
STRIKES = (85.0, 90.0, 95.0, 100.0, 105.0, 110.0, 115.0)


def fails(symbol: str) -> FetchError:
    """Return a failure that a second asking might heal."""
    return ApiTimeout(f"{symbol}: no answer within 25 s")


def lists_nothing(symbol: str) -> FetchError:
    """Return a sound answer: the stock has no options."""
    return NoOptions(f"{symbol} has no listed options")


class ScriptedVendor:
    """A Provider. faults: symbol → what it raises; change it between syncs. Symbols without one have a sound chain.

    broken_contracts, crossed_contracts: symbols whose chain has one contract with a negative bid, or an ask below its
    bid. hold: while clear, calls wait for it.
    strikes: symbols whose chain is cut off after so many strikes. prices: of the stocks that do not cost 100 $.
    """

    quote_delay = timedelta(0)

    def __init__(self, faults: Mapping[str, FetchError] | None = None, *, name: str = "yahoo") -> None:
        self.name = name
        self.faults = dict(faults or {})
        self.strikes: dict[str, int] = {}
        self.prices: dict[str, float] = {}
        self.expirations: tuple[date, ...] = (EXPIRATION,)
        self.broken_contracts: set[str] = set()
        self.crossed_contracts: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.hold = threading.Event()
        self.hold.set()

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        """Answer as the script says."""
        self.asked[request.symbol] += 1
        self.hold.wait(timeout=60)
        fault = self.faults.get(request.symbol)
        if fault is not None:
            raise fault
        given = STRIKES[: self.strikes.get(request.symbol, len(STRIKES))]
        contracts = [_contract(request.symbol, kind, strike) for kind in ("put", "call") for strike in given]
        if request.symbol in self.broken_contracts:
            contracts[0] = contracts[0]._replace(bid=-1.0)
        if request.symbol in self.crossed_contracts:
            contracts[0] = contracts[0]._replace(ask=0.01)
        return ChainReply(
            symbol=request.symbol,
            provider=self.name,
            quote=self.quote(request.symbol, request.now),
            expirations=(EXPIRATION,),
            listed_expirations=self.expirations,
            contracts=contracts,
            requests=1,
        )

    def quote(self, symbol: str, now: datetime) -> StockQuote:
        """Return the quote of a stock as of now."""
        return StockQuote(self.prices.get(symbol, 100.0), quoted_at=now, previous_close=99.0, volume=1_000_000)

    def close(self) -> None:
        """Hold nothing."""


class QuotingVendor(ScriptedVendor):
    """A vendor that also gives quotes in bulk. unknown: symbols of which it has none; asked_quotes: each request."""

    symbols_per_request = 50

    def __init__(self, *, name: str = "yahoo") -> None:
        super().__init__(name=name)
        self.unknown: set[str] = set()
        self.asked_quotes: list[list[str]] = []

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        """Answer as the script says."""
        self.asked_quotes.append(list(symbols))
        known = [symbol for symbol in symbols if symbol not in self.unknown]
        return QuotesReply(self.name, {symbol: self.quote(symbol, now) for symbol in known}, requests=1)


def _contract(symbol: str, kind: str, strike: float) -> ContractQuote:
    out_of_the_money = max(0.0, 100 - strike if kind == "put" else strike - 100)
    bid = round(max(0.2, 4.0 - out_of_the_money / 3) + max(0.0, strike - 100 if kind == "put" else 100 - strike), 2)
    return ContractQuote(
        contract_symbol=f"{occ_root(symbol)}{EXPIRATION:%y%m%d}{kind[0].upper()}{round(strike * 1000):08d}",
        expiration_date=EXPIRATION,
        strike_price=strike,
        option_type=kind,
        bid=bid,
        ask=round(bid * 1.05, 2),
        last_price=bid,
        volume=10,
        open_interest=500,
        implied_volatility=0.35,
    )


class Watcher:
    """An observer that notes what it is told: (symbols to come, whether asked again) of each run, and each symbol."""

    def __init__(self) -> None:
        self.started: list[tuple[int, bool]] = []
        self.done: list[str] = []

    def sync_started(self, run: SyncRun, *, reask: bool) -> None:
        """Note the number of symbols to come."""
        self.started.append((run.total, reask))

    def symbol_done(self, outcome: SymbolOutcome) -> None:
        """Note the symbol."""
        self.done.append(outcome.symbol)


def pipeline_of(
    database_url: str,
    vendor: ScriptedVendor,
    *,
    now: datetime = OPEN_MARKET,
    observer: SyncObserver | None = None,
    **settings: Any,
) -> PipelineResource:
    """Return the resource that runs on a test's database with the scripted vendor and a clock that stands still."""
    return PipelineResource(
        settings_of(database_url, **settings),
        clock=lambda: now,
        providers=(vendor,),
        observer=observer or NobodyWatches(),
    )


def settings_of(database_url: str, **changes: Any) -> Settings:
    """Return settings for a test's database."""
    chosen = {"providers": ("yahoo",), **UNLIMITED, **changes}
    return load_settings(env_file=None, database_url=database_url, **chosen)


def partition_states(instance: dg.DagsterInstance, definitions: dg.Definitions, asset: str) -> dict[str, str]:
    """Return what Dagster itself says of each partition of an asset; those it knows nothing of are left out."""
    key = dg.AssetKey(asset)
    partitions_def = definitions.resolve_asset_graph().get(key).partitions_def
    assert partitions_def is not None
    keys = instance.get_dynamic_partitions("symbol")
    states = instance.get_status_by_partition(key, keys, partitions_def) or {}
    return {partition: state.value for partition, state in states.items() if state is not None}


class Bench:
    """A Dagster instance in memory, the definitions on a test's database, and the vendor that they ask."""

    def __init__(
        self, database_url: str, database: Database, instance: dg.DagsterInstance, symbols: Sequence[str]
    ) -> None:
        self.vendor = ScriptedVendor()
        self.watcher = Watcher()
        self.database = database
        self.instance = instance
        self.pipeline = pipeline_of(database_url, self.vendor, observer=self.watcher)
        self.definitions = build_definitions(self.pipeline.settings, self.pipeline)
        for symbol in symbols:
            database.execute("INSERT INTO stocks (symbol) VALUES (%s)", (symbol,))
        add_partitions(instance, symbols)

    def sync(
        self,
        config: SyncConfig | None = None,
        *,
        partition: str | None = None,
        tags: dict[str, str] | None = None,
        assets: tuple[str, ...] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run the sync job to its end, whatever comes of it."""
        return self.definitions.resolve_job_def("sync_market_data").execute_in_process(
            instance=self.instance,
            run_config=sync_run_config(config or SyncConfig()),
            partition_key=partition,
            tags=tags,
            asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            raise_on_error=False,
        )

    def ask_of(self, *vendors: ScriptedVendor) -> None:
        """Have other vendors asked from now on, each as long as it serves."""
        settings = self.pipeline.settings.model_copy(update={"spillover": False})
        self.pipeline = replace(self.pipeline, settings=settings, providers=vendors)
        self.definitions = build_definitions(settings, self.pipeline)

    def states(self, asset: str = "stock_premiums") -> dict[str, str]:
        """Return what Dagster says of the partitions of an asset."""
        return partition_states(self.instance, self.definitions, asset)

    def rank(self) -> dg.ExecuteInProcessResult:
        """Run the ranking job to its end, whatever comes of it."""
        return self.definitions.resolve_job_def("rank_premiums").execute_in_process(
            instance=self.instance, raise_on_error=False
        )

    def job(self) -> dict[str, Any]:
        """Return the newest row of sync_jobs."""
        job = self.database.fetch_one("SELECT * FROM sync_jobs ORDER BY job_id DESC LIMIT 1")
        assert job is not None
        return job
