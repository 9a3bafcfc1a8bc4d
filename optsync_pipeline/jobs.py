"""The jobs: the sync with its own checks, and the ranking with the checks of the tables.

Two jobs, because the sync's assets yield no Output: what waited for them in the same run would be skipped, with the run
green. The ranking is started after each sync by sensors/ or, on the command line, by local_runs.py.
"""

import dagster as dg

MARKET_DATA = dg.AssetSelection.assets("stock_prices", "option_chains", "stock_premiums")

sync_market_data = dg.define_asset_job(
    "sync_market_data",
    selection=MARKET_DATA.without_checks()
    | dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("stock_prices"), "symbols_synced"),
        dg.AssetCheckKey(dg.AssetKey("option_chains"), "chain_schema"),
    ),
    description="Sync symbols: those of the op's config, or the partitions of the run.",
    # One step: another process for it would cost 10 s and win nothing.
    executor_def=dg.in_process_executor,
)

rank_premiums = dg.define_asset_job(
    "rank_premiums",
    selection=dg.AssetSelection.assets("premium_rankings").without_checks()
    | dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("stock_premiums"), "premium_schema"),
        dg.AssetCheckKey(dg.AssetKey("stock_premiums"), "quotes_two_sided"),
        dg.AssetCheckKey(dg.AssetKey("premium_rankings"), "ranking_sorted"),
    ),
    description="Check the premiums, rank them, check the ranking.",
    # Also keeps the order of steps that checks.py relies on.
    executor_def=dg.in_process_executor,
)

JOBS = [sync_market_data, rank_premiums]
