"""The token of an account: kept, shared by all threads and processes of a machine, renewed when Robinhood rejects it.

A stored token is trusted until a data request is answered 401. Then one thread of one process logs in, once; all others
wait for it and use what it got. A refused login is remembered beside the token, so that later runs don't try again
before its time: Robinhood blocks accounts that do, and each try may send a request to somebody's phone. It leaves the
stored token as it was. How a login goes is robinhood_login.py's, where files lie robinhood_tokens.py's.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from optsync_pipeline.providers.base import AuthError, FetchError, RateLimited
from optsync_pipeline.providers.robinhood_login import Credentials, LoginRefused, log_in, new_device_token
from optsync_pipeline.providers.robinhood_tokens import Refusal, Token, TokenFolder
from optsync_pipeline.providers.transport import TIMEOUT, Timeout

THROTTLED = timedelta(hours=12)
"""No login after a 429 for so long, unless Robinhood asks for more: users report blocks of 12 hours and more."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RobinhoodAccount:
    """An account's token. One instance serves many threads. clock: the time now, aware."""

    def __init__(
        self,
        credentials: Credentials,
        home: Path,
        *,
        stand_in_url: str | None,
        timeout: Timeout = TIMEOUT,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.credentials = credentials
        self.folder = TokenFolder(home, credentials.username, stand_in_url=stand_in_url)
        self.stand_in_url = stand_in_url
        self.timeout = timeout
        self.clock = clock
        self._turn = threading.Lock()
        self._token: Token | None = None
        self._unproven: Token | None = None
        self._logins = 0
        self._last_fault: FetchError | None = None

    def token(self) -> Token:
        """Return the token to use. Raises a FetchError where there is none to be had."""
        return self._token or self._obtain(rejected=None)

    def renewed(self, rejected: Token) -> Token:
        """Return another token than the one that Robinhood rejected."""
        return self._obtain(rejected)

    def note_accepted(self, token: Token) -> None:
        """Take note that Robinhood answered a request with this token."""
        if token is self._unproven:
            self._unproven = None

    def log_in_once(self, code: str | None) -> Token:
        """Log in with a code of the authenticator app and keep the token. The caller holds the folder's lock."""
        token = log_in(
            self.credentials,
            device_token=self.folder.device_token(new_device_token),
            code=code,
            folder=self.folder.path,
            stand_in_url=self.stand_in_url,
            timeout=self.timeout,
        )
        self.folder.write_token(token)
        self.folder.clear_refusal()
        return token

    def remember(self, error: LoginRefused | RateLimited) -> FetchError:
        """Keep later runs from trying again too soon; return the error with the time from which they may."""
        if isinstance(error, RateLimited):
            quiet = max(THROTTLED, timedelta(seconds=error.retry_after_seconds or 0.0))
        else:
            quiet = error.quiet
        until = self.clock() + quiet
        self.folder.write_refusal(Refusal(until, str(error)))
        # Without the Retry-After: it is about logins, not about the data that others are asking for.
        kind = RateLimited if isinstance(error, RateLimited) else AuthError
        return kind(f"{error}; not tried again before {_at(until)}", ends_provider=True)

    def _obtain(self, rejected: Token | None) -> Token:
        logins_before = self._logins
        with self._turn:
            known = self._token if self._token != rejected else None
            known = known or self._stored(rejected)
            if known is None:
                if self._logins != logins_before and self._last_fault is not None:
                    raise _again(self._last_fault)  # of the login that this thread waited for
                known = self._log_in(rejected)
            self._token = known
            return known

    def _stored(self, rejected: Token | None) -> Token | None:
        stored = self.folder.read_token()
        return stored if stored != rejected else None

    def _log_in(self, rejected: Token | None) -> Token:
        self._last_fault = None
        try:
            with self.folder.locked():
                # Another process may have logged in while this one waited.
                return self._stored(rejected) or self._log_in_unattended(rejected)
        except FetchError as error:
            self._last_fault = error
            raise
        finally:
            self._logins += 1

    def _log_in_unattended(self, rejected: Token | None) -> Token:
        refusal = self.folder.read_refusal(self.clock())
        if refusal is not None:
            raise AuthError(
                f"no login at Robinhood is tried before {_at(refusal.until)}, because of the last one: "
                f"{refusal.reason}; `optsync robinhood login` tries at once",
                ends_provider=True,
            )
        if rejected is not None and rejected is self._unproven:
            raise self.remember(LoginRefused("Robinhood rejects the token that it has just given"))
        # Outside: a bad secret is no refusal of Robinhood's, and once mended is tried at once.
        code = self.credentials.code(self.clock())
        try:
            token = self.log_in_once(code)
        except (LoginRefused, RateLimited) as error:
            raise self.remember(error) from None
        self._unproven = token
        return token


def _again(error: FetchError) -> FetchError:
    if isinstance(error, AuthError | RateLimited):
        return AuthError(str(error), ends_provider=error.ends_provider)
    return type(error)(str(error))


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
