"""How many requests does a symbol cost, once its expirations and ids are known?

    python -m benchmarks.requests_per_symbol [--symbols 400]

Each vendor alone: a first sync, then a second one of the same symbols, whose requests count, cookies and logins
included. Robinhood's and Polygon's cost follows the chain, 50 and 250 contracts a request: what it would be for a chain
that fits into one is what the second sync spent beyond one request for each so many contracts, spread over the symbols,
and one. Then prices alone.
"""

import argparse

from benchmarks.measured_syncs import MeasuredSync, new_home, verdict
from optsync_pipeline.providers.polygon_session import CONTRACTS_PER_PAGE
from optsync_pipeline.providers.robinhood import CONTRACTS_PER_REQUEST
from optsync_pipeline.sandbox.running import Sandbox, sandbox_process
from optsync_pipeline.settings import PROVIDER_NAMES

TARGETS = {"yahoo": 1.0, "cboe": 1.0, "polygon": 1.0, "robinhood": 1.1}
PRICE_GIVERS = ("yahoo", "robinhood")
_ROUNDED = 0.005
"""A run's own few requests (cookie, crumb) are no symbol's: at 400 symbols two of them are 0.005 each."""


def sync_twice(sandbox: Sandbox, provider: str) -> MeasuredSync:
    """Return the second of two syncs at one vendor."""
    with new_home(sandbox, sandbox.environment_of(provider)) as home:
        home.sync()
        return home.sync()


def report_chains(sandbox: Sandbox, provider: str) -> bool:
    """Print what a symbol cost at a vendor; return whether that is what it should."""
    run = sync_twice(sandbox, provider)
    served, requests = run.served_by(provider), run.traffic[provider]["total"]
    chains = [row["options_fetched"] for row in run.results if row["status"] == "success"]
    per_symbol, contracts = requests / served, sum(chains) / served
    at_once = {"robinhood": CONTRACTS_PER_REQUEST, "polygon": CONTRACTS_PER_PAGE}.get(provider, max(chains))
    of_one = 1 + (requests - sum(-(-chain // at_once) for chain in chains)) / served
    reached: bool = of_one <= TARGETS[provider] + _ROUNDED
    paths = ", ".join(f"{path} {number}" for path, number in sorted(run.traffic[provider]["by_path"].items()))
    print(
        f"{provider:12}{served:8}{requests:9}{contracts:10.1f}{per_symbol:12.3f}{of_one:16.3f}"
        f"{TARGETS[provider]:8.1f} {verdict(reached)}  {paths}"
    )
    return reached


def report_prices(sandbox: Sandbox, provider: str) -> None:
    """Print what prices alone cost at a vendor, of a home that knows nothing yet and then again."""
    with new_home(sandbox, sandbox.environment_of(provider)) as home:
        for name in ("first", "second"):
            run = home.sync("--prices")
            counts = run.traffic[provider]
            paths = ", ".join(f"{path} {number}" for path, number in sorted(counts["by_path"].items()))
            each = run.served_by(provider) / counts["by_path"]["quote"]
            print(f"{provider:12}{name:8}{run.served_by(provider):8}{counts['total']:9}{each:14.1f}  {paths}")


def main() -> None:
    """Measure, and print it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--symbols", type=int, default=400)
    options = arguments.parse_args()
    with sandbox_process(symbols=options.symbols) as sandbox:
        heads = f"{'symbols':>8}{'requests':>9}{'contracts':>10}{'per symbol':>12}{'fitting in one':>18}"
        print(f"\nchains, second sync\n{'':12}{heads}{'target':>8}")
        reached = [report_chains(sandbox, provider) for provider in PROVIDER_NAMES]
        print(f"\nprices alone\n{'':12}{'sync':8}{'symbols':>8}{'requests':>9}{'per request':>14}")
        for provider in PRICE_GIVERS:
            report_prices(sandbox, provider)
    print(f"target: {', '.join(f'{name} {most:g}' for name, most in TARGETS.items())}: {verdict(all(reached))}")


if __name__ == "__main__":
    main()
