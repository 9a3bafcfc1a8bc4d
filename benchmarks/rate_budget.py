"""Does a cold sync take the time that the summed budgets of all four vendors allow?

    python -m benchmarks.rate_budget [--symbols 1205] [--scale 10] [--latency 0.08]

The clock is scaled: the default limits times `scale`, and a sandbox that answers 429 to whatever is more. A vendor with
a limit of L requests a minute, of which a symbol costs c, serves at most L / c symbols a minute; c is taken from the
run itself, logins, cookies and wrong guesses included. So the budgets allow N symbols in N / sum(L / c) minutes, and
one vendor alone in N / (L / c). Beside it the vendor that is the best alone, run alone in the same way.

Seconds are those of the job; a process's start and the ranking at its end are no vendor's affair.
"""

import argparse
from typing import NamedTuple

from benchmarks.measured_syncs import MeasuredSync, limits_of, new_home, verdict
from optsync_pipeline.sandbox.running import Sandbox, sandbox_process
from optsync_pipeline.settings import PROVIDER_NAMES, Settings

TARGET = 0.10
_MOST_BURST = 10


class Share(NamedTuple):
    """What one vendor did in a run. symbols_per_second: what its limit allows at the requests that it needed."""

    provider: str
    per_minute: int
    requests: int
    served: int

    @property
    def symbols_per_second(self) -> float:
        """Return how many symbols a second its limit allows, at what a symbol cost in this run."""
        return self.per_minute / 60 * self.served / self.requests if self.requests else 0.0


def default_limits(scale: int) -> dict[str, tuple[int, int]]:
    """Return each vendor's default limits a minute and an hour, scaled."""
    fields = Settings.model_fields
    return {
        name: (
            scale * int(fields[f"{name}_requests_per_minute"].default),
            scale * int(fields[f"{name}_requests_per_hour"].default),
        )
        for name in PROVIDER_NAMES
    }


def sync_cold(sandbox: Sandbox, providers: tuple[str, ...], limits: dict[str, tuple[int, int]]) -> MeasuredSync:
    """Run a first sync, asking these vendors."""
    settings = sandbox.environment_of(*providers)
    for provider in providers:
        settings |= limits_of(provider, *limits[provider])
    with new_home(sandbox, settings) as home:
        return home.sync()


def shares_of(run: MeasuredSync, providers: tuple[str, ...], limits: dict[str, tuple[int, int]]) -> list[Share]:
    """Return each vendor's share in a run."""
    return [
        Share(name, limits[name][0], run.traffic[name]["total"], run.served_by(name))
        for name in providers
        if run.traffic[name]["total"]
    ]


def report(name: str, run: MeasuredSync, shares: list[Share]) -> float:
    """Print a run; return its time beside what the budgets allow."""
    allowed = len(run.results) / sum(share.symbols_per_second for share in shares)
    print(f"\n{name}: {run.statuses()}")
    print(f"{'':12}{'a minute':>9}{'requests':>9}{'symbols':>8}{'each':>6}{'used':>7}{'429s':>6}{'most a minute':>15}")
    for share in shares:
        used = share.requests / (share.per_minute / 60 * run.job_seconds)
        counts = run.traffic[share.provider]
        print(
            f"{share.provider:12}{share.per_minute:9}{share.requests:9}{share.served:8}"
            f"{share.requests / max(share.served, 1):6.2f}{100 * used:6.1f}%{counts['limited']:6}"
            f"{counts['most_in_minute']:15}"
        )
    print(f"took {run.job_seconds:.1f} s, the budgets allow {allowed:.1f} s: x {run.job_seconds / allowed:.3f}")
    return run.job_seconds / allowed


def compare(sandbox: Sandbox, scale: int) -> None:
    """Sync with all vendors, then with the best alone; print both."""
    limits = default_limits(scale)
    for provider, (per_minute, per_hour) in limits.items():
        per_second = -(-per_minute // 60) + _MOST_BURST
        sandbox.limit(provider, per_minute=per_minute, per_hour=per_hour, per_second=per_second)
    together = sync_cold(sandbox, PROVIDER_NAMES, limits)
    shares = shares_of(together, PROVIDER_NAMES, limits)
    ratio = report(f"all four, clock x {scale}", together, shares)
    best = max(shares, key=lambda share: share.symbols_per_second).provider
    alone = sync_cold(sandbox, (best,), limits)
    report(f"{best} alone, clock x {scale}", alone, shares_of(alone, (best,), limits))
    refused = sum(counts["limited"] for run in (together, alone) for counts in run.traffic.values())
    print(f"\nall four take {together.job_seconds / alone.job_seconds:.2f} of the time of {best} alone")
    reached = abs(ratio - 1) <= TARGET and refused == 0
    print(
        f"target: within {100 * TARGET:g} % of what the budgets allow, no 429: {verdict(reached)}"
        f" (x {ratio:.3f}, {refused} of them)"
    )


def main() -> None:
    """Run the comparison and print it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--symbols", type=int, default=1205)
    arguments.add_argument("--scale", type=int, default=10)
    arguments.add_argument("--latency", type=float, default=0.08)
    options = arguments.parse_args()
    with sandbox_process(symbols=options.symbols, latency_seconds=options.latency) as sandbox:
        compare(sandbox, options.scale)


if __name__ == "__main__":
    main()
