"""The control API under `/control`: order what goes wrong, read traffic and truth. For this machine alone."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from optsync_pipeline.sandbox.exchange import Exchange
from optsync_pipeline.sandbox.faults import KINDS, PROVIDERS, FaultOrderError
from optsync_pipeline.sandbox.truth import symbols_csv, truth


class ControlApi:
    """The handlers; routes() says which path is whose."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the control API."""
        return [
            web.get("/control/faults", self._list_faults),
            web.post("/control/faults", self._order_fault),
            web.delete("/control/faults", self._clear_faults),
            web.get("/control/latency", self._list_latency),
            web.post("/control/latency", self._order_latency),
            web.get("/control/limits", self._list_limits),
            web.post("/control/limits", self._order_limit),
            web.delete("/control/limits/{provider}", self._lift_limit),
            web.get("/control/down", self._list_outages),
            web.post("/control/down", self._order_outage),
            web.post("/control/up", self._end_outage),
            web.get("/control/robinhood", self._tell_robinhood),
            web.post("/control/robinhood", self._order_robinhood),
            web.get("/control/requests", self._list_requests),
            web.post("/control/requests/reset", self._reset_requests),
            web.get("/control/symbols", self._list_symbols),
            web.get("/control/symbols.csv", self._symbols_csv),
            web.get("/control/truth/{symbol}", self._truth),
        ]

    async def _list_faults(self, request: web.Request) -> web.Response:
        faults = [fault.model_dump(exclude_none=True) for fault in self._exchange.faults.faults]
        return _json({"faults": faults, "kinds": KINDS, "providers": PROVIDERS})

    async def _order_fault(self, request: web.Request) -> web.Response:
        fault = self._exchange.order_fault(await _json_object(request))
        return _json(fault.model_dump(exclude_none=True))

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._exchange.faults.clear()
        return _json({"faults": []})

    async def _list_latency(self, request: web.Request) -> web.Response:
        return _json({"latency": self._exchange.latency.told()})

    async def _order_latency(self, request: web.Request) -> web.Response:
        self._exchange.latency.order(await _json_object(request))
        return _json({"latency": self._exchange.latency.told()})

    async def _list_limits(self, request: web.Request) -> web.Response:
        return _json({"limits": self._exchange.limits.told()})

    async def _order_limit(self, request: web.Request) -> web.Response:
        self._exchange.limits.order(await _json_object(request))
        return await self._list_limits(request)

    async def _lift_limit(self, request: web.Request) -> web.Response:
        self._exchange.limits.lift(request.match_info["provider"])
        return await self._list_limits(request)

    async def _list_outages(self, request: web.Request) -> web.Response:
        return _json({"down": self._exchange.outages.told()})

    async def _order_outage(self, request: web.Request) -> web.Response:
        self._exchange.outages.order(await _json_object(request))
        return await self._list_outages(request)

    async def _end_outage(self, request: web.Request) -> web.Response:
        self._exchange.outages.end(await _json_object(request))
        return await self._list_outages(request)

    async def _tell_robinhood(self, request: web.Request) -> web.Response:
        return _json(self._exchange.robinhood_login.told())

    async def _order_robinhood(self, request: web.Request) -> web.Response:
        self._exchange.robinhood_login.order(await _json_object(request))
        return await self._tell_robinhood(request)

    async def _list_requests(self, request: web.Request) -> web.Response:
        return _json(self._exchange.traffic.told())

    async def _reset_requests(self, request: web.Request) -> web.Response:
        self._exchange.traffic.reset()
        return _json(self._exchange.traffic.told())

    async def _list_symbols(self, request: web.Request) -> web.Response:
        market = self._exchange.market
        return _json({"symbols": [market.company(symbol)._asdict() for symbol in market.symbols]})

    async def _symbols_csv(self, request: web.Request) -> web.Response:
        return web.Response(text=symbols_csv(self._exchange.market, self._exchange.clock()), content_type="text/csv")

    async def _truth(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"].upper().replace("-", ".")
        try:
            self._exchange.market.company(symbol)
        except KeyError:
            return _json({"error": f"{symbol} is not listed in this sandbox"}, status=404)
        return _json(truth(self._exchange.market, symbol, self._exchange.clock()))


@web.middleware
async def refuse_strangers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let only this machine order anything, and answer a wrong order with what is allowed."""
    if not request.path.startswith("/control"):
        return await handler(request)
    if request.remote is None or not ipaddress.ip_address(request.remote).is_loopback:
        return _json({"error": "the control API answers this machine alone"}, status=403)
    try:
        return await handler(request)
    except FaultOrderError as error:
        return _json({"error": str(error)}, status=400)


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        wish = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise FaultOrderError("the body must be a JSON object") from None
    if not isinstance(wish, dict):
        raise FaultOrderError("the body must be a JSON object")
    return wish


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")
