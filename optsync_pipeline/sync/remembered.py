"""Symbols that are not asked, because all providers said lately that there is nothing to have: they cost no request.

Whether such an answer is believed at all is proof.py's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from optsync_pipeline.fetching.router import FetchResult
from optsync_pipeline.providers.base import Answer, ChainRequest, NoOptions, UnknownSymbol
from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.stocks import RememberedAnswer
from optsync_pipeline.sync.fetch_pool import Fetched

ANSWER_HOLDS = timedelta(days=7)
_ANSWERS: dict[str, type[Answer]] = {kind.error_type: kind for kind in (NoOptions, UnknownSymbol)}


def remembered_fetches(
    database: Database, symbols: Sequence[str], providers: Sequence[str], now: datetime
) -> list[Fetched]:
    """Return the fetches, ended without a request, of those symbols that all providers answered in the last 7 days."""
    known = stocks.remembered_answers(database, symbols, providers=providers, since=now - ANSWER_HOLDS)
    return [_fetch_of(symbol, known[symbol], now) for symbol in symbols if symbol in known]


def _fetch_of(symbol: str, answer: RememberedAnswer, now: datetime) -> Fetched:
    ask_again = answer.answered_at + ANSWER_HOLDS
    said = "has no listed options" if answer.error_type == NoOptions.error_type else "is known to no provider"
    error = _ANSWERS[answer.error_type](
        f"{symbol} {said} as of {answer.answered_at:%Y-%m-%d}; asked again from {ask_again:%Y-%m-%d} on"
    )
    result = FetchResult(symbol, reply=None, error=error, attempts=(), retry_count=0, requests=0)
    return Fetched(ChainRequest(symbol, (), now), result, duration_ms=0.0)
