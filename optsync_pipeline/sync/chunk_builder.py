"""Makes the rows of each chunk of a run, with what is stored of its symbols; a reply that breaks our code fails alone.

How replies become rows is chunk.py's and price_chunk.py's.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from optsync_pipeline.settings import Settings
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import ChunkRows
from optsync_pipeline.sync.chunk import build_chunk
from optsync_pipeline.sync.fetch_pool import Fetched, undigested
from optsync_pipeline.sync.price_chunk import build_price_chunk

log = logging.getLogger(__name__)


class ChunkBuilder:
    """Builds the chunks of one job. delays: how far each provider's quotes lie behind the market."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], datetime],
        *,
        job_id: int,
        delays: Mapping[str, timedelta],
        prices_only: bool,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._job_id = job_id
        self._delays = delays
        self._prices_only = prices_only

    def build(self, settled: Sequence[Fetched]) -> Iterator[ChunkRows]:
        """Turn replies into rows: one chunk, or one for each symbol where the whole cannot be built."""
        make_rows = self._row_maker([one.request.symbol for one in settled])
        try:
            yield make_rows(settled)
        except Exception:
            log.exception("a chunk of %d symbols cannot be built as a whole", len(settled))
            for one in settled:
                try:
                    yield make_rows([one])
                except Exception as bug:  # noqa: BLE001 - this symbol's reply; the others go on
                    yield make_rows([undigested(one, bug)])

    def _row_maker(self, symbols: Sequence[str]) -> Callable[[Sequence[Fetched]], ChunkRows]:
        """Read what is stored of the chunk's symbols; return what makes rows of any part of it."""
        common: dict[str, Any] = {
            "job_id": self._job_id,
            "settings": self._settings,
            "now": self._clock(),
            "delays": self._delays,
        }
        if self._prices_only:
            known = stocks.known_expirations(self._database, symbols, on_or_after=date.min)
            return partial(build_price_chunk, **common, known=known)
        return partial(build_chunk, **common, stored=stocks.stored_quotes(self._database, symbols))
