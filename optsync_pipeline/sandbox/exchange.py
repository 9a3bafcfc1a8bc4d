"""One request from its arrival to its answer: counted, limited, delayed, met by a fault or answered by a face."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aiohttp import web

from optsync_pipeline.sandbox.cboe import CboeFace
from optsync_pipeline.sandbox.faults import PROVIDERS, Fault, FaultBook, LatencyBook, Met
from optsync_pipeline.sandbox.limits import RateLimits
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.outages import OutageBook
from optsync_pipeline.sandbox.polygon import PolygonFace
from optsync_pipeline.sandbox.refusals import html_page, refusal
from optsync_pipeline.sandbox.replies import JSON, Reply
from optsync_pipeline.sandbox.robinhood import RobinhoodFace
from optsync_pipeline.sandbox.robinhood_login import RobinhoodLogin
from optsync_pipeline.sandbox.spoiling import SpoiledMarket, with_null_results, without_fields
from optsync_pipeline.sandbox.traffic import Asked, Traffic
from optsync_pipeline.sandbox.yahoo import YahooFace
from optsync_pipeline.sandbox.yahoo_access import YahooAccess

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# Longer than any client waits.
_HANG_SECONDS = 3600.0


class Exchange:
    """A running sandbox: the market, its faces, and what is ordered and counted. All of it lives in one event loop."""

    def __init__(self, market: Market, *, clock: Callable[[], datetime], latency_seconds: float, seed: int) -> None:
        symbols = frozenset(market.symbols)
        self.market = market
        self.clock = clock
        self.faults = FaultBook(symbols, seed)
        self.latency = LatencyBook(symbols, latency_seconds)
        self.limits = RateLimits()
        self.outages = OutageBook()
        self.traffic = Traffic(PROVIDERS)
        self.yahoo = YahooFace(market)
        self.yahoo_access = YahooAccess(seed)
        self.cboe = CboeFace(market)
        self.robinhood = RobinhoodFace(market)
        self.robinhood_login = RobinhoodLogin()
        self.polygon = PolygonFace(market)

    def order_fault(self, wish: dict[str, Any]) -> Fault:
        """Put a fault in force. Raise FaultOrderError naming what is allowed."""
        fault = self.faults.order(wish)
        if fault.kind == "expired_token":
            self.robinhood_login.expire_tokens()
        return fault

    async def answer(self, request: web.Request, question: "Question") -> web.StreamResponse:
        """Answer a vendor's request, or let it go wrong as ordered."""
        with self.traffic.asked(question.provider, question.path, question.symbols) as asked:
            reply = await self._outcome(question, asked)
            if reply is None:
                return _reset(request, asked)
            asked.status, asked.sent_bytes = str(reply.status), len(reply.body)
            return web.Response(
                status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers
            )

    async def _outcome(self, question: "Question", asked: Asked) -> Reply | None:
        """Return the reply; None where the connection is to be reset."""
        outage = self.outages.how(question.provider)
        if outage is not None:
            asked.fault = "down"
            # The client's giving up cancels this wait, and the one below.
            await asyncio.sleep(_HANG_SECONDS if outage == "hang" else 0)
            return None if outage == "refuse" else html_page(503)
        headers = self.limits.refusal(question.provider)
        if headers is not None:
            asked.fault = "limit"
            return replace(refusal(question.provider, 429), headers=headers)
        first = question.symbols[0] if question.symbols else ""
        await asyncio.sleep(self.latency.seconds(question.provider, first))
        met = self.faults.meets(question.provider, question.symbols, question.path, question.page)
        asked.fault = met.kind
        if met.wire and met.wire.kind == "connection_reset":
            return None
        if met.wire and met.wire.kind == "timeout":
            await asyncio.sleep(met.wire.seconds)
        return self._reply(question, met)

    def _reply(self, question: "Question", met: Met) -> Reply:
        now = self.clock()
        if met.wire and met.wire.kind != "timeout":
            return self._broken_reply(question, met.wire, now)
        if not met.spoils:
            return question.face(self.market, now, 404)
        fault = next(iter(met.spoils.values()))
        reply = question.face(SpoiledMarket(self.market, met.spoils), now, fault.status or 404)
        return replace(reply, body=without_fields(reply.body, fault.fields)) if _prunes(fault, reply) else reply

    def _broken_reply(self, question: "Question", fault: Fault, now: datetime) -> Reply:
        match fault.kind:
            case "html":
                return html_page(200)
            case "cut_json" | "null_results":
                whole = question.face(self.market, now, 404)
                halved = fault.kind == "cut_json"
                return replace(
                    whole, body=whole.body[: len(whole.body) // 2] if halved else with_null_results(whole.body)
                )
            case "rate_limited":
                wait = fault.retry_after_seconds
                headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
                return replace(refusal(question.provider, 429), headers=headers)
            case "invalid_crumb" if question.provider in ("yahoo", "cboe"):
                return self.yahoo_access.invalid_crumb()
            case "invalid_crumb":
                return refusal(question.provider, 401)
            case "not_entitled":
                return refusal(question.provider, 403)
            case "blocked":
                return html_page(403)
        return html_page(fault.status or 503)


@dataclass(frozen=True, slots=True)
class Question:
    """What a vendor is asked: path is its kind, symbols are ours; face answers from a market, a moment and the status
    that an unknown symbol gets. page: which page of a list, from 1."""

    provider: str
    path: str
    symbols: tuple[str, ...]
    face: Callable[[Market, datetime, int], Reply]
    page: int = 1


EXCHANGE = web.AppKey("exchange", Exchange)


def _prunes(fault: Fault, reply: Reply) -> bool:
    return bool(fault.fields) and fault.kind == "missing_fields" and reply.content_type == JSON


def _reset(request: web.Request, asked: Asked) -> web.StreamResponse:
    asked.status = "reset"
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
