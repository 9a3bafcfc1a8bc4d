"""What a running sync tells the log, and the counters of `optsync metrics`: start, commits, symbols, end.

What single attempts fail of is logged where they are made (fetching/router.py); the job's own life in the database is
storage/sync_log.py's.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from optsync_pipeline.storage import metric_totals
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import ChunkRows

log = logging.getLogger(__name__)


class RunLog:
    """Tells of one run; everything it logs is about the job that is bound where it is called."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._began = time.monotonic()
        self._told: Counter[str] = Counter()

    def started(self, sync_type: str, todo: int, done_before: int) -> None:
        """Tell that the run begins."""
        event = "sync begins: %d symbols to do, %d done before"
        log.info(event, todo, done_before, extra={"sync_type": sync_type, "symbols": todo})

    @contextmanager
    def commit(self, chunk: ChunkRows) -> Iterator[None]:
        """Time the writing of a chunk within the block; tell of it and of its symbols once it is committed."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        rows = len(chunk.option_chains) + len(chunk.stock_premiums) + len(chunk.stock_data) + len(chunk.stock_prices)
        measured = {"symbols": len(chunk.results), "rows": rows, "ms": round(seconds * 1000)}
        log.info("committed %d symbols", len(chunk.results), extra=measured)
        for row in chunk.results:
            self._told[row["status"]] += 1
            log.info(
                "%s" if row["error_message"] is None else "%s: %s",
                *(text for text in (row["status"], row["error_message"]) if text is not None),
                extra={
                    "symbol": row["symbol"],
                    "provider": row["data_provider"],
                    "error_type": row["error_type"],
                    "requests": row["requests"],
                    "retries": row["retry_count"],
                    "contracts": row["options_inserted"],
                    "ms": round(row["duration_ms"]),
                },
            )
        metric_totals.add_chunk(self._database, chunk.results, write_seconds=seconds, rows=rows)

    def ended(self, how: str) -> None:
        """Tell how the run ended; a job of which nothing could be done is a warning."""
        seconds = time.monotonic() - self._began
        log.log(
            logging.WARNING if how == "failed" else logging.INFO,
            "sync ends: %s, %d ok, %d failed, %d skipped in this run",
            how,
            *(self._told[status] for status in ("success", "failed", "skipped")),
            extra={"status": how, "seconds": round(seconds, 1), **self._told},
        )
