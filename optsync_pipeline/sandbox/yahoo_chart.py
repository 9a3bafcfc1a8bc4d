"""A market in Yahoo's words: `v8/finance/chart`, daily histories only."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from optsync_pipeline.sandbox.model import DayBar, Market
from optsync_pipeline.sandbox.replies import Reply
from optsync_pipeline.sandbox.sessions import NEW_YORK, new_york_date, session_book
from optsync_pipeline.sandbox.yahoo import error_reply, yahoo_symbol

_DAYS_BY_RANGE = {"1d": 1, "5d": 7, "1mo": 31, "3mo": 92, "6mo": 183, "1y": 365, "2y": 730, "max": 730}


def chart(market: Market, symbol: str, query: Mapping[str, str], now: datetime) -> Reply:
    """Return daily bars for `range`, or from `period1` to `period2` (seconds since 1970)."""
    try:
        market.company(symbol)
    except KeyError:
        return error_reply("chart", 404, "Not Found", "No data found, symbol may be delisted")
    interval = query.get("interval", "1d")
    if interval != "1d":
        return error_reply("chart", 422, "Unprocessable Entity", "the sandbox has interval=1d only")
    try:
        first, last = _period(query, now)
    except (ValueError, OverflowError, OSError):
        return error_reply("chart", 400, "Bad Request", f"range must be one of {', '.join(_DAYS_BY_RANGE)}")
    bars = [bar for bar in market.history(symbol, first, now) if bar.date <= last]
    if query.get("range") == "1d":
        bars = bars[-1:]
    result: dict[str, Any] = {
        "meta": _meta(market, symbol, now, query.get("range", "")),
        "indicators": _indicators(bars),
    }
    if bars:
        result["timestamp"] = [_opening(bar.date, now) for bar in bars]
    return Reply(200, orjson.dumps({"chart": {"result": [result], "error": None}}))


def _period(query: Mapping[str, str], now: datetime) -> tuple[date, date]:
    if "period1" in query:
        first, last = (
            datetime.fromtimestamp(int(query[name]), UTC).astimezone(NEW_YORK).date() if name in query else None
            for name in ("period1", "period2")
        )
        assert first is not None
        return first, last or new_york_date(now)
    name = query.get("range", "1d")
    if name not in _DAYS_BY_RANGE:
        raise ValueError(name)
    # A weekend's "1d" is the last session, up to four days back.
    return new_york_date(now) - timedelta(days=max(_DAYS_BY_RANGE[name], 5)), new_york_date(now)


def _opening(day: date, now: datetime) -> int:
    session = session_book(now).on(day)
    assert session is not None
    return int(session.opens_at.timestamp())


def _indicators(bars: list[DayBar]) -> dict[str, Any]:
    if not bars:
        return {"quote": [{}], "adjclose": [{}]}
    columns = {name: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close", "volume")}
    return {"quote": [columns], "adjclose": [{"adjclose": columns["close"]}]}


def _meta(market: Market, symbol: str, now: datetime, range_name: str) -> dict[str, Any]:
    stock = market.stock(symbol, now)
    session = session_book(now).latest(now)
    opens_at, closes_at = (int(moment.timestamp()) for moment in (session.opens_at, session.closes_at))
    offset = int((session.opens_at.astimezone(NEW_YORK).utcoffset() or timedelta()).total_seconds())
    zone = {"timezone": f"{session.opens_at.astimezone(NEW_YORK):%Z}", "gmtoffset": offset}
    return {
        "currency": "USD",
        "symbol": yahoo_symbol(symbol),
        "exchangeName": "NMS",
        "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 345479400,
        "regularMarketTime": int(stock.quoted_at.timestamp()),
        "regularMarketPrice": stock.price,
        "chartPreviousClose": stock.previous_close,
        "previousClose": stock.previous_close,
        "regularMarketVolume": stock.volume,
        "hasPrePostMarketData": True,
        **zone,
        "exchangeTimezoneName": "America/New_York",
        "priceHint": 2,
        "currentTradingPeriod": {
            "pre": {**zone, "start": opens_at - 19_800, "end": opens_at},
            "regular": {**zone, "start": opens_at, "end": closes_at},
            "post": {**zone, "start": closes_at, "end": closes_at + 14_400},
        },
        "dataGranularity": "1d",
        "range": range_name,
        "validRanges": list(_DAYS_BY_RANGE),
    }
