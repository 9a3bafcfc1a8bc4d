"""One login at Robinhood, by robin_stocks' own login(), judged by what went over the wire.

    Robinhood says                                  we say
    200 with a token                                the Token
    a verification workflow                         VerificationDemanded: a person has to approve this device
    mfa_required                                    CodeDemanded: a code of the authenticator app is needed
    400, 401, 403 otherwise                         AuthError
    429                                             RateLimited
    5xx / no reply in time / no connection          VendorFault / ApiTimeout / NetworkError
    HTML, cut JSON, no token                        InvalidReply

Written against robin_stocks 3.4.0: read its authentication.py and helper.py again before a new pin. Its login() returns
None for every failure, prints, asks on the terminal, polls without end, and truncates its token file when it is
refused. So it is lent a session that notes the reply, a device id that we keep, and names in place of print, input,
getpass and its verification, which at once give up. It keeps no file. What is done about a refusal, and where a token
is kept, robinhood_account.py says; how a person passes a verification, robinhood_approval.py.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NoReturn

import requests
from pydantic import SecretStr
from pyotp.totp import TOTP
from robin_stocks.robinhood import authentication, helper

from optsync_pipeline.providers.base import AuthError, InvalidReply, RateLimited
from optsync_pipeline.providers.robinhood_http import RobinhoodHttp
from optsync_pipeline.providers.robinhood_tokens import Token
from optsync_pipeline.providers.transport import read_json, status_error

_library = threading.Lock()  # its session and its login state are globals
_ASKED = "the login"
_REFUSALS = (400, 401, 403)
_IN_A_TERMINAL = "run `optsync robinhood login` in a terminal"


class LoginRefused(AuthError):
    """Robinhood refuses the login. quiet: how long no run tries again by itself."""

    quiet: ClassVar[timedelta] = timedelta(hours=1)

    def __init__(self, message: str) -> None:
        super().__init__(message, ends_provider=True)


class VerificationDemanded(LoginRefused):
    """Robinhood wants a person to approve this device: in its app, or by a code sent as SMS or e-mail."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            "Robinhood wants this device to be approved: "
            f"{_IN_A_TERMINAL}, and approve the request in the Robinhood app, or enter the code that is sent to you"
        )
        self.workflow_id = workflow_id


class CodeDemanded(LoginRefused):
    """Robinhood wants a code of the authenticator app, or a better one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in. mfa_secret: the base32 secret of the authenticator app; None where the account has none."""

    username: str
    password: SecretStr
    mfa_secret: SecretStr | None = None

    def code(self, now: datetime) -> str | None:
        """Return the authenticator app's code at `now`."""
        if self.mfa_secret is None:
            return None
        secret = self.mfa_secret.get_secret_value().replace(" ", "")
        try:
            if not secret:
                raise ValueError("no secret")
            return TOTP(secret).at(now)
        except ValueError:
            raise LoginRefused(
                "OPTSYNC_ROBINHOOD_MFA_SECRET is no secret of an authenticator app: give the base32 text"
                " (letters and the digits 2 to 7) that Robinhood shows beside the QR code"
            ) from None


class _NotingSession(RobinhoodHttp):
    """Notes the last reply, or what came instead of one: the library keeps neither."""

    reply: requests.Response | None = None
    broken: BaseException | None = None

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        self.reply = self.broken = None
        try:
            self.reply = super().request(method, url, *args, **kwargs)
        except BaseException as error:
            self.broken = error
            raise
        return self.reply


def new_device_token() -> str:
    """Return an id for this device, as the library makes them."""
    made: str = authentication.generate_device_token()
    return made


def log_in(
    credentials: Credentials,
    *,
    device_token: str,
    code: str | None,
    folder: Path,
    stand_in_url: str | None,
    timeout: tuple[float, float],
) -> Token:
    """Ask for a token once; the module's table says what is raised.

    code: the authenticator app's. folder: an existing one, in which the library then writes nothing.
    """
    session = _NotingSession(stand_in_url, timeout)
    with contextlib.closing(session), _library, _borrowed_library(session, device_token):
        authentication.login(
            username=credentials.username,
            password=credentials.password.get_secret_value(),
            store_session=False,
            mfa_code=code,
            pickle_path=str(folder),
        )
    if isinstance(session.broken, OSError):
        raise session.fault(session.broken) from None
    if session.broken is not None:
        raise session.broken
    if session.reply is None:
        raise InvalidReply("robin_stocks made no request to log in: it is not the version that this was written for")
    return _judge(session.reply, had_code=code is not None)


def _judge(reply: requests.Response, *, had_code: bool) -> Token:
    status = reply.status_code
    if status == 429:
        told = status_error("Robinhood", _ASKED, status, reply.headers)
        raise RateLimited(str(told), retry_after_seconds=told.retry_after_seconds, ends_provider=True)
    if status >= 300 and status not in _REFUSALS:
        # 404 is about an address here, not about a symbol.
        raise status_error("Robinhood", _ASKED, 500 if status == 404 else status, reply.headers)
    told_json = _read(reply)
    _raise_demands(told_json, had_code=had_code)
    if status in _REFUSALS:
        raise LoginRefused(
            f"Robinhood does not accept the login (status {status}): check OPTSYNC_ROBINHOOD_USERNAME,"
            " OPTSYNC_ROBINHOOD_PASSWORD and OPTSYNC_ROBINHOOD_MFA_SECRET"
        )
    access, kind, refresh = (told_json.get(name) for name in ("access_token", "token_type", "refresh_token"))
    if not (isinstance(access, str) and access.isascii() and access.isprintable() and access):
        raise InvalidReply("Robinhood answered the login without a token")
    return Token(access, kind if isinstance(kind, str) else "Bearer", refresh if isinstance(refresh, str) else None)


def _raise_demands(told: dict[str, Any], *, had_code: bool) -> None:
    workflow = told.get("verification_workflow")
    if isinstance(workflow, dict) and isinstance(workflow.get("id"), str):
        raise VerificationDemanded(workflow["id"])
    if told.get("mfa_required"):
        given = "does not accept the one it was given: check" if had_code else "was given none: set"
        raise CodeDemanded(
            f"Robinhood asks for a code of the authenticator app and {given} OPTSYNC_ROBINHOOD_MFA_SECRET,"
            f" or {_IN_A_TERMINAL}"
        )


def _read(reply: requests.Response) -> dict[str, Any]:
    if reply.status_code in _REFUSALS and not reply.content.lstrip().startswith(b"{"):
        return {}  # the status says enough
    return read_json("Robinhood", _ASKED, reply.content)


@contextlib.contextmanager
def _borrowed_library(session: requests.Session, device_token: str) -> Iterator[None]:
    """Make the library use this session and device, silently and without ever waiting for a person."""
    with (
        open(os.devnull, "w") as nowhere,
        _names_of(helper, SESSION=session, OUTPUT=nowhere),
        _names_of(
            authentication,
            print=_say_nothing,
            input=_give_up,
            getpass=_give_up,
            generate_device_token=lambda: device_token,
            _validate_sherrif_id=_give_up,
        ),
    ):
        yield


@contextlib.contextmanager
def _names_of(module: ModuleType, **names: object) -> Iterator[None]:
    before = {name: value for name, value in vars(module).items() if name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        for name in names:
            del vars(module)[name]
        vars(module).update(before)


def _say_nothing(*args: object, **kwargs: object) -> None:
    """Stand in for print()."""


def _give_up(*args: object, **kwargs: object) -> NoReturn:
    """Stand in for whatever would wait for a person; login() catches this and ends."""
    raise RuntimeError("a person is needed")
