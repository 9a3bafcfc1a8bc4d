"""How fast are a sync's rows written, beside a bare COPY of the same rows into the same indexed tables?

    python -m benchmarks.storage_write

Both write the five market tables of 1,200 symbols with 80 contracts each. Bare: one COPY a table, all rows rendered
beforehand, into empty tables, one transaction. Ours: `write_chunk` in chunks of 100 symbols, rendering included, first
into empty tables and then again over its own rows, as each day's sync does. Best of three, on a server of its own.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from optsync_pipeline.storage.copying import COLUMNS, copy_rendered, render
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.market_tables import ChunkRows, write_chunk
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline_tests.chunks import make_chunk, open_job

SYMBOLS = 1200
CONTRACTS = 80
CHUNK_SYMBOLS = 100
ROUNDS = 3
TARGET_RATIO = 0.4


def measure(database: Database) -> dict[str, float]:
    """Return the best seconds of each way."""
    symbols = [f"S{number}" for number in range(SYMBOLS)]
    job_id = open_job(database, symbols)
    parts = [symbols[start : start + CHUNK_SYMBOLS] for start in range(0, SYMBOLS, CHUNK_SYMBOLS)]
    chunks = [make_chunk(job_id, part, contracts=CONTRACTS) for part in parts]
    print(f"{rows_of(chunks):,} rows in {len(chunks)} chunks of {CHUNK_SYMBOLS} symbols")
    rendered = {table: b"".join(render(table, getattr(chunk, table)) for chunk in chunks) for table in COLUMNS}
    ways: dict[str, Callable[[], None]] = {
        "bare COPY": lambda: copy_bare(database, rendered),
        "ours, first time": lambda: write_all(database, chunks),
        "ours, replacing": lambda: write_all(database, chunks),
    }
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, write in ways.items():
            if name != "ours, replacing":
                empty(database)
            started = time.perf_counter()
            write()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - started)
    return best


def rows_of(chunks: Sequence[ChunkRows]) -> int:
    """Count the rows of all tables."""
    return sum(len(getattr(chunk, table)) for chunk in chunks for table in COLUMNS)


def empty(database: Database) -> None:
    """Empty the tables, and let the server write down what it still holds, so that each way begins alike."""
    database.execute(f"TRUNCATE {', '.join(COLUMNS)}")
    with closing(database.dedicated_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def copy_bare(database: Database, rendered: dict[str, bytes]) -> None:
    """Write rendered rows and nothing else."""
    with database.transaction() as cursor:
        for table, text in rendered.items():
            copy_rendered(cursor, table, text)


def write_all(database: Database, chunks: Sequence[ChunkRows]) -> None:
    """Write the chunks as a sync does."""
    for chunk in chunks:
        refused = write_chunk(database, chunk)
        assert not refused


def main() -> None:
    """Print rows a second and the ratios."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user
        server = EmbeddedPostgres(Path(folder) / "home", system_folder=Path(folder) / "system")
        try:
            database = Database(server.ensure_running())
            apply_migrations(database)
            best = measure(database)
            database.close()
        finally:
            server.stop()
    rows = SYMBOLS * (2 + 2 * CONTRACTS)  # of each symbol one contract is rejected instead of sold
    for name, seconds in best.items():
        ratio = best["bare COPY"] / seconds
        print(f"{name:18} {seconds:6.2f} s  {rows / seconds:9,.0f} rows/s  {ratio:5.2f} of bare COPY")
    worst = best["bare COPY"] / max(best["ours, first time"], best["ours, replacing"])
    verdict = "reached" if worst >= TARGET_RATIO else "MISSED"
    print(f"target: at least {TARGET_RATIO} of bare COPY: {verdict} ({worst:.2f})")


if __name__ == "__main__":
    main()
