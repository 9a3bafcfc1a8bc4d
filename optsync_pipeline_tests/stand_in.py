"""A scripted market on loopback: each path answers what a test tells it to, and every request is noted.

An independent check of what the providers send and how they take odd replies. A market that makes up its own prices is
optsync_pipeline/sandbox.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as clock_time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CRUMB_PATH = "/v1/test/getcrumb"
OPTIONS_PATH = "/v7/finance/options/"
QUOTES_PATH = "/v7/finance/quote"
SNAPSHOT_PATH = "/v3/snapshot/options/"
FILE_PATH = "/api/global/delayed_quotes/options/"
_INVALID_CRUMB = '{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}'


@dataclass(frozen=True)
class Reply:
    """What a path answers. body: text, bytes, or an object for JSON. cut_off: the connection closes half-way."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut_off: bool = False
    drip: bool = False

    def as_bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Hit:
    """A request as it arrived: host from its header, path below the vendor's base."""

    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    client_port: int
    method: str = "GET"
    body: bytes = b""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # 32 threads connect at once; a full queue costs a client a second


class ScriptedMarket:
    """A server under http://127.0.0.1:PORT/yahoo, /cboe, /robinhood and /polygon.

    script: path → replies in turn, of which the last stays; or a function of the hit. Cookie and crumb are handed out
    and demanded as Yahoo does, as long as the script does not say otherwise.
    """

    def __init__(self) -> None:
        self.script: dict[str, list[Reply] | Callable[[Hit], Reply]] = {}
        self.hits: list[Hit] = []
        self.crumb = "crumb/1.a"
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()

    @property
    def yahoo_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/yahoo"

    @property
    def cboe_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/cboe"

    @property
    def robinhood_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/robinhood"

    @property
    def polygon_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/polygon"

    @property
    def paths(self) -> list[str]:
        return [hit.path for hit in self.hits]

    def yahoo(self, symbol: str, *replies: Reply) -> None:
        self.script[OPTIONS_PATH + symbol] = list(replies)

    def cboe(self, symbol: str, *replies: Reply) -> None:
        self.script[f"{FILE_PATH}{symbol}.json"] = list(replies)

    def polygon(self, symbol: str, *replies: Reply) -> None:
        self.script[SNAPSHOT_PATH + symbol] = list(replies)

    def answer(self, hit: Hit) -> Reply:
        with self._lock:
            self.hits.append(hit)
            if hit.path.startswith((OPTIONS_PATH, QUOTES_PATH)) and not self._is_let_in(hit):
                return Reply(_INVALID_CRUMB, 401)
            scripted = self.script.get(hit.path)
            if isinstance(scripted, list):
                return scripted.pop(0) if len(scripted) > 1 else scripted[0]
            if scripted is not None:
                return scripted(hit)
            if hit.path == CRUMB_PATH:
                return Reply(self.crumb)
            cookie = {"Set-Cookie": "A3=abc; Domain=.yahoo.com; Path=/; Secure; Expires=Fri, 01 Jan 2100 00:00:00 GMT"}
            return Reply("", 404, cookie if hit.host == "fc.yahoo.com" else {})

    def _is_let_in(self, hit: Hit) -> bool:
        return hit.query.get("crumb") == self.crumb and "A3=abc" in hit.headers.get("cookie", "")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def scripted_market() -> Iterator[ScriptedMarket]:
    """Run a scripted market for a block."""
    market = ScriptedMarket()
    try:
        yield market
    finally:
        market.close()


def _below_vendor(path: str) -> str:
    for vendor in ("/yahoo", "/cboe", "/polygon", "/robinhood"):
        path = path.removeprefix(vendor)
    return path


def _handler_of(market: ScriptedMarket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: apart, each reply waits 40 ms for the client's delayed ACK

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = _below_vendor(parts.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            port = self.client_address[1]
            self._send(market.answer(Hit(headers["host"], path, query, headers, port, self.command, body)))

        do_POST = do_GET  # noqa: N815  # http.server's name

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.delay_seconds)
            body = reply.as_bytes()
            self.send_response_only(reply.status)  # without a Date of its own
            self.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.drip:
                self._drip(body)
            elif reply.cut_off:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def _drip(self, body: bytes) -> None:
            for byte in body:
                try:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                except OSError:  # the client has had enough, which is what the test wants
                    break
                time.sleep(0.05)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    return Handler


def epoch(day: date) -> int:
    """Return the seconds at which Yahoo dates a day."""
    return int(datetime.combine(day, clock_time(), UTC).timestamp())


def occ(root: str, expiration: date, option_type: str, strike: float) -> str:
    return f"{root}{expiration:%y%m%d}{option_type[0].upper()}{round(strike * 1000):08d}"


def yahoo_row(root: str, expiration: date, option_type: str, strike: float, /, **changes: Any) -> dict[str, Any]:
    """Return a contract as Yahoo writes it; `changes` replace fields."""
    row = {
        "contractSymbol": occ(root, expiration, option_type, strike),
        "strike": strike,
        "currency": "USD",
        "lastPrice": 1.6,
        "bid": 1.5,
        "ask": 1.7,
        "volume": 12,
        "openInterest": 340,
        "contractSize": "REGULAR",
        "expiration": epoch(expiration),
        "impliedVolatility": 0.35,
    }
    return {**row, **changes}


def yahoo_chain(
    symbol: str,
    listed: list[date],
    shown: date | None,
    *,
    quoted_at: datetime,
    calls: list[Any] | None = None,
    puts: list[Any] | None = None,
    **quote: Any,
) -> dict[str, Any]:
    """Return a /v7/finance/options reply; without rows given, two puts and a call. `quote` replaces its fields."""
    root = symbol.replace("-", "")
    is_listed = shown in listed
    if shown and is_listed:
        calls = [yahoo_row(root, shown, "call", 105.0)] if calls is None else calls
        puts = [yahoo_row(root, shown, "put", strike) for strike in (90.0, 95.0)] if puts is None else puts
    options = [{"expirationDate": epoch(shown), "calls": calls or [], "puts": puts or []}] if shown else []
    stock = {
        "symbol": symbol,
        "marketState": "REGULAR",
        "regularMarketPrice": 100.0,
        "regularMarketTime": int(quoted_at.timestamp()),
        **quote,
    }
    stock = {name: value for name, value in stock.items() if value is not ...}
    result = {"expirationDates": [epoch(day) for day in listed], "quote": stock, "options": options}
    return {"optionChain": {"result": [{"underlyingSymbol": symbol, **result}], "error": None}}


def cboe_file(symbol: str, rows: list[Any], **fields: Any) -> dict[str, Any]:
    """Return a Cboe file; `fields` replace those of `data`."""
    stock = {"symbol": symbol, "current_price": 100.0, "last_trade_time": "2026-07-16T11:20:00", "options": rows}
    return {"timestamp": "2026-07-16 15:35:00", "symbol": symbol, "data": {**stock, **fields}}


def cboe_row(root: str, expiration: date, option_type: str, strike: float, /, **changes: Any) -> dict[str, Any]:
    """Return a contract as Cboe writes it; `changes` replace fields."""
    row = {
        "option": occ(root, expiration, option_type, strike),
        "bid": 1.5,
        "ask": 1.7,
        "iv": 0.35,
        "open_interest": 340.0,
        "volume": 12.0,
        "delta": -0.31,
        "gamma": 0.02,
        "theta": -0.05,
        "vega": 0.11,
        "rho": -0.03,
        "last_trade_price": 1.6,
        "last_trade_time": None,
    }
    return {**row, **changes}
