"""yfinance's cookie, crumb and session, with the few things it lacks.

Written against yfinance 1.7.0: read its data.py again before a new pin.

- Any status >= 400 makes yfinance ask again under its other cookie strategy and drop the crumb for every thread: three
  requests a bad symbol. So the session raises our error at once for all but 401, the one that a new crumb heals.
- It keeps whatever getcrumb answered, error pages included, and goes on without a crumb when it gets none.
- Its cookie cache is an sqlite file under the user's cache folder, through which a stand-in's cookie would reach Yahoo,
  and which fails on a full disk. A cookie costs one request a process, so here it lives in the session alone.

What is asked for and what replies mean is yahoo.py's.
"""

import logging
import re
import threading
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
import yfinance
from curl_cffi.requests import Session as CurlSession
from curl_cffi.requests.exceptions import Timeout as CurlTimeout
from yfinance._http import cookie_jar
from yfinance.data import YfData

from optsync_pipeline.providers.base import AuthError, NetworkError, VendorFault
from optsync_pipeline.providers.transport import (
    METER,
    TIMEOUT,
    BoundedSession,
    StandInAdapter,
    Timeout,
    network_fault,
    status_error,
)
from optsync_pipeline.redaction import keep_secret

_CRUMB_PATH = "/v1/test/getcrumb"
_DATA_PATHS = ("/v7/finance/", "/v8/finance/")
_COOKIE_HOST = "fc.yahoo.com"
_PLAUSIBLE_CRUMB = re.compile(r"[^\s<>{}\"]{1,64}")

_shared: dict[str | None, "YahooAccess"] = {}
_shared_lock = threading.Lock()


class YahooAccess(YfData):  # type: ignore[misc]  # yfinance has no types
    """yfinance's one place for requests, made to forget a crumb that is none and to keep its cookie in memory."""

    def _get_crumb_basic(self, timeout: Any = TIMEOUT) -> str | None:
        return self._keep_if_plausible(super()._get_crumb_basic(timeout))

    def _get_crumb_csrf(self, timeout: Any = TIMEOUT) -> str | None:
        return self._keep_if_plausible(super()._get_crumb_csrf(timeout))

    def _keep_if_plausible(self, crumb: str | None) -> str | None:
        if crumb is not None and _PLAUSIBLE_CRUMB.fullmatch(crumb):
            keep_secret(crumb)
            return crumb
        self._crumb = None
        return None

    def _get_cookie_and_crumb(self, timeout: Any = TIMEOUT) -> tuple[str, str]:
        crumb, strategy = super()._get_cookie_and_crumb(timeout)
        if crumb is None:
            refused = self._session.crumb_status in (401, 403)
            error_class = AuthError if refused else VendorFault  # refused: we are blocked, and asking on makes it worse
            raise error_class("Yahoo gave no usable crumb, and answers nothing without one")
        return crumb, strategy

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802  # yfinance's name
        self._cookie = True
        return True

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802  # yfinance's name
        jar = cookie_jar(self._session)
        with jar._cookies_lock:
            held = any(c.name == "A3" and c.domain.endswith("yahoo.com") and not c.is_expired() for c in jar)
        if held:
            self._cookie = True
        return bool(held)


class StandInSession(BoundedSession):
    """Plain requests towards a stand-in on loopback."""

    def __init__(self, base_url: str, timeout: Timeout) -> None:
        super().__init__("Yahoo", StandInAdapter(base_url), is_stand_in=True, timeout=timeout)
        self.crumb_status = 200

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().request(method, url, *args, **kwargs)
        except OSError as error:
            _raise_typed(str(url), error, isinstance(error, requests.Timeout), self.timeout)
        if _is_crumb(str(url), response):
            self.crumb_status = response.status_code
            if response.status_code != 200:
                response._content = b""  # an error page; yfinance would take it for a crumb
        return response


class BrowserSession(CurlSession[Any]):
    """curl impersonating Chrome, without which Yahoo answers 429. Its timeouts bound the whole reply."""

    def __init__(self, timeout: Timeout) -> None:
        super().__init__(impersonate="chrome", timeout=timeout)
        self.crumb_status = 200

    def request(self, method: Any, url: str, **kwargs: Any) -> Any:  # type: ignore[override]  # yfinance names the rest
        try:
            with METER.request():
                response = super().request(method, url, **{**kwargs, "timeout": self.timeout})
        except OSError as error:
            _raise_typed(url, error, isinstance(error, CurlTimeout), self.timeout)
        METER.note_status(response.status_code)
        METER.requests += response.redirect_count
        if _is_crumb(url, response):
            self.crumb_status = response.status_code
            if response.status_code != 200:
                response.content = b""  # an error page; yfinance would take it for a crumb
        return response


def yahoo_access(stand_in_url: str | None, cache_folder: Path, timeout: Timeout) -> YahooAccess:
    """Return the process's access to Yahoo or to one stand-in: all its threads and syncs share a cookie and a crumb."""
    with _shared_lock:
        if stand_in_url not in _shared:
            _shared[stand_in_url] = _new_access(stand_in_url, cache_folder, timeout)
        return _shared[stand_in_url]


def _new_access(stand_in_url: str | None, cache_folder: Path, timeout: Timeout) -> YahooAccess:
    # What it would log is in our errors, and at DEBUG it logs the crumb.
    logging.getLogger("yfinance").setLevel(logging.ERROR)
    yfinance.set_tz_cache_location(str(cache_folder))
    yfinance.config.network.retries = 0
    session = StandInSession(stand_in_url, timeout) if stand_in_url else BrowserSession(timeout)
    # Past its singleton, which would hand one market's cookie and crumb to another.
    access: YahooAccess = type.__call__(YahooAccess, session=session)
    return access


def _raise_typed(url: str, error: OSError, timed_out: bool, timeout: Any) -> NoReturn:
    fault = network_fault("Yahoo", error, timed_out=timed_out, timeout=timeout)
    if isinstance(fault, NetworkError) and urlsplit(url).hostname == _COOKIE_HOST:
        raise error  # ad blockers block this host: yfinance then takes its second way to a cookie
    raise fault from None


def _is_crumb(url: str, response: Any) -> bool:
    """Say whether the reply is one to getcrumb. Raise our error for a reply that yfinance would mishandle."""
    path = urlsplit(url).path
    status: int = response.status_code
    if path == _CRUMB_PATH:
        if status == 200 and "Too Many Requests" in response.text:
            status = 429
        if status in (429, 999) or status >= 500:
            raise status_error("Yahoo", "the request for a crumb", status, response.headers)
        return True
    if path.startswith(_DATA_PATHS) and status >= 400 and urlsplit(str(response.url)).path != path:
        raise VendorFault(f"Yahoo sent the request for {path.rpartition('/')[2]} elsewhere, which failed ({status})")
    if path.startswith(_DATA_PATHS) and status >= 400 and status != 401:
        raise status_error("Yahoo", path.rpartition("/")[2], status, response.headers)
    return False
