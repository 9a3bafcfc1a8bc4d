"""The checks of what the tables hold: evaluated in the ranking's job, before and after the ranking.

The checks of a sync belong to the step that syncs (assets/sync_checks.py).

A check here hangs on its asset by name alone, without an input. With an input it would be SKIPPED, and SKIPPED would be
its last word, whenever its asset yields no Output in the same run: stock_premiums never does (assets/market_data.py
says why), and premium_rankings does not when `premium_schema` stops it. Order within a run comes from the priority
tag, which the in-process executor keeps: syncing and ranking have 0, so they come first wherever nothing blocks them.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby

import dagster as dg
import pandas as pd

from optsync_pipeline.calendar import latest_finished_sessions, latest_session
from optsync_pipeline.resources import PipelineResource
from optsync_pipeline.storage import table_checks
from optsync_pipeline.storage.database import Database

TableCheck = Callable[[Database, datetime], dg.AssetCheckResult]

AFTER_THE_SYNC = -1
AFTER_THE_RANKING = -2

OUTDATED_PCT = 5.0
STOCKS_NAMED = 20


def table_check(spec: dg.AssetCheckSpec, priority: int) -> Callable[[TableCheck], dg.AssetChecksDefinition]:
    """Make a check of what a table holds out of a function of the database and the time."""

    def decorate(evaluate: TableCheck) -> dg.AssetChecksDefinition:
        @dg.op(
            name=f"{spec.asset_key.path[-1]}_{spec.name}",
            description=spec.description,
            out={"result": dg.Out(None)},
            tags={"dagster/priority": str(priority)},
        )
        def check_table(
            context: dg.OpExecutionContext, pipeline: dg.ResourceParam[PipelineResource]
        ) -> dg.AssetCheckResult:
            with pipeline.open_for_step(context) as database:
                return evaluate(database, pipeline.clock())

        made: dg.AssetChecksDefinition = dg.AssetChecksDefinition.create(
            keys_by_input_name={},
            node_def=check_table,
            check_specs_by_output_name={"result": spec},
            can_subset=False,
        )
        return made

    return decorate


@table_check(
    dg.AssetCheckSpec(
        "premium_schema",
        asset="stock_premiums",
        blocking=True,
        description="Every row keeps the schema, and its premium and returns follow from its own bid, strike and dte.",
    ),
    AFTER_THE_SYNC,
)
def premium_schema(database: Database, _now: datetime) -> dg.AssetCheckResult:
    """Validate the whole table, a part at a time."""
    rows, broken = 0, Counter[str]()
    examples: dict[str, str] = {}
    for part in table_checks.premiums_in_parts(database):
        rows += len(part)
        failures = _schema_failures(part)
        broken.update(failures["check"])
        for rule, index in zip(failures["check"], failures["index"], strict=True):
            if rule not in examples and pd.notna(index):
                examples[rule] = str(part.at[index, "contract_symbol"])
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(f"{rule}: {count} rows" for rule, count in broken.most_common()) or f"{rows} rows",
        metadata={"rows": rows, "broken_by_rule": dict(broken), "first_contract_by_rule": examples},
    )


def _schema_failures(part: pd.DataFrame) -> pd.DataFrame:
    """Return pandera's failure cases: columns check and index (the row's). Empty where all rows are sound."""
    # Imported here: pandera takes half a second, which a code location that only loads need not spend.
    from pandera.errors import SchemaErrors

    from optsync_pipeline.quality.schemas import PREMIUM_SCHEMA

    try:
        PREMIUM_SCHEMA.validate(part, lazy=True)
    except SchemaErrors as errors:
        # A check over several columns is reported once for each of them.
        failures: pd.DataFrame = errors.failure_cases.drop_duplicates(["check", "index"])
        return failures
    return pd.DataFrame({"check": [], "index": []})


@table_check(
    dg.AssetCheckSpec(
        "quotes_two_sided",
        asset="stock_premiums",
        description="No zero and no crossed quote: bid above 0, ask not below bid.",
    ),
    AFTER_THE_SYNC,
)
def quotes_two_sided(database: Database, _now: datetime) -> dg.AssetCheckResult:
    """Count the rows that nobody could sell at their bid."""
    found = table_checks.count_broken_quotes(database)
    return dg.AssetCheckResult(
        passed=found.zero == 0 and found.crossed == 0,
        description=f"{found.zero} zero and {found.crossed} crossed quotes in {found.rows} rows",
        metadata={"rows": found.rows, "zero_quotes": found.zero, "crossed_quotes": found.crossed},
    )


@table_check(
    dg.AssetCheckSpec(
        "quote_age",
        asset="stock_prices",
        description=f"At most {OUTDATED_PCT:g} % of the active stocks have no quote of the latest finished session, or "
        "none at all. Stocks that are known to have no options are left aside. A warning.",
    ),
    AFTER_THE_SYNC,
)
def quote_age(database: Database, now: datetime) -> dg.AssetCheckResult:
    """Compare the stored quotes with the latest session that is over: a Friday's are fresh until Monday's close."""
    (session,) = latest_finished_sessions(now, 1)
    found = table_checks.quote_ages(database, since=session.open)
    outdated_pct = 100 * found.outdated / found.stocks if found.stocks else 0.0
    ages = {"oldest": found.oldest, "median": found.median}
    return dg.AssetCheckResult(
        passed=outdated_pct <= OUTDATED_PCT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.outdated} of {found.stocks} stocks ({outdated_pct:.1f} %) have no quote since the session "
        f"of {session.date} opened; {found.stocks - found.quoted} were never quoted",
        metadata={
            "stocks": found.stocks,
            "outdated": found.outdated,
            "outdated_pct": round(outdated_pct, 2),
            "never_quoted": found.stocks - found.quoted,
            **{
                f"{name}_quote_hours": round((now - quoted_at).total_seconds() / 3600, 2)
                for name, quoted_at in ages.items()
                if quoted_at is not None
            },
        },
    )


@table_check(
    dg.AssetCheckSpec(
        "rows_logged",
        asset="option_chains",
        description="option_chains and stock_premiums hold of each stock as many rows as the sync that last wrote it "
        "says (sync_stock_results). Else somebody else wrote or deleted rows.",
    ),
    AFTER_THE_SYNC,
)
def rows_logged(database: Database, _now: datetime) -> dg.AssetCheckResult:
    """Name the stocks whose rows are not those of the log."""
    found = table_checks.unlogged_rows(database)
    told = [
        f"{row.symbol} (sync {row.job_id or 'unknown'}): {row.chains_there} of {row.chains_logged} contracts, "
        f"{row.premiums_there} of {row.premiums_logged} premiums"
        for row in found[:STOCKS_NAMED]
    ]
    return dg.AssetCheckResult(
        passed=not found,
        description=f"stocks that differ: {len(found)}{'; ' if told else ''}{'; '.join(told[:3])}",
        metadata={"differing": len(found), "stocks": told},
    )


@table_check(
    dg.AssetCheckSpec(
        "ranking_sorted",
        asset="premium_rankings",
        description="Not empty; ranked since the latest session opened; each strategy 1 to n without gaps, by falling "
        "monthly_return.",
    ),
    AFTER_THE_RANKING,
)
def ranking_sorted(database: Database, now: datetime) -> dg.AssetCheckResult:
    """Read the ranking in its order and look for what breaks it."""
    ranked = table_checks.ranked_returns(database)
    faults = [] if ranked else ["the ranking is empty"]
    opened = latest_session(now).open
    if ranked and (oldest := min(row.ranked_at for row in ranked)) < opened:
        faults.append(
            f"the ranking is of {oldest.astimezone(UTC):%Y-%m-%d %H:%M} UTC, before the latest session opened at "
            f"{opened:%Y-%m-%d %H:%M} UTC: no premium of that session could be ranked"
        )
    sizes: dict[str, int] = {}
    for strategy, rows in groupby(ranked, key=lambda row: row.strategy):
        listed = list(rows)
        sizes[strategy] = len(listed)
        if [row.rank for row in listed] != list(range(1, len(listed) + 1)):
            faults.append(f"{strategy}: the ranks are not 1 to {len(listed)}")
        returns = [row.monthly_return for row in listed]
        if returns != sorted(returns, reverse=True):
            faults.append(f"{strategy}: not sorted by monthly_return")
    return dg.AssetCheckResult(
        passed=not faults,
        description="; ".join(faults) or ", ".join(f"{strategy}: {size}" for strategy, size in sizes.items()),
        metadata={"rows_by_strategy": sizes, "faults": faults},
    )


TABLE_CHECKS = [quote_age, rows_logged, premium_schema, quotes_two_sided, ranking_sorted]
