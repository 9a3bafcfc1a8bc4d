"""The sandbox's HTTP application and how it is served on loopback.

Which path is whose is in routes.py, robinhood_routes.py, polygon_routes.py and control.py; what an answer holds is in
the vendors' files. Whoever starts a sandbox takes server.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import chain
from pathlib import Path

from aiohttp import web

from optsync_pipeline.sandbox.control import ControlApi, refuse_strangers
from optsync_pipeline.sandbox.exchange import EXCHANGE, Exchange
from optsync_pipeline.sandbox.faults import FaultOrderError, parse_fault
from optsync_pipeline.sandbox.market import DEFAULT_SEED, InventedMarket
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.pointing import Address
from optsync_pipeline.sandbox.polygon_routes import polygon_routes
from optsync_pipeline.sandbox.recorded import RecordedMarket, RecordingError
from optsync_pipeline.sandbox.robinhood_routes import robinhood_routes
from optsync_pipeline.sandbox.routes import yahoo_and_cboe_routes

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9000
_SHUTDOWN_SECONDS = 1.0
# Robinhood's URLs hold up to 1,630 symbols, or a hundred encoded addresses of contracts.
_URL_BYTES = 2**16


class SandboxError(Exception):
    """The sandbox cannot start as asked. The text is one line: what, and how to mend it."""

    exit_code = 2


def wall_clock() -> datetime:
    """Return the time; the one place where the sandbox reads it."""
    return datetime.now(UTC)


def open_market(symbols: int, seed: int, recorded_dir: Path | None) -> Market:
    """Return the market to serve. Raise SandboxError where it cannot be had."""
    try:
        return RecordedMarket(recorded_dir) if recorded_dir else InventedMarket(symbols, seed)
    except (RecordingError, ValueError) as error:
        raise SandboxError(str(error)) from error


def create_app(
    market: Market,
    *,
    clock: Callable[[], datetime] = wall_clock,
    latency_seconds: float = 0.0,
    seed: int = DEFAULT_SEED,
    faults: Sequence[str] = (),
) -> web.Application:
    """Return the application. clock gives an aware datetime; faults as `PROVIDER:SYMBOL:KIND`. Raise SandboxError."""
    exchange = Exchange(market, clock=clock, latency_seconds=latency_seconds, seed=seed)
    try:
        for text in faults:
            exchange.order_fault(parse_fault(text))
    except FaultOrderError as error:
        raise SandboxError(str(error)) from error
    app = web.Application(middlewares=[refuse_strangers])
    app[EXCHANGE] = exchange
    vendors = (yahoo_and_cboe_routes(), robinhood_routes(), polygon_routes())
    app.add_routes([*chain.from_iterable(vendors), *ControlApi(exchange).routes()])
    return app


async def serve(
    app: web.Application, host: str, port: int, *, ready: Callable[[Address], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set; call `ready` once connections are taken. Port 0: any free one. Raise SandboxError."""
    if host != "localhost" and not ip_address(host).is_loopback:
        raise SandboxError(
            f"{host} is not this machine's own: a stand-in market listens on loopback alone, like 127.0.0.1"
        )
    # A client that gives up ends the wait for its answer; nothing here writes what could be left half done.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        max_line_size=_URL_BYTES,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            hint = "give another with --port, or 0 for any free one"
            raise SandboxError(f"port {port} on {host} cannot be had ({error.strerror}); {hint}") from error
        ready(Address(host, runner.addresses[0][1]))
        await stop.wait()
    finally:
        await runner.cleanup()
