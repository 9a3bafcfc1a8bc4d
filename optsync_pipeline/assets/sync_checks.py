"""The checks of a sync, evaluated by the step that syncs: their names, what each means, and the judging of replies.

They are about a whole job of sync_jobs, whichever runs worked on it: a symbol that is asked again as its own partition
moves the job's share, instead of replacing it by 0 or 100 %. Prices and providers are judged in source_checks.py.
Checks of what the tables hold are in checks.py.
"""

import dagster as dg

from optsync_pipeline.assets.source_checks import (
    MIN_SYMBOLS_JUDGED,
    PRICE_PLAUSIBLE,
    PROVIDER_SHARE,
    SERVED_SHARE,
    Turn,
    price_plausible,
    provider_share,
)
from optsync_pipeline.quality.likely_prices import MAX_DEVIATIONS, RETURNS_NEEDED
from optsync_pipeline.quality.rules import RULES
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS
from optsync_pipeline.storage.job_report import JobReport
from optsync_pipeline.storage.table_checks import JobTally

__all__ = ["CHECK_SPECS", "MARKET_RULES", "REFUSED_PCT_LIMITS", "Turn", "check_evaluations"]

SYMBOLS_SYNCED_SHARE = 0.95
REFUSED_SHARE_FOR_ERROR = 0.01
SYMBOLS_NAMED = 20

# Percent of the contracts that a fact of the market may keep from being sold: three times what the recorded market has
# (docs/measurements.md) or more, 2 to 10 where that has next to none. Other rules are faults, for chain_schema.
REFUSED_PCT_LIMITS = {
    "adjusted_contract": 10.0,
    "stale_quote": 5.0,
    "missing_quote": 10.0,
    "zero_quote": 25.0,
    "zero_bid": 40.0,
    "crossed_quote": 2.0,
    "unusable_implied_volatility": 15.0,
}
MARKET_RULES = frozenset(REFUSED_PCT_LIMITS)
SCHEMA_RULES = frozenset(RULES) - MARKET_RULES

CHECK_SPECS = [
    dg.AssetCheckSpec(
        "symbols_synced",
        asset="stock_prices",
        description=f"At least {SYMBOLS_SYNCED_SHARE:.0%} of the sync's symbols are done (rows written, or proven to "
        f"have none), and no more than {MAX_REASKED_SYMBOLS} failed: of more, none is asked again or marked FAILED.",
    ),
    dg.AssetCheckSpec(
        PRICE_PLAUSIBLE,
        asset="stock_prices",
        description=f"Each price lies within {MAX_DEVIATIONS:g} standard deviations of its stock's last "
        f"{RETURNS_NEEDED} daily returns, or a second provider quotes the same. Prices of stocks with fewer closes are "
        "not judged; where all are so, the check says so and does not pass. A warning.",
    ),
    dg.AssetCheckSpec(
        PROVIDER_SHARE,
        asset="stock_prices",
        description=f"The first provider of the order served at least {SERVED_SHARE:.0%} of what was its share: all "
        "symbols, or with spillover as many as its limit gives it beside the others'. Not judged where it was left out "
        f"or the sync had fewer than {MIN_SYMBOLS_JUDGED} symbols. A warning.",
    ),
    dg.AssetCheckSpec(
        "chain_schema",
        asset="option_chains",
        description="No contract of the sync was refused as unreadable, inconsistent or out of range. "
        f"A warning up to {REFUSED_SHARE_FOR_ERROR:.0%} of the contracts, an error above.",
    ),
    dg.AssetCheckSpec(
        "chain_complete",
        asset="option_chains",
        description="No chain lacks a third of the strikes, or an expiration, that the same provider gave in the last "
        "7 days. One that does was asked for once more, of another provider first, and the fuller is kept. A warning "
        "that names the symbols.",
    ),
    dg.AssetCheckSpec(
        "refused_share",
        asset="option_chains",
        description="No more contracts are unsellable than a market has: of all contracts at most "
        + ", ".join(f"{limit:g} % {rule}" for rule, limit in REFUSED_PCT_LIMITS.items())
        + ". A warning.",
    ),
]


def check_evaluations(report: JobReport, turn: Turn) -> list[dg.AssetCheckEvaluation]:
    """Judge a job. Evaluations instead of results: Dagster cannot resolve a result in a run without partitions.

    turn: the providers of the sync and what the first of them was to serve.
    """
    return [
        _symbols_synced(report.tally),
        price_plausible(report.moves),
        provider_share(report, turn),
        _chain_schema(report.tally),
        _chain_complete(report),
        _refused_share(report.tally),
    ]


def sync_metadata(report: JobReport) -> dict[str, float | int]:
    """Return the figures of a sync that Dagster plots over time."""
    counts = report.tally.symbols_by_status
    total = sum(counts.values())
    done = counts.get("success", 0) + counts.get("skipped", 0)
    return {
        "symbols": total,
        "success_share_pct": round(100 * done / total, 2) if total else 0.0,
        "failed": counts.get("failed", 0),
        "contracts": report.contracts_stored,
        "requests": report.requests,
        "duration_seconds": round(report.duration_seconds or 0.0, 3),
        "symbols_per_second": round(total / report.duration_seconds, 2) if report.duration_seconds else 0.0,
        "short_chains": len(report.short_chains),
        "unusual_prices": sum(1 for move in report.moves if move.move == "unusual"),
    }


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


def _chain_complete(report: JobReport) -> dg.AssetCheckEvaluation:
    symbols = {
        doubt: [chain.symbol for chain in report.short_chains if chain.doubt == doubt]
        for doubt in ("mended", "agreed", "unanswered")
    }
    meanings = {
        "mended": "whole when asked once more",
        "agreed": "as short when asked once more",
        "unanswered": "not answered once more",
    }
    told = "; ".join(f"{len(found)} {meanings[doubt]}: {_named(found)}" for doubt, found in symbols.items() if found)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("option_chains"),
        check_name="chain_complete",
        passed=not report.short_chains,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"chains that came short: {len(report.short_chains)}{'; ' if told else ''}{told}",
        metadata={
            **{doubt: len(found) for doubt, found in symbols.items()},
            "chains": {chain.symbol: chain.note for chain in report.short_chains[:SYMBOLS_NAMED]},
        },
    )


def _refused_share(tally: JobTally) -> dg.AssetCheckEvaluation:
    contracts = tally.contracts_seen
    percents = {
        rule: round(100 * count / contracts, 2)
        for rule, count in tally.refused_by_rule.items()
        if contracts and rule in REFUSED_PCT_LIMITS
    }
    over = [rule for rule, percent in percents.items() if percent > REFUSED_PCT_LIMITS[rule]]
    told = "; ".join(f"{rule} {percents[rule]:g} %, more than {REFUSED_PCT_LIMITS[rule]:g} %" for rule in over)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("option_chains"),
        check_name="refused_share",
        passed=not over,
        severity=dg.AssetCheckSeverity.WARN,
        description=told or f"{sum(percents.values()):.1f} % of {contracts} contracts cannot be sold",
        metadata={"contracts": contracts, **{f"{rule}_pct": percent for rule, percent in percents.items()}},
    )


def _named(symbols: list[str]) -> str:
    hidden = len(symbols) - SYMBOLS_NAMED
    return ", ".join(symbols[:SYMBOLS_NAMED]) + (f" and {hidden} more" if hidden > 0 else "")
