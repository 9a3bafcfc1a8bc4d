"""Every rule: what it looks at, when it fires, when it is over. The judging itself is in job_rules.py, state_rules.py.

docs/operations.md tells the same with what to do; a test holds the two together.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from optsync_pipeline.alerts import job_rules, state_rules
from optsync_pipeline.calendar import latest_finished_sessions
from optsync_pipeline.resources import MAX_REASKED_SYMBOLS, REASK_ROUNDS
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.alerts import News, Verdict

LAST_QUOTES = timedelta(minutes=30)
"""A session's last quotes are from before its close, by the vendors' delays: with that much, data are of its close."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. fires: when, in words; limit: the threshold as it is set, with its unit; setting: what sets it."""

    name: str
    fires: str
    over: str
    setting: str | None
    limit: Callable[[Settings], str | None]
    judge: Callable[[News, Settings], Iterator[Verdict]]

    def is_on(self, settings: Settings) -> bool:
        """Whether the settings let it speak."""
        return self.name not in settings.alert_rules_off


_NEXT_SYNC = "a sync of the same kind is within it, or the same one after its failed symbols were asked again"

RULES: tuple[Rule, ...] = (
    Rule(
        "sync_finished",
        "a sync of one of these kinds has ended: a summary",
        "at once",
        "OPTSYNC_ALERT_SUMMARY_TYPES",
        lambda settings: ", ".join(settings.alert_summary_types),
        job_rules.sync_finished,
    ),
    Rule(
        "low_success",
        "fewer of a sync's symbols are done (skipped ones are)",
        _NEXT_SYNC,
        "OPTSYNC_ALERT_MIN_SUCCESS_PCT",
        lambda settings: f"{settings.alert_min_success_pct:g} %",
        job_rules.low_success,
    ),
    Rule(
        "too_long",
        "a sync took longer, or runs for longer",
        _NEXT_SYNC,
        "OPTSYNC_ALERT_MAX_MINUTES",
        lambda settings: f"{settings.alert_max_minutes:g} min",
        job_rules.too_long,
    ),
    Rule(
        "api_errors",
        "a larger share of a sync's requests to vendors failed",
        _NEXT_SYNC,
        "OPTSYNC_ALERT_MAX_API_ERROR_PCT",
        lambda settings: f"{settings.alert_max_api_error_pct:g} %",
        job_rules.api_errors,
    ),
    Rule(
        "write_errors",
        "the database refused rows of a larger share of a sync's symbols",
        _NEXT_SYNC,
        "OPTSYNC_ALERT_MAX_WRITE_ERROR_PCT",
        lambda settings: f"{settings.alert_max_write_error_pct:g} %",
        job_rules.write_errors,
    ),
    Rule(
        "many_retries",
        "a larger share of a sync's requests were retries",
        _NEXT_SYNC,
        "OPTSYNC_ALERT_MAX_RETRY_PCT",
        lambda settings: f"{settings.alert_max_retry_pct:g} %",
        job_rules.many_retries,
    ),
    Rule(
        "breaker_open",
        "a provider failed 20 times in a row and is left alone",
        "its breaker is closed",
        None,
        lambda settings: None,
        state_rules.breaker_open,
    ),
    Rule(
        "login_needed",
        "Robinhood or Polygon refuses the account or key",
        "it answers again",
        None,
        lambda settings: None,
        state_rules.login_needed,
    ),
    Rule(
        "symbols_given_up",
        f"symbols still fail after {REASK_ROUNDS} rounds, or more than {MAX_REASKED_SYMBOLS} failed at once",
        "later syncs have done them all",
        None,
        lambda settings: None,
        job_rules.symbols_given_up,
    ),
    Rule(
        "data_stale",
        "the newest quote is older than so many trading days",
        "a newer quote is there",
        "OPTSYNC_ALERT_STALE_SESSIONS",
        lambda settings: f"{settings.alert_stale_sessions} trading days",
        state_rules.data_stale,
    ),
)


def judge(news: News, settings: Settings) -> list[Verdict]:
    """Return what the rules that are on say."""
    return [verdict for rule in RULES if rule.is_on(settings) for verdict in rule.judge(news, settings)]


def fresh_since(now: datetime, sessions: int) -> datetime:
    """Return from when on a quote is fresh: the close of the session that is so many before the latest finished one."""
    finished: Sequence[datetime] = [session.close for session in latest_finished_sessions(now, sessions + 1)]
    return finished[-1] - LAST_QUOTES
