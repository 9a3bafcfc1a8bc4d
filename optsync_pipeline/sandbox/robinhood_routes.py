"""Which path of Robinhood is whose: every request becomes a Question for the exchange. Paths are the real ones."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from optsync_pipeline.sandbox.exchange import EXCHANGE, Question
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.refusals import robinhood_refusal
from optsync_pipeline.sandbox.replies import Reply
from optsync_pipeline.sandbox.robinhood_contracts import page_number

_ID_IN_ADDRESS = re.compile(r".*/options/instruments/([^/]+)/?")
_Face = Callable[[Market, datetime], Reply]


def robinhood_routes() -> list[web.RouteDef]:
    """Return the routes of Robinhood."""
    return [
        web.post("/robinhood/oauth2/token/", _token),
        web.post("/robinhood/pathfinder/user_machine/", _machine),
        web.get("/robinhood/pathfinder/inquiries/{id}/user_view/", _inquiry),
        web.post("/robinhood/pathfinder/inquiries/{id}/user_view/", _go_on),
        web.get("/robinhood/push/{id}/get_prompts_status/", _prompt),
        web.post("/robinhood/challenge/{id}/respond/", _respond),
        web.get("/robinhood/positions/", _positions),
        web.get("/robinhood/quotes/", _quotes),
        web.get("/robinhood/instruments/", _instruments),
        web.get("/robinhood/instruments/{id}/", _instrument),
        web.get("/robinhood/options/chains/", _chains),
        web.get("/robinhood/options/chains/{id}/", _chain),
        web.get("/robinhood/options/instruments/", _contracts),
        web.get("/robinhood/options/instruments/{id}/", _contract),
        web.get("/robinhood/marketdata/options/", _marketdata),
    ]


async def _token(request: web.Request) -> web.StreamResponse:
    form = await _form(request)
    return await _door(request, "login", lambda: request.app[EXCHANGE].robinhood_login.token(form))


async def _machine(request: web.Request) -> web.StreamResponse:
    wish = await _json_object(request)
    return await _door(request, "verification", lambda: request.app[EXCHANGE].robinhood_login.machine(wish))


async def _inquiry(request: web.Request) -> web.StreamResponse:
    login, wanted = request.app[EXCHANGE].robinhood_login, request.match_info["id"]
    return await _door(request, "verification", lambda: login.inquiry(wanted))


async def _go_on(request: web.Request) -> web.StreamResponse:
    login, wanted = request.app[EXCHANGE].robinhood_login, request.match_info["id"]
    return await _door(request, "verification", lambda: login.go_on(wanted))


async def _prompt(request: web.Request) -> web.StreamResponse:
    login, wanted = request.app[EXCHANGE].robinhood_login, request.match_info["id"]
    return await _door(request, "verification", lambda: login.prompt(wanted))


async def _respond(request: web.Request) -> web.StreamResponse:
    login, wanted, form = request.app[EXCHANGE].robinhood_login, request.match_info["id"], await _form(request)
    return await _door(request, "verification", lambda: login.respond(wanted, form))


async def _positions(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    return await _with_token(request, "token_check", (), lambda market, now: robinhood.positions())


async def _quotes(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    symbols = tuple(symbol for symbol in request.query.get("symbols", "").upper().split(",") if symbol)
    return await _with_token(request, "quote", symbols, lambda market, now: robinhood.quotes(market, symbols, now))


async def _instruments(request: web.Request) -> web.StreamResponse:
    robinhood, symbol = request.app[EXCHANGE].robinhood, request.query.get("symbol", "").upper()
    return await _with_token(
        request, "instruments", (symbol,), lambda market, now: robinhood.instruments(market, symbol, now)
    )


async def _instrument(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    symbol = robinhood.ids.symbol_of_instrument(request.match_info["id"])
    return await _of_one(request, "instruments", symbol, robinhood.instrument)


async def _chains(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    ids = request.query.get("equity_instrument_ids", "").split(",")
    symbols = tuple(symbol for symbol in map(robinhood.ids.symbol_of_instrument, ids) if symbol)
    return await _with_token(request, "chains", symbols, lambda market, now: robinhood.chains(market, symbols, now))


async def _chain(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    symbol = robinhood.ids.symbol_of_chain(request.match_info["id"])
    return await _of_one(request, "chains", symbol, robinhood.chain)


async def _contracts(request: web.Request) -> web.StreamResponse:
    contracts, query = request.app[EXCHANGE].robinhood.contracts, request.query
    symbols = contracts.symbols_of(query)
    return await _with_token(
        request,
        "contracts",
        symbols,
        lambda market, now: contracts.listing(market, query, now),
        page_number(query),
    )


async def _contract(request: web.Request) -> web.StreamResponse:
    robinhood, wanted = request.app[EXCHANGE].robinhood, request.match_info["id"]
    symbols = robinhood.ids.symbols_of_contracts([wanted])
    return await _with_token(
        request, "contracts", symbols, lambda market, now: robinhood.contracts.contract(market, wanted, now)
    )


async def _marketdata(request: web.Request) -> web.StreamResponse:
    robinhood = request.app[EXCHANGE].robinhood
    ids = [wanted for wanted in request.query.get("ids", "").split(",") if wanted]
    addresses = (address for address in request.query.get("instruments", "").split(",") if address)
    ids += [_ID_IN_ADDRESS.sub(r"\1", address) for address in addresses]
    symbols = robinhood.ids.symbols_of_contracts(ids)
    return await _with_token(
        request, "marketdata", symbols, lambda market, now: robinhood.marketdata.quotes(market, ids, now)
    )


async def _of_one(
    request: web.Request, path: str, symbol: str | None, make: Callable[[Market, str, datetime], Reply]
) -> web.StreamResponse:
    def face(market: Market, now: datetime) -> Reply:
        return make(market, symbol, now) if symbol else robinhood_refusal(404)

    return await _with_token(request, path, (symbol,) if symbol else (), face)


async def _with_token(
    request: web.Request, path: str, symbols: tuple[str, ...], make: _Face, page: int = 1
) -> web.StreamResponse:
    login = request.app[EXCHANGE].robinhood_login

    def face(market: Market, now: datetime, unknown_status: int) -> Reply:
        return login.refusal(request.headers.get("Authorization")) or make(market, now)

    return await request.app[EXCHANGE].answer(request, Question("robinhood", path, symbols, face, page))


async def _door(request: web.Request, path: str, make: Callable[[], Reply]) -> web.StreamResponse:
    question = Question("robinhood", path, (), lambda market, now, unknown_status: make())
    return await request.app[EXCHANGE].answer(request, question)


async def _form(request: web.Request) -> dict[str, str]:
    return dict(parse_qsl((await request.read()).decode(errors="replace")))


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        wish = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    return wish if isinstance(wish, dict) else {}
