"""The table premium_rankings: written whole, read by rank. What may be ranked is said in options/ranking.py."""

from datetime import datetime
from typing import Any

import psycopg2.extensions

from optsync_pipeline.calendar import new_york_date
from optsync_pipeline.options.ranking import STRATEGIES, RankingLimits, Strategy
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.queries import sql_text
from optsync_pipeline.storage.watchlists import require_watchlist

_COLUMNS = (
    "strategy", "rank", "symbol", "contract_symbol", "expiration_date", "strike_price", "option_type", "dte",
    "underlying_price", "bid", "ask", "premium", "collateral", "break_even", "monthly_return", "annual_return",
    "delta", "implied_volatility", "probability_of_profit", "spread_pct", "open_interest", "quoted_at",
    "data_provider", "ranked_at",
)  # fmt: skip


def ranking_params(
    strategy: Strategy, *, limits: RankingLimits, fresh_since: datetime, now: datetime
) -> dict[str, Any]:
    """Return the parameters of the query rank_premiums."""
    return {
        "strategy": strategy,
        "option_type": STRATEGIES[strategy],
        "min_abs_delta": limits.min_abs_delta,
        "max_abs_delta": limits.max_abs_delta,
        "max_spread_pct": limits.max_spread_pct,
        "min_open_interest": limits.min_open_interest,
        "min_otm_pct": limits.min_otm_pct,
        "fresh_since": fresh_since,
        "today": new_york_date(now),
        "now": now,
    }


def replace_rankings(
    database: Database, *, limits: RankingLimits, fresh_since: datetime, now: datetime
) -> dict[Strategy, int]:
    """Rank the premiums quoted since `fresh_since`; return how many symbols each strategy was written with.

    Where no active stock has a quote so fresh (the first sync of a session is still to come) there is nothing to
    judge by: the old ranking stays, and nothing is returned. Fresh quotes that all miss the limits empty it.
    """
    insert = f"INSERT INTO premium_rankings ({', '.join(_COLUMNS)}) {sql_text('rank_premiums')}"

    def rank(cursor: psycopg2.extensions.cursor) -> dict[Strategy, int]:
        # Readers go on reading; another ranking waits.
        cursor.execute("LOCK TABLE premium_rankings IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(sql_text("has_fresh_premiums"), {"fresh_since": fresh_since})
        if cursor.fetchone() != (True,):
            return {}
        cursor.execute("DELETE FROM premium_rankings")
        counts: dict[Strategy, int] = {}
        for strategy in STRATEGIES:
            cursor.execute(insert, ranking_params(strategy, limits=limits, fresh_since=fresh_since, now=now))
            counts[strategy] = cursor.rowcount
        return counts

    return database.run_transaction(rank)


def read_rankings(
    database: Database, strategy: Strategy | None = None, limit: int | None = None, watchlist: str | None = None
) -> list[dict[str, Any]]:
    """Return ranked contracts, best first: of one strategy or of all, of a watchlist's stocks or of all, so many each.

    The ranks are those among all stocks. Raises WatchlistError where there is no such watchlist.
    """
    if watchlist is not None:
        require_watchlist(database, watchlist)
    return database.fetch_all("read_rankings", {"strategy": strategy, "limit": limit, "watchlist": watchlist})
