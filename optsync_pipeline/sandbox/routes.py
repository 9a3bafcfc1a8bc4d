"""Which path of Yahoo and Cboe is whose: every request of theirs becomes a Question for the exchange.

The paths below `/yahoo` and `/cboe` are the real hosts' own; Yahoo's do not collide across its hosts. Robinhood's are
in robinhood_routes.py, Polygon's in polygon_routes.py.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from aiohttp import web

from optsync_pipeline.sandbox.exchange import EXCHANGE, Question
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.replies import Reply
from optsync_pipeline.sandbox.yahoo_chart import chart


def yahoo_and_cboe_routes() -> list[web.RouteDef]:
    """Return the routes of both vendors."""
    return [
        web.get("/yahoo", _yahoo_cookie),
        web.get("/yahoo/", _yahoo_cookie),
        web.get("/yahoo/v1/test/getcrumb", _yahoo_crumb),
        web.get("/yahoo/consent", _yahoo_consent),
        web.post("/yahoo/v2/collectConsent", _yahoo_consent_given),
        web.get("/yahoo/copyConsent", _yahoo_consent_given),
        web.get("/yahoo/v7/finance/options/{symbol}", _yahoo_options),
        web.get("/yahoo/v7/finance/quote", _yahoo_quotes),
        web.get("/yahoo/v8/finance/chart/{symbol}", _yahoo_chart),
        web.get("/cboe/api/global/delayed_quotes/options/{symbol}.json", _cboe_chain),
    ]


async def _yahoo_cookie(request: web.Request) -> web.StreamResponse:
    return await _door(request, "cookie", request.app[EXCHANGE].yahoo_access.cookie_page)


async def _yahoo_crumb(request: web.Request) -> web.StreamResponse:
    access = request.app[EXCHANGE].yahoo_access
    return await _door(request, "crumb", partial(access.crumb_for, request.cookies.get("A3")))


async def _yahoo_consent(request: web.Request) -> web.StreamResponse:
    return await _door(request, "consent", request.app[EXCHANGE].yahoo_access.consent_page)


async def _yahoo_consent_given(request: web.Request) -> web.StreamResponse:
    return await _door(request, "consent", request.app[EXCHANGE].yahoo_access.consent_given)


async def _door(request: web.Request, path: str, make: Callable[[], Reply]) -> web.StreamResponse:
    question = Question("yahoo", path, (), lambda market, now, unknown_status: make())
    return await request.app[EXCHANGE].answer(request, question)


async def _yahoo_options(request: web.Request) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    symbol = exchange.yahoo.symbol_of(request.match_info["symbol"])

    def face(market: Market, now: datetime, unknown_status: int) -> Reply:
        if request.query.get("crumb") != exchange.yahoo_access.crumb:
            return exchange.yahoo_access.invalid_crumb()
        return exchange.yahoo.options(market, symbol, request.query.get("date"), now, unknown_status)

    return await exchange.answer(request, Question("yahoo", "options", (symbol,), face))


async def _yahoo_quotes(request: web.Request) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    asked_for = request.query.get("symbols", "").split(",")
    symbols = tuple(exchange.yahoo.symbol_of(symbol) for symbol in asked_for if symbol)

    def face(market: Market, now: datetime, unknown_status: int) -> Reply:
        if request.query.get("crumb") != exchange.yahoo_access.crumb:
            return exchange.yahoo_access.invalid_crumb()
        return exchange.yahoo.quotes(market, symbols, now)

    return await exchange.answer(request, Question("yahoo", "quote", symbols, face))


async def _yahoo_chart(request: web.Request) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    symbol = exchange.yahoo.symbol_of(request.match_info["symbol"])
    question = Question(
        "yahoo", "chart", (symbol,), lambda market, now, unknown_status: chart(market, symbol, request.query, now)
    )
    return await exchange.answer(request, question)


async def _cboe_chain(request: web.Request) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    symbol = exchange.cboe.symbol_of(request.match_info["symbol"])
    question = Question(
        "cboe",
        "chain",
        (symbol,),
        lambda market, now, unknown_status: exchange.cboe.chain_file(market, symbol, now, unknown_status),
    )
    return await exchange.answer(request, question)
