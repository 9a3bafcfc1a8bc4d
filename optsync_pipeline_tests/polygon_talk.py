"""Questions to the Polygon provider and replies of a scripted Polygon, as several test modules need them."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from optsync_pipeline.providers.base import ChainReply, ChainRequest, FetchError
from optsync_pipeline.providers.polygon import PolygonProvider
from optsync_pipeline.providers.transport import TIMEOUT, Timeout
from optsync_pipeline_tests.stand_in import Hit, Reply, occ

NOW = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)  # a Thursday: 30 days on is Saturday, August 15
AUGUST_7, AUGUST_14, AUGUST_21 = date(2026, 8, 7), date(2026, 8, 14), date(2026, 8, 21)
SEPTEMBER_18 = date(2026, 9, 18)
KEY = "abc_SECRET_123"  # pragma: allowlist secret


def provider(url: str, key: str = KEY, timeout: Timeout = TIMEOUT) -> PolygonProvider:
    return PolygonProvider(stand_in_url=url, api_key=SecretStr(key), timeout=timeout)


def nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def row(expiration: date = AUGUST_14, option_type: str = "put", strike: float = 95.0, /, **changes: Any) -> Any:
    """Return a contract of AAPL as Polygon writes it; `changes` replace fields, or parts of details and last_quote."""
    details = {
        "contract_type": option_type,
        "exercise_style": "american",
        "expiration_date": expiration.isoformat(),
        "shares_per_contract": 100,
        "strike_price": strike,
        "ticker": "O:" + occ("AAPL", expiration, option_type, strike),
    }
    quote = {"bid": 1.5, "ask": 1.7, "bid_size": 3, "ask_size": 4, "last_updated": nanoseconds(NOW)}
    written = {
        "break_even_price": strike - 1.6,
        "day": {"close": 1.55, "volume": 12.0, "last_updated": nanoseconds(NOW)},
        "details": details,
        "greeks": {"delta": -0.31, "gamma": 0.02, "theta": -0.05, "vega": 0.11},
        "implied_volatility": 0.35,
        "last_quote": quote,
        "last_trade": {"price": 1.6, "sip_timestamp": nanoseconds(NOW), "size": 1},
        "open_interest": 340,
        "underlying_asset": {"price": 100.0, "ticker": "AAPL", "last_updated": nanoseconds(NOW)},
    }
    for name, value in changes.items():
        for part in (details, quote):
            if name in part:
                part[name] = value
                break
        else:
            written[name] = value
    return {name: value for name, value in written.items() if value is not ...}


def page(*rows: Any, next_url: Any = ...) -> Reply:
    body = {"request_id": "1", "status": "OK", "results": list(rows), "next_url": next_url}
    return Reply({name: value for name, value in body.items() if value is not ...})


def as_polygon_answers(listed: list[date], page_size: int = 250) -> Callable[[Hit], Reply]:
    """Answer as Polygon does: the contracts of the expirations that pass the filters, two an expiration, in pages."""
    rows = [row(expiration, option_type) for expiration in listed for option_type in ("put", "call")]

    def answer(hit: Hit) -> Reply:
        query = hit.query
        if "cursor" in query:
            first, low, high = query["cursor"].split("_")
        else:
            exact = query.get("expiration_date")
            low = exact or query.get("expiration_date.gte", "0")
            first, high = "0", exact or query.get("expiration_date.lte", "9")
        passing = [one for one in rows if low <= one["details"]["expiration_date"] <= high]
        start, end = int(first), int(first) + page_size
        next_url = f"https://api.polygon.io{hit.path}?cursor={end}_{low}_{high}" if end < len(passing) else ...
        return page(*passing[start:end], next_url=next_url)

    return answer


def ask(
    polygon: PolygonProvider,
    symbol: str = "AAPL",
    dtes: tuple[int, ...] = (30,),
    known: tuple[date, ...] = (),
    known_provider: str | None = "polygon",
    now: datetime = NOW,
) -> ChainReply:
    return polygon.fetch_chain(ChainRequest(symbol, dtes, now, known, known_provider))


def fail(polygon: PolygonProvider, error: type[FetchError], **question: Any) -> FetchError:
    with pytest.raises(error) as caught:
        ask(polygon, **question)
    assert type(caught.value) is error
    return caught.value
