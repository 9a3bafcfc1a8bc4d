"""The control API under `/control`: order faults and latency, read traffic and truth. For this machine alone."""

import csv
import io
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from optsync_pipeline.sandbox.exchange import Exchange
from optsync_pipeline.sandbox.faults import KINDS, PROVIDERS, FaultOrderError
from optsync_pipeline.sandbox.model import RATE, Chain, Market

# The columns of a Nasdaq screener file, which `optsync stocks import` reads.
_CSV_COLUMNS = ("symbol", "exchange", "name", "sector", "industry", "country", "market_cap", "last_sale", "volume")


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
        fault = self._exchange.faults.order(await _json_object(request))
        return _json(fault.model_dump(exclude_none=True))

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._exchange.faults.clear()
        return _json({"faults": []})

    async def _list_latency(self, request: web.Request) -> web.Response:
        return _json({"latency": self._exchange.latency.told()})

    async def _order_latency(self, request: web.Request) -> web.Response:
        self._exchange.latency.order(await _json_object(request))
        return _json({"latency": self._exchange.latency.told()})

    async def _list_requests(self, request: web.Request) -> web.Response:
        return _json(self._exchange.traffic.told())

    async def _reset_requests(self, request: web.Request) -> web.Response:
        self._exchange.traffic.reset()
        return _json(self._exchange.traffic.told())

    async def _list_symbols(self, request: web.Request) -> web.Response:
        market = self._exchange.market
        return _json({"symbols": [market.company(symbol)._asdict() for symbol in market.symbols]})

    async def _symbols_csv(self, request: web.Request) -> web.Response:
        return web.Response(text=symbols_csv(self._exchange), content_type="text/csv")

    async def _truth(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"].upper().replace("-", ".")
        try:
            self._exchange.market.company(symbol)
        except KeyError:
            return _json({"error": f"{symbol} is not listed in this sandbox"}, status=404)
        return _json(truth(self._exchange.market, symbol, self._exchange))


def symbols_csv(exchange: Exchange) -> str:
    """Return the listed symbols as a Nasdaq screener writes them, class shares with a slash."""
    market, now = exchange.market, exchange.clock()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for symbol in market.symbols:
        company, stock = market.company(symbol), market.stock(symbol, now)
        cap = "" if company.market_cap is None else f"{company.market_cap:.0f}"
        figures = (cap, "" if stock.price is None else stock.price, "" if stock.volume is None else stock.volume)
        listed = symbol.replace(".", "/")
        writer.writerow((listed, "NASDAQ", company.name, company.sector, company.industry, "United States", *figures))
    return text.getvalue()


def truth(market: Market, symbol: str, exchange: Exchange) -> dict[str, Any]:
    """Return what the sound market knows of a symbol: the quote, and every contract with what priced it."""
    now = exchange.clock()
    chains = [market.chain(symbol, expiration, now) for expiration in market.expirations(symbol, now)]
    return {
        "symbol": symbol,
        "now": now,
        "rate": RATE,
        "stock": market.stock(symbol, now)._asdict(),
        "expirations": [chain.expiration for chain in chains],
        "contracts": [contract for chain in chains for contract in _contracts(chain)],
    }


def _contracts(chain: Chain) -> list[dict[str, Any]]:
    columns = {
        name: value.tolist()
        for name in Chain.__dataclass_fields__
        if isinstance(value := getattr(chain, name), np.ndarray)
    }
    sides = ["put" if is_put else "call" for is_put in columns.pop("is_put")]
    figures = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [
        {"contract_symbol": name, "expiration": chain.expiration, "option_type": side, **figure}
        for name, side, figure in zip(chain.contract_symbols, sides, figures, strict=True)
    ]


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
