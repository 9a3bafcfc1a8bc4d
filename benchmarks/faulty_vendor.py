"""What is lost when the first vendor fails every fourth request, and the second is healthy?

    python -m benchmarks.faulty_vendor [--symbols 1205] [--first yahoo] [--second cboe]

Of the first vendor's replies 20 % are a 503, 5 % never come, 2 % are HTML or cut JSON, drawn for each request anew. A
reply that never comes costs the 25 s of our own time-out and holds one of ten calls meanwhile, here as with a real
vendor. All symbols are servable: the second vendor has them all. A provider's tries for a symbol are one attempt.
"""

from collections import Counter

from benchmarks.measured_syncs import MeasuredSync, compare_two_vendors, new_home, verdict
from optsync_pipeline.providers.transport import READ_SECONDS
from optsync_pipeline.sandbox.running import Sandbox

FLAKY_SHARE, TIMEOUT_SHARE, GARBAGE_SHARE = 0.20, 0.05, 0.02
TARGET_SHARE = 0.999


def spoil(sandbox: Sandbox, provider: str) -> None:
    """Order the faults."""
    for kind, share in (
        ("html", GARBAGE_SHARE / 2),
        ("cut_json", GARBAGE_SHARE / 2),
        ("timeout", TIMEOUT_SHARE),
        ("server_error", FLAKY_SHARE),
    ):
        sandbox.fault(kind, provider=provider, share=share)


def report(name: str, run: MeasuredSync, first: str, second: str) -> None:
    """Print a run."""
    retries = sum(row["retry_count"] for row in run.results)
    print(f"\n{name}: {run.statuses()} in {run.job_seconds:.1f} s, {retries} retries")
    for provider in (first, second):
        counts = run.traffic[provider]
        met = ", ".join(f"{kind} {number}" for kind, number in sorted(counts["by_fault"].items())) or "no fault"
        print(f"  {provider:10}{run.served_by(provider):6} symbols{counts['total']:7} requests; {met}")


def attempts_of(run: MeasuredSync) -> tuple[Counter[tuple[str, str]], int]:
    """Count the failed attempts by provider and kind, and those without a kind or a reason."""
    kinds: Counter[tuple[str, str]] = Counter()
    untold = 0
    for row in run.results:
        delivered = row["data_provider"] if row["status"] == "success" else None
        for attempt in row["attempts"]:
            if attempt["provider"] == delivered and attempt["error_type"] is None:
                continue
            kinds[attempt["provider"], str(attempt["error_type"])] += 1
            untold += not attempt["error_type"] or not attempt["message"]
        untold += row["status"] == "failed" and (not row["error_type"] or not row["error_message"])
    return kinds, untold


def compare(sandbox: Sandbox, first: str, second: str) -> None:
    """Sync with sound vendors, then with a faulty first one; print both."""
    settings = sandbox.environment_of(first, second)
    with new_home(sandbox, settings) as home:
        sound = home.sync()
    spoil(sandbox, first)
    with new_home(sandbox, settings) as home:
        faulty = home.sync()
    report("both sound", sound, first, second)
    report(f"{first} faulty", faulty, first, second)
    timeouts = faulty.traffic[first]["by_fault"].get("timeout", 0)
    kinds, untold = attempts_of(faulty)
    share = faulty.statuses().get("success", 0) / len(faulty.results)
    print(f"  {timeouts} replies never came: {timeouts * READ_SECONDS:.0f} s of ten calls' time")
    print("  failed attempts: " + ", ".join(f"{name} {kind} {count}" for (name, kind), count in sorted(kinds.items())))
    print(f"took {faulty.job_seconds / sound.job_seconds:.1f} times as long as with a sound {first}")
    reached = share >= TARGET_SHARE and untold == 0
    print(
        f"target: at least {100 * TARGET_SHARE:g} % of servable symbols, every failure with kind and reason:"
        f" {verdict(reached)} ({100 * share:.2f} %, {untold} without)"
    )


if __name__ == "__main__":
    compare_two_vendors(__doc__, compare)
