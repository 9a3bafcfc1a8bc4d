"""A sandbox for the length of a `with` block: in a thread, whose clock can be set, or in a process of its own.

Take the thread for tests of behaviour, the process where speed counts: a thread shares the interpreter with its peer.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from optsync_pipeline.sandbox.market import DEFAULT_SEED, DEFAULT_SYMBOLS
from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.pointing import Address
from optsync_pipeline.sandbox.remote import ControlError, Sandbox
from optsync_pipeline.sandbox.serving import SandboxError, create_app, open_market, serve, wall_clock

__all__ = ["ControlError", "Sandbox", "running_sandbox", "sandbox_process"]

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


@contextmanager
def running_sandbox(
    *,
    symbols: int = DEFAULT_SYMBOLS,
    seed: int = DEFAULT_SEED,
    latency_seconds: float = 0.0,
    recorded_dir: Path | None = None,
    market: Market | None = None,
    clock: Callable[[], datetime] = wall_clock,
    faults: Sequence[str] = (),
    port: int = 0,
) -> Iterator[Sandbox]:
    """Serve from a thread of this process. market: one that is open already. Raise SandboxError."""
    chosen = market or open_market(symbols, seed, recorded_dir)
    app = create_app(chosen, clock=clock, latency_seconds=latency_seconds, seed=seed, faults=faults)
    thread = _ServingThread(lambda ready, stop: serve(app, "127.0.0.1", port, ready=ready, stop=stop))
    address = thread.begin()
    try:
        yield Sandbox(address)
    finally:
        thread.end()


@contextmanager
def sandbox_process(
    *,
    symbols: int = DEFAULT_SYMBOLS,
    seed: int = DEFAULT_SEED,
    latency_seconds: float = 0.0,
    recorded_dir: Path | None = None,
    port: int = 0,
) -> Iterator[Sandbox]:
    """Serve from a process of its own, which ends with the block, and with this process however that ends."""
    wish = {"port": port, "symbols": symbols, "seed": seed, "latency_seconds": latency_seconds}
    arguments = json.dumps({**wish, "recorded_dir": recorded_dir and str(recorded_dir)})
    command = [sys.executable, "-m", "optsync_pipeline.sandbox.child", arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise SandboxError("the sandbox's process ended before it served anything; what it said is above")
            told = json.loads(line)
            if "error" in told:
                raise SandboxError(told["error"])
            yield Sandbox(Address(told["host"], told["port"]))
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class _ServingThread:
    """A thread with an event loop that serves until it is told to end."""

    def __init__(self, serving: Callable[[Callable[[Address], None], asyncio.Event], Any]) -> None:
        self._serving = serving
        self._begun = threading.Event()
        self._address: Address | None = None
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._work, name="sandbox", daemon=True)

    def begin(self) -> Address:
        """Start, and return the address once connections are taken. Raise what kept it from starting."""
        self._thread.start()
        self._begun.wait(_START_SECONDS)
        if self._error is not None:
            raise self._error
        if self._address is None:
            raise SandboxError(f"the sandbox did not start within {_START_SECONDS:g} s")
        return self._address

    def end(self) -> None:
        """Stop serving and wait until that is done."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_SECONDS)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except (SandboxError, OSError) as error:
            self._error = error
        finally:
            self._begun.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._serving(self._is_ready, self._stop)

    def _is_ready(self, address: Address) -> None:
        self._address = address
        self._begun.set()
