"""The rules about syncs: what became of one that ended, and one that takes too long.

An incident is of a kind of sync (all, stale, ...), so that a cause that spoils one sync after the other is told once;
the next sync of that kind that is well, or the same one after its failed symbols were asked again, ends it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optsync_pipeline.alerts.wording import Job, job_text, kind_of_sync, name_of, percent, span
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, REASK_ROUNDS
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.alerts import News, Verdict


@dataclass(frozen=True, slots=True)
class _Figure:
    """What a rule measures of a job. errors: which of the job's lists of errors explains it."""

    is_bad: bool
    title: str
    sentence: str
    errors: str = "call_errors"


def sync_finished(news: News, settings: Settings) -> Iterator[Verdict]:
    """Tell how each sync went, however it ended."""
    for job in news.jobs:
        if not job["has_ended"] or job["sync_type"] not in settings.alert_summary_types:
            continue
        again = f", taken up again {job['resumed_at'].isoformat()}" if job["resumed_at"] else ""
        title = f"{name_of(job)} {job['status']}: {job['ok']:,} ok, {job['failed']:,} failed"
        lines = job_text("Sync finished.", job, job["symbol_errors"])
        incident = f"job {job['job_id']}{again}"
        yield Verdict("tells", "sync_finished", incident, title, lines, job["job_id"])


def low_success(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge how many symbols a sync did; a skipped one is done."""
    least = settings.alert_min_success_pct

    def measure(job: Job) -> _Figure | None:
        if not job["total"]:
            return None
        done = 100 * (job["ok"] + job["skipped"]) / job["total"]
        sentence = f"{percent(done)} of the symbols are done; at least {least:g} % are wanted."
        return _Figure(done < least, f"{percent(done)} of symbols done", sentence, "symbol_errors")

    return _of_ended_jobs("low_success", news, measure)


def too_long(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge how long a sync took, or has taken so far."""
    limit = settings.alert_max_minutes

    def measure(job: Job) -> _Figure:
        took = span(job["seconds"])
        sentence = f"It took {took}; {limit:g} min are allowed."
        if job["status"] == "running":
            sentence = f"It is not done after {took}; {limit:g} min are allowed."
        return _Figure(job["seconds"] > 60 * limit, f"{took} at work", sentence)

    for job in news.jobs:
        if job["is_late"]:
            yield _verdict("too_long", job, measure(job))
    yield from _of_ended_jobs("too_long", news, measure)


def api_errors(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge how many of the tries at vendors failed: each retry had one before it, each vendor given up one more."""
    most = settings.alert_max_api_error_pct

    def measure(job: Job) -> _Figure | None:
        return _share_of_requests(job, job["retries"] + job["last_failures"], most, "failed")

    return _of_ended_jobs("api_errors", news, measure)


def many_retries(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge how many tries had to be repeated."""
    most = settings.alert_max_retry_pct
    return _of_ended_jobs(
        "many_retries", news, lambda job: _share_of_requests(job, job["retries"], most, "were retries")
    )


def write_errors(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge of how many symbols the database refused rows."""
    most = settings.alert_max_write_error_pct

    def measure(job: Job) -> _Figure | None:
        if not job["written"]:
            return None
        share = 100 * job["unwritten"] / job["written"]
        sentence = (
            f"The database refused rows of {job['unwritten']:,} of {job['written']:,} symbols ({percent(share)}); "
            f"{most:g} % are allowed."
        )
        return _Figure(share > most, f"{percent(share)} of symbols refused by the database", sentence, "symbol_errors")

    return _of_ended_jobs("write_errors", news, measure)


def symbols_given_up(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge whether symbols stay failed: asked again three times, or too many to be asked again at all."""
    for alert in news.open_alerts:
        if alert["rule"] == "symbols_given_up" and not alert["left_failed"]:
            body = "Every symbol that had failed was done by a sync since, or is not synced any more."
            yield Verdict("ends", "symbols_given_up", alert["incident"], "", body)
    for job in news.jobs:
        # A round is counted when it begins: it is over for those that failed once each of them was asked in it.
        is_over = job["failed"] == job["failed_in_last_round"]
        asked_out = job["failed"] and is_over and job["reask_rounds"] >= REASK_ROUNDS
        if not job["has_ended"] or not (asked_out or job["failed"] > MAX_REASKED_SYMBOLS):
            continue
        why = f"asked again {job['reask_rounds']} times" if asked_out else "too many to be asked again one by one"
        sentence = f"{job['failed']:,} symbols stay failed: {why}."
        figure = _Figure(True, f"{job['failed']:,} symbols given up", sentence, "symbol_errors")
        yield _verdict("symbols_given_up", job, figure)


def _share_of_requests(job: Job, count: int, most: float, what: str) -> _Figure | None:
    if not job["requests"]:
        return None
    share = 100 * count / job["requests"]
    sentence = f"{count:,} of {job['requests']:,} requests {what} ({percent(share)}); {most:g} % are allowed."
    return _Figure(share > most, f"{percent(share)} of requests {what}", sentence)


def _of_ended_jobs(rule: str, news: News, measure: Callable[[Job], _Figure | None]) -> Iterator[Verdict]:
    """Judge each job that ended by itself, in the order of the ends, so that the latest of a kind has the last word."""
    for job in news.jobs:
        figure = measure(job) if job["has_ended"] and job["status"] != "cancelled" else None
        if figure is not None:
            yield _verdict(rule, job, figure)


def _verdict(rule: str, job: Job, figure: _Figure) -> Verdict:
    errors = job[figure.errors] if figure.is_bad else ()
    body = job_text(figure.sentence, job, errors)
    title = f"{figure.title} in {name_of(job)}"
    return Verdict("opens" if figure.is_bad else "ends", rule, kind_of_sync(job), title, body, job["job_id"])
