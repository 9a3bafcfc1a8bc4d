"""Are the stocks that matter there first? How long the first 100 take of the whole sync.

    python -m benchmarks.priority [--symbols 1205] [--per-minute 1200]

A first sync without limits makes volumes, prices and expirations known. Then the 100 stocks at the end of the order are
made to matter: ten are asked for by a person, the others watched. The second sync, at a limit that makes it last a
minute, counts: when the last of the 100 was written, from the job's begin to its end. Beside it the same 100 in the
first sync, where they came last.
"""

import argparse
from collections.abc import Collection, Sequence

from benchmarks.measured_syncs import Home, MeasuredSync, limits_of, new_home, verdict
from optsync_pipeline.sandbox.running import sandbox_process
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database

THAT_MATTER = 100
ASKED_FOR = 10
TARGET = 0.1
UNLIMITED = 1_000_000


def those_at_the_end(home: Home) -> list[str]:
    """Return the 100 stocks that would be asked last."""
    database = Database(home.run("db", "url").strip())
    try:
        return stocks.active_symbols(database)[-THAT_MATTER:]
    finally:
        database.close()


def let_them_matter(home: Home, symbols: Sequence[str]) -> None:
    """Ask for some of the stocks, and watch the others."""
    home.run("refresh", *symbols[:ASKED_FOR])
    home.run("watchlist", "create", "priority")
    home.run("watchlist", "add", "priority", *symbols[ASKED_FOR:])


def share_of_time(home: Home, measured: MeasuredSync, symbols: Collection[str]) -> tuple[float, float]:
    """Return after how many seconds the last of the stocks was written, and which share of the whole that is."""
    database = Database(home.run("db", "url").strip())
    try:
        query = "SELECT max(last_updated) AS at FROM stock_data WHERE symbol = ANY(%s)"
        row = database.fetch_one(query, (list(symbols),))
    finally:
        database.close()
    assert row is not None
    seconds = (row["at"] - measured.job["started_at"]).total_seconds()
    return seconds, seconds / measured.job_seconds


def main() -> None:
    """Measure, and print it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--symbols", type=int, default=1205)
    arguments.add_argument("--per-minute", type=int, default=1200)
    options = arguments.parse_args()
    with sandbox_process(symbols=options.symbols) as sandbox:
        settings = sandbox.environment_of("yahoo") | limits_of("yahoo", UNLIMITED, UNLIMITED)
        with new_home(sandbox, settings) as home:
            first = home.sync()
            symbols = those_at_the_end(home)
            untouched = share_of_time(home, first, symbols)
            let_them_matter(home, symbols)
            second = home.sync(settings=limits_of("yahoo", options.per_minute, UNLIMITED))
            ahead = share_of_time(home, second, symbols)
    print(f"{'':34}{'seconds':>9}{'of':>8}{'share':>8}")
    print(f"{'the 100, untouched':34}{untouched[0]:9.1f}{first.job_seconds:8.1f}{untouched[1]:8.2f}")
    print(f"{'the same 100, asked for or watched':34}{ahead[0]:9.1f}{second.job_seconds:8.1f}{ahead[1]:8.2f}")
    print(f"target: at most {TARGET:g}: {verdict(ahead[1] <= TARGET)}")


if __name__ == "__main__":
    main()
