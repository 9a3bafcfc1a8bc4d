"""Which path of Polygon is whose: every request becomes a Question for the exchange. Paths are the real ones."""

from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from optsync_pipeline.sandbox.accounts import POLYGON_API_KEY
from optsync_pipeline.sandbox.exchange import EXCHANGE, Question
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.polygon_query import page_number, underlying_of
from optsync_pipeline.sandbox.refusals import polygon_refusal
from optsync_pipeline.sandbox.replies import Reply


def polygon_routes() -> list[web.RouteDef]:
    """Return the routes of Polygon."""
    return [
        web.get("/polygon/v3/snapshot/options/{symbol}", _snapshot),
        web.get("/polygon/v3/reference/options/contracts", _contracts),
    ]


async def _snapshot(request: web.Request) -> web.StreamResponse:
    symbol = request.match_info["symbol"]
    polygon = request.app[EXCHANGE].polygon
    return await _answer(
        request,
        "snapshot",
        symbol,
        lambda market, now, unknown_status: polygon.snapshot(market, symbol, request.query, now, unknown_status),
    )


async def _contracts(request: web.Request) -> web.StreamResponse:
    polygon, symbol = request.app[EXCHANGE].polygon, underlying_of(request.query)
    return await _answer(
        request,
        "reference",
        symbol,
        lambda market, now, unknown_status: polygon.contracts(market, symbol, request.query, now),
    )


async def _answer(
    request: web.Request, path: str, symbol: str, make: Callable[[Market, datetime, int], Reply]
) -> web.StreamResponse:
    def face(market: Market, now: datetime, unknown_status: int) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {POLYGON_API_KEY}":
            return polygon_refusal(401)
        return make(market, now, unknown_status)

    symbols = (symbol,) if symbol else ()
    return await request.app[EXCHANGE].answer(
        request, Question("polygon", path, symbols, face, page_number(request.query))
    )
