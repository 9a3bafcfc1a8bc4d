"""The settings of alerts: where they go, which rules are on, and their thresholds. Part of `settings.Settings`.

What each rule looks at and what to do about it is said in alerts/rules.py and docs/operations.md.
"""

import re
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

ALERT_RULES = (
    "sync_finished",
    "low_success",
    "too_long",
    "api_errors",
    "write_errors",
    "many_retries",
    "breaker_open",
    "login_needed",
    "symbols_given_up",
    "data_stale",
)
SYNC_TYPES = ("all", "symbols", "stale", "failed", "watchlist", "partition", "refresh")

# Only before a scheme: commas and spaces are part of some services' URLs (?to=a@example.com,b@example.com).
_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S.*", re.DOTALL)


class AlertSettings(BaseSettings):
    """The fields; `Settings` has them with all others."""

    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    alert_rules_off: Annotated[tuple[str, ...], NoDecode] = ()
    alert_summary_types: Annotated[tuple[str, ...], NoDecode] = ("all", "symbols", "failed")
    alert_min_success_pct: float = Field(default=95.0, ge=0, le=100)
    alert_max_minutes: float = Field(default=10.0, gt=0)
    alert_max_api_error_pct: float = Field(default=10.0, ge=0, le=100)
    alert_max_write_error_pct: float = Field(default=1.0, ge=0, le=100)
    alert_max_retry_pct: float = Field(default=20.0, ge=0)
    alert_stale_sessions: int = Field(default=1, ge=1, le=20)

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        urls = [url for url in _BETWEEN_URLS.split(value.strip(" ,\t\n")) if url]
        if not all(_URL.fullmatch(url) for url in urls):
            raise ValueError(
                "give Apprise URLs with a space or comma between them, like tgram://TOKEN/CHAT or"
                " mailto://USER:PASSWORD@example.com"
            )
        return tuple(urls)

    @field_validator("alert_rules_off", mode="before")
    @classmethod
    def _known_rules(cls, value: Any) -> Any:
        return _names(value, ALERT_RULES, "rule")

    @field_validator("alert_summary_types", mode="before")
    @classmethod
    def _known_sync_types(cls, value: Any) -> Any:
        return _names(value, SYNC_TYPES, "kind of sync")


def _names(value: Any, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
    names = [name for name in names if name]
    for name in names:
        if name not in known:
            # What is no word may be a pasted URL with its token: it is not repeated.
            told = f" {name}" if str(name).isidentifier() else " of that name"
            raise ValueError(f"there is no {what}{told}: there are {', '.join(known)}")
    return tuple(dict.fromkeys(names))
