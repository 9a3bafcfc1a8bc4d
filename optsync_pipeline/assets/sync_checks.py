"""The checks of a sync, evaluated by the step that syncs: was the schema kept, was enough of the market reached.

They are about a whole job of sync_jobs, whichever runs worked on it: a symbol that is asked again as its own partition
moves the job's share, instead of replacing it by 0 or 100 %. Checks of what the tables hold are in checks.py.
"""

import dagster as dg

from optsync_pipeline.quality.rules import RULES
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS
from optsync_pipeline.storage.table_checks import JobTally

SYMBOLS_SYNCED_SHARE = 0.95
REFUSED_SHARE_FOR_ERROR = 0.01

CHECK_SPECS = [
    dg.AssetCheckSpec(
        "symbols_synced",
        asset="stock_prices",
        description=f"At least {SYMBOLS_SYNCED_SHARE:.0%} of the sync's symbols are done (rows written, or proven to "
        f"have none), and no more than {MAX_REASKED_SYMBOLS} failed: of more, none is asked again or marked FAILED.",
    ),
    dg.AssetCheckSpec(
        "chain_schema",
        asset="option_chains",
        description="No contract of the sync was refused as unreadable, inconsistent or out of range. "
        f"A warning up to {REFUSED_SHARE_FOR_ERROR:.0%} of the contracts, an error above.",
    ),
]

# Facts of the market (zero bids, adjusted deliverables). Every other rule, a new one too, is a fault of a reply.
MARKET_RULES = frozenset(
    {
        "adjusted_contract",
        "stale_quote",
        "missing_quote",
        "zero_quote",
        "zero_bid",
        "crossed_quote",
        "unusable_implied_volatility",
    }
)
SCHEMA_RULES = frozenset(RULES) - MARKET_RULES


def check_evaluations(tally: JobTally) -> list[dg.AssetCheckEvaluation]:
    """Judge a job. Evaluations instead of results: Dagster cannot resolve a result in a run without partitions."""
    return [_symbols_synced(tally), _chain_schema(tally)]


def _symbols_synced(tally: JobTally) -> dg.AssetCheckEvaluation:
    counts = tally.symbols_by_status
    total = sum(counts.values())
    done = counts.get("success", 0) + counts.get("skipped", 0)
    failed = counts.get("failed", 0)
    share = done / total if total else 0.0
    too_many = failed > MAX_REASKED_SYMBOLS
    unasked = f"; {failed} failed, more than {MAX_REASKED_SYMBOLS}: none is asked again" if too_many else ""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("stock_prices"),
        check_name="symbols_synced",
        passed=share >= SYMBOLS_SYNCED_SHARE and not too_many,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{done} of {total} symbols ({share:.1%}){unasked}",
        metadata={"share": share, "symbols": total, **counts},
    )


def _chain_schema(tally: JobTally) -> dg.AssetCheckEvaluation:
    refused = {rule: count for rule, count in tally.refused_by_rule.items() if rule in SCHEMA_RULES}
    total = sum(refused.values())
    too_many = total > REFUSED_SHARE_FOR_ERROR * tally.contracts_seen
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("option_chains"),
        check_name="chain_schema",
        passed=total == 0,
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=f"{total} of {tally.contracts_seen} contracts refused by the schema",
        metadata={"refused": total, "contracts": tally.contracts_seen, "refused_by_rule": refused},
    )
