"""The words of alerts: a job's figures, its most frequent errors with symbols, the command that shows more.

Nothing of a vendor's or a service's text is repeated but what the sync log has, which holds no secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

Job = Mapping[str, Any]


def kind_of_sync(job: Job) -> str:
    """Name the kind of a job: what incidents of consecutive syncs are kept apart by."""
    return f"{job['sync_type']}, prices alone" if job["prices_only"] else str(job["sync_type"])


def name_of(job: Job) -> str:
    """Name a job in a title."""
    return f"sync job {job['job_id']} ({kind_of_sync(job)})"


def job_text(first: str, job: Job, errors: Sequence[Mapping[str, Any]]) -> str:
    """Write an alert's text about a job: the figure that matters, the job, its errors, where to look."""
    return "\n".join([first, *job_lines(job), *error_lines(errors), f"More: optsync status {job['job_id']}"])


def job_lines(job: Job) -> Iterator[str]:
    """Yield what a job did, and what it cost."""
    status = "has been running for" if job["status"] == "running" else f"{job['status']} in"
    left = job["total"] - job["ok"] - job["failed"] - job["skipped"]
    yield (
        f"{name_of(job).capitalize()}: {status} {span(job['seconds'])}; {job['ok']:,} ok, {job['failed']:,} failed, "
        f"{job['skipped']:,} skipped" + (f", {left:,} not done" if left else "") + f" of {job['total']:,} symbols"
    )
    by_provider = sorted(job["requests_by_provider"].items(), key=lambda item: (-item[1], item[0]))
    shares = ", ".join(f"{provider} {count:,}" for provider, count in by_provider)
    yield f"{job['requests']:,} requests, {job['retries']:,} retries" + (f": {shares}" if shares else "")


def error_lines(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the most frequent errors, at most five, each with some of its symbols."""
    if errors:
        yield "Most frequent errors:"
    for error in errors:
        more = error["count"] - len(error["symbols"])
        symbols = ", ".join(error["symbols"]) + (f" and {more:,} more" if more > 0 else "")
        yield f"- {error['error']} {error['count']:,}: {symbols}"


def percent(share: float) -> str:
    """Write a percentage with the decimals that it has, at most two."""
    return f"{round(share, 2):g} %"


def span(seconds: float) -> str:
    """Write a length of time in its two largest units."""
    whole = timedelta(seconds=max(0, round(seconds)))
    hours, rest = divmod(whole.seconds, 3600)
    parts = [(whole.days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    told = [f"{count:,} {unit}" for count, unit in parts if count]
    return " ".join(told[:2]) or "0 s"
