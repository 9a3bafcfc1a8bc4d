"""Polygon's own client (massive), with the limits and the errors that it lacks.

Written against massive 2.9.1: read its rest/base.py again before a new pin.

- It asks four times within 0.65 s where the vendor says 429 or 5xx. Its retries are off here.
- A bad status is an exception with the body's text alone. So the pool, which sees every reply, raises our error at
  once: the status decides, and Retry-After is readable.
- A reply that is not JSON, or has no results, is an empty chain to it, and one odd row ends the whole walk. So pages
  are taken raw, one at a time, and read by us.
- It puts the path of next_url behind its base unchecked, where `@elsewhere/` makes a user name of the base and sends
  the key elsewhere. So of next_url only the query is followed, and only where the path is the one that was asked.

What is asked for and what rows mean is polygon.py's and polygon_rows.py's.
"""

import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3
from massive import RESTClient
from pydantic import SecretStr

from optsync_pipeline.providers.base import AuthError, FetchError, InvalidReply, NotEntitled, VendorFault
from optsync_pipeline.providers.transport import (
    METER,
    POOL_SIZE,
    Timeout,
    network_fault,
    read_body,
    read_json,
    status_error,
)

REAL_URL = "https://api.massive.com"
CONTRACTS_PER_PAGE = 250  # the most that Polygon gives; the client's own default is 10
_MOST_PAGES = 100  # SPY, the largest chain known, has about 13,000 contracts: 52 pages
_PATH = "/v3/snapshot/options/"
_SENDABLE_KEY = re.compile(r"[!-~]+")  # http.client's error for a key with a line break would quote the key


class PolygonSnapshots:
    """Reads option snapshots through the client. One instance serves many threads."""

    def __init__(self, base_url: str, api_key: SecretStr, timeout: Timeout) -> None:
        key = api_key.get_secret_value().strip()
        self._is_sendable = _SENDABLE_KEY.fullmatch(key) is not None
        self._client = RESTClient(
            api_key=key if self._is_sendable else "",
            base=base_url,
            connect_timeout=timeout[0],
            read_timeout=timeout[1],
            maxsize=POOL_SIZE,
            connection_pool_kw={"retries": False},
        )
        own = self._client.client
        self._client.client = MeteredPool(timeout, headers=own.headers, **own.connection_pool_kw)

    def fetch_rows(self, symbol: str, filters: dict[str, str]) -> list[Any]:
        """Return every row of the symbol's snapshot that passes `filters`: all pages, or a FetchError."""
        if not self._is_sendable:
            raise AuthError("OPTSYNC_POLYGON_API_KEY is empty or holds characters that no key has", ends_provider=True)
        rows: list[Any] = []
        query: dict[str, Any] = {**filters, "limit": CONTRACTS_PER_PAGE}
        asked: list[dict[str, Any]] = []
        while query not in asked and len(asked) < _MOST_PAGES:
            asked.append(query)
            response = self._client.list_snapshot_options_chain(symbol, params=dict(query), raw=True)
            page = read_json("Polygon", symbol, response.data or b"")
            rows += _results(symbol, page)
            if not page.get("next_url"):
                return rows
            query = _query_of_next(symbol, page["next_url"])
        raise InvalidReply(f"Polygon's pages of {symbol} have no end: {len(asked)} were read")

    def close(self) -> None:
        """Let go of connections."""
        self._client.client.clear()


class MeteredPool(urllib3.PoolManager):
    """urllib3's pool; each request passes the meter and gets a whole reply of status 200, or raises a FetchError."""

    def __init__(self, limits: Timeout, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits

    def urlopen(  # type: ignore[override]  # urllib3 itself overrides it so
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Ask once. A redirect is not followed: the key is meant for this host alone."""
        parts = urlsplit(url)
        try:
            with METER.request():
                deadline = time.monotonic() + sum(self._limits)
                response = super().urlopen(method, url, redirect=False, **{**options, "preload_content": False})
                body = read_body(response, parts.hostname, deadline)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise network_fault("Polygon", error, timed_out=_is_timeout(error), timeout=self._limits) from None
        METER.note_status(response.status)
        if response.status != 200:
            raise _refusal(parts.path.rpartition("/")[2], response)
        return urllib3.HTTPResponse(body=body, status=200)


def _is_timeout(error: Exception) -> bool:
    # A refused connection is a timeout to urllib3.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return False
    return isinstance(error, urllib3.exceptions.TimeoutError | requests.Timeout)


def _refusal(asked: str, response: urllib3.BaseHTTPResponse) -> FetchError:
    if response.status == 401:
        return AuthError("Polygon does not know the key in OPTSYNC_POLYGON_API_KEY (status 401)", ends_provider=True)
    if response.status == 403:
        return not_entitled("status 403")
    return status_error("Polygon", asked, response.status, response.headers)


def not_entitled(sign: str) -> NotEntitled:
    """Return the error for a plan without option quotes. sign: what told so."""
    return NotEntitled(
        f"the plan of OPTSYNC_POLYGON_API_KEY has no option quotes ({sign}): it takes a paid options plan with quotes;"
        " without one, leave polygon out of OPTSYNC_PROVIDERS",
        ends_provider=True,
    )


def _results(symbol: str, page: dict[str, Any]) -> list[Any]:
    if "results" not in page:
        raise VendorFault(f"Polygon answered {symbol} without any results")
    results = page["results"]
    if not isinstance(results, list):
        raise InvalidReply(f"Polygon answered {symbol} with JSON that is not an option chain")
    return results


def _query_of_next(symbol: str, next_url: object) -> dict[str, str]:
    parts = urlsplit(next_url) if isinstance(next_url, str) else None
    if parts is None or not parts.path.endswith(_PATH + symbol) or not parts.query:
        raise InvalidReply(f"Polygon names a next page of {symbol} that is none")
    return dict(parse_qsl(parts.query, keep_blank_values=True))
