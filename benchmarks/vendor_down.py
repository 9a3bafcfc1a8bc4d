"""What does it cost that the first vendor is down from the start?

    python -m benchmarks.vendor_down [--symbols 1205] [--first yahoo] [--second cboe] [--latency 0.08]

Down in three ways: it answers 503, it resets connections, or it never answers. Every request that reaches it counts.
The time of the whole process stands beside that of a sync with the vendor left out of OPTSYNC_PROVIDERS; each in a home
of its own, so that no expirations and no breaker are known from before.
"""

from benchmarks.measured_syncs import MeasuredSync, compare_two_vendors, new_home, verdict
from optsync_pipeline.sandbox.running import Sandbox

WAYS = {"error": "answers 503", "refuse": "resets connections", "hang": "never answers"}
BREAKER_FAILURES = 20
CALLS_AT_ONCE = 10
PROBE_SECONDS = 60
TARGET_TIME = 1.2


def sync_cold(sandbox: Sandbox, *providers: str) -> MeasuredSync:
    """Run a first sync, asking these vendors."""
    with new_home(sandbox, sandbox.environment_of(*providers)) as home:
        return home.sync()


def failed_calls(run: MeasuredSync, provider: str) -> int:
    """Count a provider's calls: each symbol's first try and its retries."""
    asked = [
        row for row in run.results for told in row["attempts"] if told["provider"] == provider and told["requests"]
    ]
    return len(asked) + sum(int(row["retry_count"]) for row in asked)


def compare(sandbox: Sandbox, first: str, second: str) -> None:
    """Sync without the vendor, then with it down; print each."""
    sync_cold(sandbox, second)  # the sandbox has priced every chain then
    left_out = sync_cold(sandbox, second)
    print(f"\n{first + ' is':30}{'process s':>10}{'x left out':>11}{'calls':>7}{'requests':>9}{'at most':>9}  symbols")
    print(f"{'left out':30}{left_out.process_seconds:10.1f}{1:11.2f}{0:7}{0:9}{0:9}  {left_out.statuses()}")
    reached = []
    for how, words in WAYS.items():
        sandbox.down(first, how)
        run = sync_cold(sandbox, first, second)
        sandbox.up(first)
        ratio = run.process_seconds / left_out.process_seconds
        requests, calls = run.traffic[first]["total"], failed_calls(run, first)
        allowed = BREAKER_FAILURES + CALLS_AT_ONCE + int(run.process_seconds / PROBE_SECONDS)
        reached.append(ratio <= TARGET_TIME and requests <= allowed)
        print(
            f"{'down: ' + words:30}{run.process_seconds:10.1f}{ratio:11.2f}{calls:7}{requests:9}{allowed:9}"
            f"  {run.statuses()}"
        )
    print(
        f"target: at most {BREAKER_FAILURES} failed calls, those in flight and a probe a minute; at most"
        f" {TARGET_TIME:g} of the time: {verdict(all(reached))}"
    )


if __name__ == "__main__":
    compare_two_vendors(__doc__, compare)
