"""The rules about what is so now, whichever sync it came from: breakers, logins, the age of the data."""

from collections.abc import Iterator, Mapping
from typing import Any

from optsync_pipeline.alerts.wording import error_lines, job_lines, span
from optsync_pipeline.calendar import NEW_YORK
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.alerts import News, Verdict

_LOGINS = {
    "robinhood": "Log in: optsync robinhood login",
    "polygon": "Check the key in OPTSYNC_POLYGON_API_KEY",
}
"""Providers that know who asks, and what a person does where they refuse."""


def breaker_open(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge each provider's breaker; one that only probes is open."""
    for provider in news.providers:
        name = provider["provider"]
        if provider["circuit_state"] == "closed":
            yield Verdict("ends", "breaker_open", name, "", f"The breaker of {name} is closed: it is asked again.")
            continue
        sentence = (
            f"{name} failed {provider['consecutive_failures']:,} times in a row and is left alone, a probe a minute "
            f"aside. Last error: {_last_error(provider)}"
        )
        title = f"breaker of {name} opened"
        yield Verdict("opens", "breaker_open", name, title, _text(sentence, news, "More: optsync providers"))


def login_needed(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge whether a provider refuses who we are; it is over when it answers again."""
    for provider in news.providers:
        name = provider["provider"]
        if name not in _LOGINS:
            continue
        error_at, good_at = provider["last_error_at"], provider["last_good_at"]
        if error_at is None or (good_at is not None and good_at >= error_at):
            yield Verdict("ends", "login_needed", name, "", f"{name} answers again.")
        elif str(provider["last_error"]).startswith("auth_error:"):
            sentence = f"{name} refuses who we are, until a person does something: {_last_error(provider)}"
            title = f"{name} needs a person to log in"
            yield Verdict("opens", "login_needed", name, title, _text(sentence, news, f"{_LOGINS[name]}"))


def data_stale(news: News, settings: Settings) -> Iterator[Verdict]:
    """Judge the newest quote of the active stocks by the sessions that have closed since."""
    if news.newest_quote is None:
        return
    newest = f"{news.newest_quote.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    if news.newest_quote >= news.fresh_since:
        yield Verdict("ends", "data_stale", "data", "", f"The newest quote is of {newest}.")
        return
    allowed = settings.alert_stale_sessions
    sentence = (
        f"The newest quote of any active stock is of {newest}, {span((news.now - news.newest_quote).total_seconds())} "
        f"ago: older than {allowed} trading day{'s' if allowed > 1 else ''}. {news.old_stocks:,} of {news.stocks:,} "
        "stocks are as old or older."
    )
    yield Verdict("opens", "data_stale", "data", "no fresh data", _text(sentence, news, "More: optsync doctor"))


def _text(sentence: str, news: News, command: str) -> str:
    job = news.newest_job
    lines = [] if job is None else [*job_lines(job), *error_lines(job["call_errors"])]
    where = [] if job is None else [f"The latest sync: optsync status {job['job_id']}"]
    return "\n".join([sentence, *lines, command, *where])


def _last_error(provider: Mapping[str, Any]) -> str:
    return str(provider["last_error"] or "not known")
