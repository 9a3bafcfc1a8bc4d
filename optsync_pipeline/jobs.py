"""The jobs: the sync with its own checks, and the ranking with the checks of the tables.

Two jobs, because the sync's assets yield no Output: what waited for them in the same run would be skipped, with the run
green. The ranking is started after each sync by sensors/ or, on the command line, by local_runs.py.
"""

import dagster as dg

MARKET_DATA = dg.AssetSelection.assets("stock_prices", "option_chains", "stock_premiums")


def _checks(asset: str, *names: str) -> dg.AssetSelection:
    return dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(asset), name) for name in names))


sync_market_data = dg.define_asset_job(
    "sync_market_data",
    selection=MARKET_DATA.without_checks()
    | _checks("stock_prices", "symbols_synced", "price_plausible", "provider_share")
    | _checks("option_chains", "chain_schema", "chain_complete", "refused_share"),
    description="Fetch quotes and option chains of stocks into PostgreSQL, with the checks of that sync. Which stocks: "
    'the partitions that are chosen, or those of the op\'s config: {"symbols": ["AAPL"]}. A ranking follows by itself.',
    # One step: another process for it would cost 10 s and win nothing.
    executor_def=dg.in_process_executor,
)

rank_premiums = dg.define_asset_job(
    "rank_premiums",
    selection=dg.AssetSelection.assets("premium_rankings").without_checks()
    | _checks("stock_prices", "quote_age")
    | _checks("option_chains", "rows_logged")
    | _checks("stock_premiums", "premium_schema", "quotes_two_sided")
    | _checks("premium_rankings", "ranking_sorted"),
    description="Check what the tables hold, rank the premiums, check the ranking. Starts by itself after each sync; "
    "launch it by hand after a change of the ranking's settings.",
    # Also keeps the order of steps that checks.py relies on.
    executor_def=dg.in_process_executor,
)

JOBS = [sync_market_data, rank_premiums]
