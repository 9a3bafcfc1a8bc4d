"""The sandbox as others start it: `run` for a command, `running_sandbox` and `sandbox_process` for a `with` block.

Here is how a command runs, what it says first and how it stops; the serving itself is in serving.py.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from optsync_pipeline.sandbox.market import DEFAULT_SEED, DEFAULT_SYMBOLS
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.pointing import CREDENTIALS, REQUESTS_PER_HOUR, REQUESTS_PER_MINUTE, Address
from optsync_pipeline.sandbox.running import ControlError, Sandbox, running_sandbox, sandbox_process
from optsync_pipeline.sandbox.serving import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    SandboxError,
    create_app,
    open_market,
    serve,
)

__all__ = ["ControlError", "Sandbox", "SandboxError", "create_app", "run", "running_sandbox", "sandbox_process"]


def print_greeting(market: Market, address: Address) -> None:
    """Print the first screenful."""
    print(greeting(market, address), flush=True)


def run(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    symbols: int = DEFAULT_SYMBOLS,
    seed: int = DEFAULT_SEED,
    latency_seconds: float = 0.0,
    recorded_dir: Path | None = None,
    *,
    faults: Sequence[str] = (),
    ready: Callable[[Market, Address], None] = print_greeting,
    until_stdin_closes: bool = False,
) -> None:
    """Serve from the main thread until Ctrl-C or SIGTERM. Raise SandboxError where it cannot start.

    ready is called once, when connections are taken, and by default says what this is. until_stdin_closes: stop also
    when standard input ends, so that a sandbox does not outlive who started it.
    """
    market = open_market(symbols, seed, recorded_dir)
    app = create_app(market, latency_seconds=latency_seconds, seed=seed, faults=faults)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(_run(app, host, port, lambda address: ready(market, address), until_stdin_closes))
    finally:
        for number, action in before.items():
            signal.signal(number, action)


async def _run(
    app: web.Application, host: str, port: int, ready: Callable[[Address], None], until_stdin_closes: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not loop.add_signal_handler, which Windows lacks.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    if until_stdin_closes:
        threading.Thread(target=_wait_for_stdin, args=(loop, stop), daemon=True).start()
    await serve(app, host, port, ready=ready, stop=stop)


def _wait_for_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.buffer.read()
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


def greeting(market: Market, address: Address) -> str:
    """Return the first screenful: that this is no real market, and what to do with it."""
    first = market.symbols[0]
    rule = "=" * 88
    vendors = ("ROBINHOOD", "YAHOO", "POLYGON", "CBOE")
    limits = f"PER_MINUTE={REQUESTS_PER_MINUTE} OPTSYNC_${{name}}_REQUESTS_PER_HOUR={REQUESTS_PER_HOUR}"
    user, password, secret = (f"{name}={value}" for name, value in CREDENTIALS["robinhood"].items())
    polygon = " ".join(f"{name}={value}" for name, value in CREDENTIALS["polygon"].items())
    return f"""\
{rule}
  SANDBOX - THIS IS NOT A REAL MARKET. Nothing here can be traded on:
  {market.description}.
{rule}
It listens on {address.url}, on this machine alone. Point the sync at it, without the vendors' limits:
  export OPTSYNC_PROVIDERS={",".join(vendors).lower()}
  export OPTSYNC_YAHOO_URL={address.yahoo_url}
  export OPTSYNC_CBOE_URL={address.cboe_url}
  export OPTSYNC_POLYGON_URL={address.polygon_url} {polygon}
  export OPTSYNC_ROBINHOOD_URL={address.robinhood_url} {user}
  export {password} {secret}
  for name in {" ".join(vendors)}; do
    export OPTSYNC_${{name}}_REQUESTS_{limits}
  done

Import its {len(market.symbols)} symbols, and sync them:
  curl -s {address.url}/control/symbols.csv -o sandbox_symbols.csv
  optsync stocks import sandbox_symbols.csv
  optsync sync --all

Make it misbehave, see which faults there are, and what was asked. Ctrl-C stops it.
  curl -s {address.url}/control/faults -d '{{"provider": "yahoo", "symbol": "{first}", "kind": "timeout"}}'
  curl -s {address.url}/control/faults
  curl -s {address.url}/control/requests"""
