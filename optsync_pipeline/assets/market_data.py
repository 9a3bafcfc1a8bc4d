"""stock_prices, option_chains and stock_premiums: one step that syncs many symbols and tells Dagster of each.

Dagster's side only: which symbols the run is about, an event for each asset and partition once its rows are
committed, the checks of the sync, and the failure at the end that names what failed. The sync itself is sync/engine.py.

One op for three assets, because one vendor reply fills all three tables in one transaction. It yields no Output: an
Output would mark every partition of the run as materialised, the failed ones too. Hence `skippable` specs, and hence
nothing in the same run may wait for these assets (checks.py and jobs.py say how it is done instead).
"""

import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import dagster as dg

from optsync_pipeline import partitions
from optsync_pipeline.assets.freshness import FRESHNESS
from optsync_pipeline.assets.outcome_events import outcome_metadata, symbols_failed
from optsync_pipeline.assets.source_checks import turn_of
from optsync_pipeline.assets.sync_checks import CHECK_SPECS, check_evaluations, sync_metadata
from optsync_pipeline.resources import LOCAL_RUN_TAG, MARKET_DATA_OP, PipelineResource, SyncConfig, end_step
from optsync_pipeline.storage import stocks, sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_report import report_job
from optsync_pipeline.symbols import normalise_symbol
from optsync_pipeline.sync.engine import JobTakenError, SyncEngine, SyncError, SyncPlan, SyncRun
from optsync_pipeline.sync.outcome import SymbolOutcome

NOT_A_STOCK = "not among the active stocks: add with `optsync stocks add`"

EARLIER_RUN_TAGS = ("dagster/parent_run_id", "dagster/root_run_id")
"""Tags that Dagster gives a run which executes another one again."""

ASSET_SPECS = [
    dg.AssetSpec(
        "stock_prices",
        description="The bar of the latest session of each stock, from the quote that came with its chain. A partition "
        "is a stock: green is synced, red failed, and its last good rows are kept. Red after a sync? `optsync status` "
        "says why, `optsync retry` asks again.",
        skippable=True,
        kinds={"postgres"},
        group_name="market_data",
        freshness_policy=FRESHNESS,
    ),
    dg.AssetSpec(
        "option_chains",
        deps=["stock_prices"],
        description="Every standard contract of the chosen expirations (OPTSYNC_TARGET_DTES) as the vendor quoted it, "
        "zero and crossed quotes included. What a person would sell is in stock_premiums.",
        skippable=True,
        kinds={"postgres"},
        group_name="market_data",
        freshness_policy=FRESHNESS,
    ),
    dg.AssetSpec(
        "stock_premiums",
        deps=["option_chains"],
        description="The sellable contracts with what their seller collects at the bid: premium and break-even in "
        "dollars, returns in percent, probability of profit. The ranking chooses among these.",
        skippable=True,
        kinds={"postgres"},
        group_name="market_data",
        freshness_policy=FRESHNESS,
    ),
]

SYNC_JOBS_SPEC = dg.AssetSpec(
    "sync_jobs",
    description="The log of syncs, one observation for each that ended: symbols, success share, contracts, requests, "
    "duration. Its plots show how the syncs go over time. Nothing to launch here.",
    kinds={"postgres"},
    group_name="market_data",
)


@dg.multi_asset(
    name=MARKET_DATA_OP,
    specs=ASSET_SPECS,
    check_specs=CHECK_SPECS,
    partitions_def=partitions.symbols,
    can_subset=True,
    # A run for each partition would start a process for each symbol (7-11 s); 200 bound what a dying run leaves to do.
    backfill_policy=dg.BackfillPolicy.multi_run(200),
    pool="market_data",
)
def market_data(
    context: dg.AssetExecutionContext, config: SyncConfig, pipeline: dg.ResourceParam[PipelineResource]
) -> Iterator[dg.Output[None] | dg.AssetCheckEvaluation]:
    """Sync the run's symbols: quotes, chains and premiums into PostgreSQL, one transaction a chunk of symbols."""
    failed: dict[str, list[str]] = defaultdict(list)
    with pipeline.open_for_step(context) as database:
        plan = sync_plan(context, config, database)
        # A stock may have been removed since the run was asked for; the others are not to suffer.
        active = set(stocks.active_symbols(database))
        failed[NOT_A_STOCK] = [symbol for symbol in plan.symbols if symbol not in active]
        plan = replace(plan, symbols=tuple(symbol for symbol in plan.symbols if symbol in active))
        if failed[NOT_A_STOCK] and not plan.symbols:
            raise symbols_failed(failed)
        engine = pipeline.engine(database, config.concurrency)
        with _started(context, engine, plan) as run, _stopped_by_signals(run):
            pipeline.observer.sync_started(run, reask=plan.reask)
            for outcome in run:
                pipeline.observer.symbol_done(outcome)
                if outcome.status == "failed":
                    failed[outcome.error_type or "db_error"].append(outcome.symbol)
                else:
                    _tell_materialised(context, outcome)
        for provider, reason in run.left_out.items():
            context.log.warning(f"{provider} was left out of this run: {reason}")
        if run.cancelled:
            raise _interruption(context, asked_for=run.cancel_requested)
        report = report_job(database, run.job_id)
    if not plan.reask:
        context.log_event(dg.AssetObservation(SYNC_JOBS_SPEC.key, metadata=sync_metadata(report)))
    evaluations = check_evaluations(report, turn_of(run.provider_names, pipeline.settings))
    for evaluation in evaluations:
        if evaluation.asset_check_key in context.selected_asset_check_keys:
            yield dg.Output(None, output_name=f"{evaluation.asset_key.path[-1]}_{evaluation.check_name}")
            yield evaluation
    if any(failed.values()):
        raise symbols_failed(failed)


def sync_plan(context: dg.AssetExecutionContext, config: SyncConfig, database: Database) -> SyncPlan:
    """Return what the run is to sync. Raises Failure where neither config nor partitions say which symbols."""
    symbols = _symbols(context, config)
    job_id = config.job_id
    if job_id is None:
        # A retried step or a re-executed run does what its job has not done yet.
        before = [context.run.tags[tag] for tag in EARLIER_RUN_TAGS if tag in context.run.tags]
        job_id = sync_log.find_job_of_runs(database, [context.run.run_id, *before])
    return SyncPlan(
        symbols=symbols,
        sync_type=config.sync_type,
        target_dtes=tuple(config.target_dtes),
        run_id=context.run.run_id,
        continue_job_id=job_id,
        tries=config.tries,
        reask=config.job_id is not None and context.has_partition_key,
        retry=config.retry,
        prices_only=config.prices_only or context.selected_asset_keys == {dg.AssetKey("stock_prices")},
    )


def _symbols(context: dg.AssetExecutionContext, config: SyncConfig) -> tuple[str, ...]:
    if config.symbols:
        try:
            return tuple(dict.fromkeys(normalise_symbol(symbol) for symbol in config.symbols))
        except ValueError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
    if context.has_partition_key or context.has_partition_key_range:
        return tuple(context.partition_keys)
    if config.job_id is not None:
        return ()
    raise dg.Failure(
        description="no symbols: choose partitions (--partition AAPL, or a backfill), or give the op `market_data` "
        'its config: {"symbols": ["AAPL"]}',
        allow_retries=False,
    )


@contextmanager
def _started(context: dg.AssetExecutionContext, engine: SyncEngine, plan: SyncPlan) -> Iterator[SyncRun]:
    try:
        with engine.start(plan) as run:
            yield run
    except (SyncError, JobTakenError) as error:
        # Most often another run holds the job: a moment later it is free.
        end_step(context, error, later=True)


@contextmanager
def _stopped_by_signals(run: SyncRun) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and the UI's "Terminate" stop the fetching and commit what came.

    Dagster's own handler raises out of whatever line is running, the writing of an event among them. Within this
    block nothing is yielded, so Dagster does not put its handler back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal_number: int, _frame: FrameType | None) -> None:
        run.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interruption(context: dg.AssetExecutionContext, *, asked_for: bool) -> BaseException:
    """Return what ends a stopped run; what was fetched is committed and told.

    Dagster calls it CANCELED where somebody asked for the end: the UI says so before it sends the signal, a command on
    its own process says so here, and so does who asked through the sync log (asked_for). Any other signal is the
    machine's, and the run is to be continued.
    """
    if asked_for or LOCAL_RUN_TAG in context.run.tags:
        context.instance.report_run_canceling(context.run)
    return dg.DagsterExecutionInterruptedError()


def _tell_materialised(context: dg.AssetExecutionContext, outcome: SymbolOutcome) -> None:
    """Log an event for each selected asset. A skipped symbol is up to date too: the market lists nothing for it."""
    metadata = outcome_metadata(outcome)
    for spec in ASSET_SPECS:
        if spec.key in context.selected_asset_keys:
            context.log_event(dg.AssetMaterialization(spec.key, partition=outcome.symbol, metadata=metadata))
