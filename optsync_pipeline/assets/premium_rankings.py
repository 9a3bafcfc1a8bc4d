"""premium_rankings: the best contract of each symbol, ranked by monthly return (options/ranking.py says what is best).

Unpartitioned, because a ranking compares the symbols. It runs in a job of its own after each sync (jobs.py).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from optsync_pipeline.assets.freshness import FRESHNESS
from optsync_pipeline.calendar import latest_session
from optsync_pipeline.options.ranking import STRATEGIES, RankingLimits
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import rankings, sync_log

ROWS_SHOWN = 10


@dg.asset(
    deps=["stock_premiums"],
    description="The best contract of each symbol for each strategy, by monthly_return; replaced whole each time. What "
    "may be ranked is set by OPTSYNC_MIN_ABS_DELTA and the settings beside it. `optsync rankings` prints it.",
    kinds={"postgres"},
    group_name="market_data",
    freshness_policy=FRESHNESS,
)
def premium_rankings(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[PipelineResource]
) -> dg.MaterializeResult[None]:
    """Rank the premiums that were quoted in the latest session, and say of which syncs the ranking knows.

    Without any such premium the old ranking stays, and the check `ranking_sorted` fails for its age.
    """
    now = pipeline.clock()
    opened = latest_session(now).open
    with pipeline.open_for_step(context) as database:
        # Read before ranking: a job that ends meanwhile is ranked by the next run.
        jobs = [job["job_id"] for job in sync_log.jobs_to_rank(database)]
        counts = rankings.replace_rankings(
            database, limits=ranking_limits(pipeline.settings), fresh_since=opened, now=now
        )
        # Also where nothing could be ranked: the sensor would ask for the same ranking again for ever.
        sync_log.mark_ranked(database, jobs, now)
        rows = rankings.read_rankings(database) if counts else []
    metadata = ranking_metadata(rows)
    if not counts:
        metadata["nothing_fresh"] = dg.MetadataValue.text(nothing_fresh(opened, jobs))
    return dg.MaterializeResult(metadata=metadata)


def ranking_limits(settings: Settings) -> RankingLimits:
    """Return the settings' limits on what is ranked."""
    return RankingLimits(
        min_abs_delta=settings.min_abs_delta,
        max_abs_delta=settings.max_abs_delta,
        max_spread_pct=settings.max_spread_pct,
        min_open_interest=settings.min_open_interest,
        min_otm_pct=settings.min_otm_pct,
    )


def ranking_metadata(rows: Sequence[dict[str, Any]]) -> dict[str, dg.MetadataValue]:
    """Return for each strategy how many are ranked, which symbol is best, and the first ten as a table."""
    metadata: dict[str, dg.MetadataValue] = {}
    for strategy in STRATEGIES:
        ranked = [row for row in rows if row["strategy"] == strategy]
        metadata[f"{strategy}_count"] = dg.MetadataValue.int(len(ranked))
        if ranked:
            metadata[f"{strategy}_best"] = dg.MetadataValue.text(ranked[0]["symbol"])
            metadata[f"{strategy}_top"] = dg.MetadataValue.md(_markdown_table(ranked[:ROWS_SHOWN]))
    return metadata


def nothing_fresh(opened: datetime, jobs: Sequence[int]) -> str:
    """Return why nothing was ranked, and what became of the old ranking and of the syncs that waited for a new one."""
    waited = ", ".join(map(str, jobs))
    return (
        f"No premium was quoted since the latest session opened ({opened:%Y-%m-%d %H:%M} UTC): the old ranking stays "
        f"as it was. Syncs marked as ranked all the same: {waited or 'none'}."
    )


def _markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| # | symbol | expiration | strike | premium $ | monthly % | delta | spread % |",
        "|--:|:--|:--|" + "--:|" * 5,
    ]
    lines += (
        f"| {row['rank']} | {row['symbol']} | {row['expiration_date']} | {row['strike_price']:g} "
        f"| {row['premium']:.0f} | {row['monthly_return']:.2f} | {row['delta']:.2f} | {row['spread_pct']:.1f} |"
        for row in rows
    )
    return "\n".join(lines)
