"""How long a whole `optsync sync --all` takes beside a bare thread-pool loop of the same yfinance calls.

The bare loop stores nothing: `Ticker.options`, then `option_chain(date)`, ten threads. Both run in processes of their
own against one sandbox market with 80 ms latency, in one run of this file. The loop runs once unmeasured first, so
that the sandbox has priced every chain before anything is timed.

    python -m benchmarks.sync_throughput [--symbols 1205] [--latency 0.08]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from optsync_pipeline.sandbox.running import Sandbox, sandbox_process
from optsync_pipeline.settings import PROJECT_ROOT

BARE_LOOP = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
import yfinance as yf
import requests
from optsync_pipeline.providers.transport import StandInAdapter

base, cache, symbols = sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text().split()
yf.set_tz_cache_location(cache)
session = requests.Session()
session.mount("https://", StandInAdapter(base))
target = date.today() + timedelta(days=30)

def fetch(symbol):
    ticker = yf.Ticker(symbol, session=session)
    dates = ticker.options
    nearest = min(dates, key=lambda text: abs(date.fromisoformat(text) - target))
    return len(ticker.option_chain(nearest).calls)

yf.Ticker(symbols[0], session=session)
with ThreadPoolExecutor(10) as pool:
    total = sum(pool.map(fetch, symbols))
"""


class Measured(NamedTuple):
    """One process, run to its end: wall time in seconds, peak resident memory of it in MB, wire requests it made."""

    seconds: float
    peak_mb: float
    requests: int


def main() -> None:
    """Run the comparison and print it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--symbols", type=int, default=1205)
    arguments.add_argument("--latency", type=float, default=0.08)
    options = arguments.parse_args()
    # Readable for the unprivileged user that PostgreSQL runs as where this is started by root.
    with (
        tempfile.TemporaryDirectory(prefix="optsync-bench-") as folder,
        sandbox_process(symbols=options.symbols, latency_seconds=options.latency) as sandbox,
    ):
        os.chmod(folder, 0o755)
        compare(Path(folder), sandbox)


def compare(folder: Path, sandbox: Sandbox) -> None:
    """Measure the bare loop, a first sync and a second one, and print their ratios."""
    environment = _environment(folder, sandbox)
    symbols = folder / "symbols.csv"
    symbols.write_bytes(sandbox.symbols_csv())
    names = folder / "names.txt"
    names.write_text("\n".join(symbol.replace(".", "-") for symbol in sandbox.symbols()))
    bare = [sys.executable, "-c", BARE_LOOP, sandbox.yahoo_url, str(folder / "yf"), str(names)]
    optsync = [str(Path(sys.executable).with_name("optsync"))]
    try:
        subprocess.run([*optsync, "stocks", "import", str(symbols)], env=environment, check=True)
        run(bare, environment, sandbox)
        loop = run(bare, environment, sandbox)
        first = run([*optsync, "sync", "--all"], environment, sandbox)
        second = run([*optsync, "sync", "--all", "--fresh"], environment, sandbox)
    finally:
        subprocess.run([*optsync, "db", "stop"], env=environment, check=True)
    print(f"{'':34}{'seconds':>9}{'requests':>10}{'peak MB':>9}{'x loop':>8}")
    for name, measured in (
        ("bare loop", loop),
        ("first optsync sync --all", first),
        ("second optsync sync --all", second),
    ):
        ratio = measured.seconds / loop.seconds
        print(f"{name:34}{measured.seconds:9.1f}{measured.requests:10}{measured.peak_mb:9.0f}{ratio:8.2f}")


def run(command: list[str], environment: dict[str, str], sandbox: Sandbox) -> Measured:
    """Run a command to its end while watching its memory."""
    sandbox.reset_requests()
    begun, peak = time.monotonic(), 0
    process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    if process.wait() != 0:
        raise SystemExit(f"{command[:4]} ended with {process.returncode}")
    return Measured(seconds, peak / 1e6, sandbox.total_requests())


def _environment(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPTSYNC_", "DAGSTER_"))}
    return {
        **kept,
        "PYTHONPATH": str(PROJECT_ROOT),
        "OPTSYNC_HOME": str(folder / "home"),
        "OPTSYNC_PROVIDERS": "yahoo",
        "OPTSYNC_YAHOO_URL": sandbox.yahoo_url,
        "OPTSYNC_MAX_CONCURRENT_FETCHES": "10",
    }


if __name__ == "__main__":
    main()
