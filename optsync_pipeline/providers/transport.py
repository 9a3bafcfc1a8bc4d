"""HTTP as every vendor's file uses it: timeouts, a count of wire requests, status and broken connections as our errors.

A text made here names the vendor, what was asked and the status; never a URL's query, a header or a cookie. The causes
are cut off (`from None`) because those of requests and curl carry whole URLs, crumbs included.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter

from optsync_pipeline.providers.base import (
    ApiTimeout,
    AuthError,
    FetchError,
    InvalidReply,
    NetworkError,
    RateLimited,
    UnknownSymbol,
    VendorFault,
)

CONNECT_SECONDS = 8.0
READ_SECONDS = 25.0
Timeout = tuple[float, float]
TIMEOUT: Timeout = (CONNECT_SECONDS, READ_SECONDS)
POOL_SIZE = 100  # the most that max_concurrent_fetches takes: no thread waits for a connection
BODY_LIMIT_BYTES = 64 * 2**20  # SPY's file, the largest known, is 6 MB
BROWSER = "Mozilla/5.0 (X11; Linux x64_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

_BY_STATUS: dict[int, tuple[type[FetchError], str]] = {
    401: (AuthError, "it does not accept our session"),
    # For one symbol it is unknown, for all of them we are blocked: which, is decided when others have answered.
    403: (UnknownSymbol, "it does not know the symbol, or refuses to serve us"),
    404: (UnknownSymbol, "it does not know the symbol"),
    408: (ApiTimeout, "it gave up waiting"),
    429: (RateLimited, "it was asked too often"),
    999: (RateLimited, "it was asked too often"),  # Yahoo's own
}
_SECONDS = re.compile(r"[0-9]{1,9}([.][0-9]*)?")  # whole ones by the book; some servers write 30.0


class WireMeter(threading.local):
    """Counts the wire requests of the thread that makes them, cookies, crumbs and redirects included.

    failures: those of them that ended in no reply, or in a status that is a failure.
    """

    requests = 0
    failures = 0
    gate: "Gate | None" = None

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold the gate's permission for the length of one wire request, its body included; count it."""
        with self.gate() if self.gate else nullcontext():
            self.requests += 1
            try:
                yield
            except BaseException:
                self.failures += 1
                raise

    def note_status(self, status: int) -> None:
        """Count a reply as a failure where its status is one; 404 is an answer."""
        if status >= 400 and status != 404:
            self.failures += 1


Gate = Callable[[], AbstractContextManager[None]]
"""Gives a block within which one request may be under way. Entering it may wait for the vendor's limit, or raise, and
then nothing goes out."""

METER = WireMeter()


@contextmanager
def gated(gate: Gate) -> Iterator[None]:
    """Let every wire request of this thread pass `gate` for the length of the block."""
    before, METER.gate = METER.gate, gate
    try:
        yield
    finally:
        METER.gate = before


@contextmanager
def wire_count() -> Iterator[Callable[[], int]]:
    """Give the number of wire requests since the block began; a FetchError that leaves it carries that number."""
    start = METER.requests
    try:
        yield lambda: METER.requests - start
    except FetchError as error:
        error.requests = METER.requests - start
        raise


class CountingAdapter(HTTPAdapter):
    """requests' own adapter, counting, without a retry of its own; a reply is whole when it returns, or an exception.

    requests' own read timeout starts anew with every byte: a server that drips would hold a thread for ever.
    """

    def __init__(self) -> None:
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, max_retries=0)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        timeout = kwargs.get("timeout")
        with METER.request():
            deadline = time.monotonic() + sum(timeout if isinstance(timeout, tuple) else TIMEOUT)
            response = super().send(request, *args, **{**kwargs, "stream": True})
            response._content = read_body(response.raw, urlsplit(request.url or "").hostname, deadline)
            response._content_consumed = True  # type: ignore[attr-defined]
        METER.note_status(response.status_code)
        return response


def read_body(raw: urllib3.BaseHTTPResponse, host: str | None, deadline: float) -> bytes:
    """Return a reply's whole body, or raise an exception of requests, or InvalidReply where it is endless."""
    body = bytearray()
    try:
        while chunk := raw.read1(2**18, decode_content=True):
            body += chunk
            if time.monotonic() > deadline:
                raise requests.ReadTimeout("the body came too slowly")
            if len(body) > BODY_LIMIT_BYTES:
                raise InvalidReply(f"{host} sent more than {BODY_LIMIT_BYTES // 2**20} MB")
    except urllib3.exceptions.ReadTimeoutError:
        raise requests.ReadTimeout("the body stopped coming") from None
    except urllib3.exceptions.HTTPError:
        raise requests.exceptions.ChunkedEncodingError("the body broke off") from None
    except BaseException:
        raw.close()
        raise
    raw.release_conn()
    return bytes(body)


class StandInAdapter(CountingAdapter):
    """Sends a request for https://HOST/PATH to BASE/PATH with the header Host: HOST.

    The request keeps its https URL, so that cookies marked Secure and meant for HOST are kept and sent.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url
        self._base_path = urlsplit(base_url).path.rstrip("/")

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        return self.poolmanager.connection_from_url(self._base_url)

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return self._base_path + request.path_url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.headers["Host"] = urlsplit(request.url or "").netloc
        return super().send(request, *args, **kwargs)


class BoundedSession(requests.Session):
    """A session with our timeouts and a browser's name."""

    def __init__(self, vendor: str, adapter: HTTPAdapter, *, is_stand_in: bool, timeout: Timeout = TIMEOUT) -> None:
        super().__init__()
        self.vendor = vendor
        self.timeout = timeout
        self.trust_env = not is_stand_in  # a proxy or ~/.netrc of the machine is none of a stand-in's business
        self.headers["User-Agent"] = BROWSER
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(method, url, *args, **{**kwargs, "timeout": self.timeout, "stream": True})


def network_fault(vendor: str, error: Exception, *, timed_out: bool, timeout: Timeout = TIMEOUT) -> FetchError:
    """Return our error for a request that got no whole reply. The caller raises it `from None`."""
    if timed_out:
        limits = f"{timeout[0]:g} s to connect, {timeout[1]:g} s to read"
        return ApiTimeout(f"{vendor} did not answer in time ({limits})")
    return NetworkError(f"no connection to {vendor}, or it broke: {_reason(error)}")


def status_error(vendor: str, asked: str, status: int, headers: Mapping[str, str]) -> FetchError:
    """Return our error for a status that is no success. asked: what for, in words."""
    error_class, meaning = _BY_STATUS.get(status, (InvalidReply, "that is not part of its protocol"))
    if status >= 500 and status not in _BY_STATUS:
        error_class, meaning = VendorFault, "a fault of its own"
    wait = _retry_after_seconds(headers)
    text = f"{vendor} answered {asked} with status {status}: {meaning}"
    if wait is not None and error_class.retryable:
        text += f"; it asks to wait {wait:g} s"
    return error_class(text, retry_after_seconds=wait)


def read_json(vendor: str, asked: str, body: bytes) -> dict[str, Any]:
    """Return the reply's JSON object, or raise InvalidReply."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = _read_loose_json(vendor, asked, body)
    if not isinstance(parsed, dict):
        raise InvalidReply(f"{vendor} answered {asked} with JSON that is not an object")
    return parsed


def _read_loose_json(vendor: str, asked: str, body: bytes) -> Any:
    # Python's own reader also takes NaN and Infinity, which some servers write for a missing number.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        kind = "HTML" if body.lstrip()[:1] == b"<" else "something that is not JSON, or is cut off"
        raise InvalidReply(f"{vendor} answered {asked} with {kind} ({len(body)} bytes)") from None


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    value = (headers.get("Retry-After") or "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    # Against the server's own clock where it tells it: ours may differ.
    asked_at = _http_date(headers.get("Date") or "") or datetime.now(UTC)
    return max(0.0, (until - asked_at).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    """Say why in the operating system's words, which hold no URL; else the exception's name."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        # curl's errors are OSErrors too, with a text that names the host in errno's place.
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and isinstance(cause.strerror, str):
            return cause.strerror
        inner = getattr(cause, "reason", None) or next(iter(cause.args), None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return type(error).__name__
