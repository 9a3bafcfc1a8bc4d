"""Keeps secrets out of what is logged: those of the settings, those that come up while we run, and what looks like one.

Whoever gets a secret (a token, a crumb, the embedded server's password) hands it to keep_secret() before it uses it.
The logs themselves are logs.py's.
"""

import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "***"
SHORTEST_SECRET = 4
"""Of a shorter one the traces would be everywhere; where it stands as a password, the patterns below find it."""

SHORTEST_PART = 8
"""Of an alert service's address, parts at least this long are taken for its key: a Telegram token, a webhook's path."""

_NAMES = (
    r"password|passwd|secret|mfa_code|otp|api[_-]?key|access[_-]?token|refresh[_-]?token|device[_-]?token|auth[_-]?token"
    r"|token|crumb|session[_-]?id|client[_-]?secret"
)
# Each keeps what is not secret: the header's name, the scheme and the host of a URL, the name of a field.
_PATTERNS = (
    (re.compile(r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?)[^\s\"',}]+", re.I), 1),
    (re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.I), 1),
    (re.compile(r"((?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\r\n\"'}]+", re.I), 1),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s\"']+(?=@)", re.I), 1),
    (re.compile(rf"(\b(?:{_NAMES})(?:=|[\"']\s*[:=]\s*[\"']?))[^\s&\"',;}})]+", re.I), 1),
)

_lock = threading.Lock()
_secrets: set[str] = set()
_known: re.Pattern[str] | None = None


def keep_secret(*secrets: str | None) -> None:
    """Take note of secrets, so that no line shows them from now on, in whichever spelling."""
    global _known
    new = {secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET} - _secrets
    if not new:
        return
    with _lock:
        _secrets.update(new)
        spellings = {spelling for secret in _secrets for spelling in _spellings(secret)}
        # The longest first: a URL goes as a whole, not as its password with the rest around it.
        _known = re.compile("|".join(re.escape(one) for one in sorted(spellings, key=len, reverse=True)))


def secrets_of_database_url(url: str) -> list[str]:
    """Return what a PostgreSQL URL has to hide: itself and its password, as written and as meant."""
    userinfo, at, _ = url.partition("://")[2].rpartition("@")
    password = userinfo.partition(":")[2] if at else ""
    asked = [value for name, value in parse_qsl(urlsplit(url).query) if "password" in name.lower()]
    return [url, password, unquote(password), *asked] if password or asked else []


def secrets_of_alert_url(url: str) -> list[str]:
    """Return what an alert service's address has to hide: itself, and every part that may be its key."""
    rest = url.partition("://")[2]
    parts = [part for part in re.split(r"[/?&=@:#,]", rest) if len(part) >= SHORTEST_PART]
    # A plain host name is no secret, and is wanted when the service cannot be reached.
    keys = [
        part for part in parts if not re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}|(?:\d{1,3}\.){3}\d{1,3}", part, re.I)
    ]
    return [url, *keys, *(unquote(key) for key in keys)]


def redact_text(text: str) -> str:
    """Return a text with every known secret, and what stands where secrets stand, replaced by ***."""
    known = _known
    if known is not None:
        text = known.sub(MASK, text)
    for pattern, kept in _PATTERNS:
        text = pattern.sub(rf"\g<{kept}>{MASK}", text)
    return text


def redact(value: Any) -> Any:
    """Return a value of a log line without secrets, in types that JSON has; other objects as their repr."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {redact_text(str(key)): _field(str(key), inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [redact(inner) for inner in value]
    return redact_text(repr(value))


def _field(name: str, value: Any) -> Any:
    """A field that is named like a secret holds one, whatever its value looks like."""
    if isinstance(value, str) and value and re.fullmatch(_NAMES, name, re.I):
        return MASK
    return redact(value)


def _spellings(secret: str) -> Iterable[str]:
    """A secret as it is, percent-encoded for a path or a form, and escaped as in JSON and in Python's repr."""
    encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), one) for one in encoded}
    escaped = {json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)}
    return {secret, *encoded, *lower, *(one[1:-1] for one in escaped)}
