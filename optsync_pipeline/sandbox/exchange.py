"""One request from its arrival to its answer: counted, delayed, met by a fault or answered by a vendor's face."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from optsync_pipeline.sandbox.cboe import CboeFace
from optsync_pipeline.sandbox.faults import PROVIDERS, WIRE_FAULTS, Fault, FaultBook, LatencyBook
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.replies import JSON, Reply
from optsync_pipeline.sandbox.spoiling import SpoiledMarket, without_fields
from optsync_pipeline.sandbox.traffic import Asked, Traffic
from optsync_pipeline.sandbox.yahoo import YahooFace
from optsync_pipeline.sandbox.yahoo_access import YahooAccess

_HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Will be right back</h1></body></html>"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Exchange:
    """A running sandbox: the market, its faces, and what is ordered and counted. All of it lives in one event loop."""

    def __init__(self, market: Market, *, clock: Callable[[], datetime], latency_seconds: float, seed: int) -> None:
        symbols = frozenset(market.symbols)
        self.market = market
        self.clock = clock
        self.faults = FaultBook(symbols, seed)
        self.latency = LatencyBook(symbols, latency_seconds)
        self.traffic = Traffic(PROVIDERS)
        self.yahoo = YahooFace(market)
        self.yahoo_access = YahooAccess(seed)
        self.cboe = CboeFace(market)

    async def answer(self, request: web.Request, question: "Question") -> web.StreamResponse:
        """Answer a vendor's request, or let it go wrong as ordered."""
        with self.traffic.asked(question.provider, question.path, question.symbols) as asked:
            first = question.symbols[0] if question.symbols else ""
            await asyncio.sleep(self.latency.seconds(question.provider, first))
            fault = self._fault_met(question)
            asked.fault = fault.kind if fault else None
            if fault and fault.kind == "connection_reset":
                return _reset(request, asked)
            if fault and fault.kind == "timeout":
                # The client's giving up cancels this wait.
                await asyncio.sleep(fault.seconds)
            reply = self._reply(question, fault)
            asked.status, asked.sent_bytes = str(reply.status), len(reply.body)
            return web.Response(
                status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers
            )

    def _fault_met(self, question: "Question") -> Fault | None:
        met = (self.faults.meets(question.provider, symbol, question.path) for symbol in question.symbols or ("",))
        return next((fault for fault in met if fault), None)

    def _reply(self, question: "Question", fault: Fault | None) -> Reply:
        now = self.clock()
        if fault is None or fault.kind == "timeout":
            return question.face(self.market, now, 404)
        if fault.kind in WIRE_FAULTS:
            return self._broken_reply(question, fault, now)
        reply = question.face(SpoiledMarket(self.market, fault), now, fault.status or 404)
        return Reply(reply.status, without_fields(reply.body, fault.fields)) if _prunes(fault, reply) else reply

    def _broken_reply(self, question: "Question", fault: Fault, now: datetime) -> Reply:
        match fault.kind:
            case "html":
                return Reply(200, _HTML, "text/html")
            case "cut_json":
                whole = question.face(self.market, now, 404)
                return Reply(whole.status, whole.body[: len(whole.body) // 2], whole.content_type)
            case "rate_limited":
                wait = fault.retry_after_seconds
                headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
                return Reply(429, b"Too Many Requests\r\n", "text/plain", headers)
            case "invalid_crumb":
                return self.yahoo_access.invalid_crumb()
            case "blocked":
                return Reply(403, _HTML, "text/html")
        return Reply(fault.status or 503, _HTML, "text/html")


@dataclass(frozen=True, slots=True)
class Question:
    """What a vendor is asked: path is its kind, symbols are ours; face answers from a market, a moment and the status
    that an unknown symbol gets."""

    provider: str
    path: str
    symbols: tuple[str, ...]
    face: Callable[[Market, datetime, int], Reply]


def _prunes(fault: Fault, reply: Reply) -> bool:
    return bool(fault.fields) and fault.kind == "missing_fields" and reply.content_type == JSON


def _reset(request: web.Request, asked: Asked) -> web.StreamResponse:
    asked.status = "reset"
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
