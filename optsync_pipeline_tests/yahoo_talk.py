"""Questions to the Yahoo provider and replies of a scripted Yahoo, as several test modules need them."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from optsync_pipeline.providers.base import ChainReply, ChainRequest, FetchError
from optsync_pipeline.providers.yahoo import YahooProvider
from optsync_pipeline_tests.stand_in import Hit, Reply, yahoo_chain

NOW = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)
AUGUST_14, AUGUST_21, SEPTEMBER_18 = date(2026, 8, 14), date(2026, 8, 21), date(2026, 9, 18)
LISTED = [AUGUST_14, AUGUST_21, SEPTEMBER_18]
HTML = "<html><body>Will be right back...</body></html>"


def chain(shown: date | None = AUGUST_14, symbol: str = "AAPL", listed: list[date] = LISTED, **changes: Any) -> Reply:
    return Reply(yahoo_chain(symbol, listed, shown, **{"quoted_at": NOW, **changes}))


def as_yahoo_answers(symbol: str, listed: list[date]) -> Any:
    """Answer any date as Yahoo does: an unlisted one with the full list and no contracts."""

    def answer(hit: Hit) -> Reply:
        asked = datetime.fromtimestamp(int(hit.query["date"]), UTC).date()
        return chain(asked, symbol, listed)

    return answer


def ask(
    yahoo: YahooProvider,
    symbol: str = "AAPL",
    dtes: tuple[int, ...] = (30,),
    known: tuple[date, ...] = (),
    known_provider: str | None = "yahoo",
) -> ChainReply:
    return yahoo.fetch_chain(ChainRequest(symbol, dtes, NOW, known, known_provider))


def fail(yahoo: YahooProvider, error: type[FetchError], **question: Any) -> FetchError:
    with pytest.raises(error) as caught:
        ask(yahoo, **question)
    assert type(caught.value) is error
    return caught.value
