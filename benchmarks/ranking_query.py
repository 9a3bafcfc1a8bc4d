"""How long does it take to find the best contract of each symbol among 100,000?

    python -m benchmarks.ranking_query

The query is the one that the ranking uses (sql/queries/rank_premiums.sql), for puts and for calls: one probe of the
index a symbol, so its time grows with the symbols and not with the expirations stored of each. Beside it DISTINCT ON,
whose time grows with the contracts. Median of 50, rows received, on a server of its own.
"""

import statistics
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from optsync_pipeline.options.ranking import STRATEGIES, RankingLimits
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.storage.queries import sql_text
from optsync_pipeline.storage.rankings import ranking_params, replace_rankings
from optsync_pipeline_tests.chunks import NOW, open_job

SYMBOLS = 1205
CONTRACTS = 100_000
ROUNDS = 50
TARGET_MS = 10.0
FRESH_SINCE = NOW - timedelta(hours=2)

# Like a real chain: strikes from 70 to 130 % of the price, delta and return following the strike, rows of one symbol
# side by side as COPY leaves them.
_FILL = """
INSERT INTO stock_premiums (
    symbol, expiration_date, strike_price, option_type, contract_symbol, dte, underlying_price, bid, ask, premium,
    delta, implied_volatility, greeks_source, volume, open_interest, spread_pct, break_even, collateral,
    monthly_return, annual_return, probability_of_profit, quoted_at, data_provider, updated_at
)
SELECT stocks.symbol, '2026-08-21', strike, option_type,
       stocks.symbol || '260821' || upper(left(option_type, 1)) || lpad((1000 * strike)::bigint::text, 8, '0'), 36,
       100, 1.5, 1.6, 150, CASE option_type WHEN 'put' THEN -1 ELSE 1 END * in_the_money, 0.35, 'black_scholes', 10,
       (exp(random() * 9))::int, random() * 20, 50, 9000, 12 * in_the_money * (0.9 + 0.2 * random()),
       146 * in_the_money, 1 - in_the_money, %(now)s, 'yahoo', %(now)s
FROM stocks
CROSS JOIN (VALUES ('put', 1), ('call', -1)) AS sides (option_type, side)
CROSS JOIN generate_series(1, %(strikes)s) AS numbers (number)
CROSS JOIN LATERAL (SELECT 70 + 60.0 * number / %(strikes)s AS strike) AS ladder
CROSS JOIN LATERAL (SELECT 1 / (1 + exp(side * (100 - strike) / 5)) AS in_the_money) AS chances
"""
_DISTINCT_ON = """
SELECT DISTINCT ON (symbol) *
FROM stock_premiums
JOIN stocks USING (symbol)
WHERE is_active AND option_type = %(option_type)s AND abs(delta) BETWEEN %(min_abs_delta)s AND %(max_abs_delta)s
  AND spread_pct <= %(max_spread_pct)s AND open_interest >= %(min_open_interest)s
  AND quoted_at >= %(fresh_since)s AND expiration_date >= %(today)s
  AND CASE option_type WHEN 'put' THEN strike_price <= underlying_price ELSE strike_price >= underlying_price END
ORDER BY symbol, monthly_return DESC, open_interest DESC
"""


def fill(database: Database) -> None:
    """Store the contracts, as many puts as calls."""
    open_job(database, [f"S{number}" for number in range(SYMBOLS)])
    database.execute(_FILL, {"strikes": CONTRACTS // SYMBOLS // 2 + 1, "now": NOW})
    with closing(database.dedicated_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def median_ms(database: Database, sql: str, params: dict[str, Any]) -> float:
    """Return the median of the query's time in milliseconds, until its rows are received."""
    times = []
    for _ in range(ROUNDS):
        with database.transaction() as cursor:
            started = time.perf_counter()
            cursor.execute(sql, params)
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def measure(database: Database) -> None:
    """Print the plan, the medians and whether the target is reached."""
    fill(database)
    rows = database.fetch_one("SELECT count(*) AS rows FROM stock_premiums")
    print(f"{rows['rows'] if rows else 0:,} contracts of {SYMBOLS:,} symbols")
    slowest = 0.0
    for strategy in STRATEGIES:
        params = ranking_params(strategy, limits=RankingLimits(), fresh_since=FRESH_SINCE, now=NOW)
        plan = [row["QUERY PLAN"] for row in database.fetch_all(f"EXPLAIN {sql_text('rank_premiums')}", params)]
        ranked = len(database.fetch_all("rank_premiums", params))
        ours, other = (median_ms(database, sql, params) for sql in (sql_text("rank_premiums"), _DISTINCT_ON))
        slowest = max(slowest, ours)
        beside = f"DISTINCT ON {other:.1f} ms, {other / ours:.1f} times as long"
        print(f"{strategy:16} {ranked} symbols ranked: median {ours:.1f} ms; {beside}")
        print(next(line.strip() for line in plan if "Index" in line and "stock_premiums" in line))
    started = time.perf_counter()
    replace_rankings(database, limits=RankingLimits(), fresh_since=FRESH_SINCE, now=NOW)
    print(f"both rankings written in {1000 * (time.perf_counter() - started):.0f} ms")
    print(f"target: median below {TARGET_MS:g} ms: {'reached' if slowest < TARGET_MS else 'MISSED'} ({slowest:.1f})")


def main() -> None:
    """Measure on a server that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user
        server = EmbeddedPostgres(Path(folder) / "home", system_folder=Path(folder) / "system")
        try:
            database = Database(server.ensure_running())
            apply_migrations(database)
            measure(database)
            database.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
