"""The HTTP session towards Robinhood: robin_stocks' headers, our timeouts and limits, the stand-in where one is set.

Which token a request carries is robinhood_account.py's; what statuses mean to a data request robinhood_session.py's.
"""

from typing import Any
from urllib.parse import urlsplit

import requests
from robin_stocks.robinhood.globals import SESSION as LIBRARY_SESSION

from optsync_pipeline.providers.base import FetchError
from optsync_pipeline.providers.robinhood_tokens import REAL_URL
from optsync_pipeline.providers.transport import (
    TIMEOUT,
    BoundedSession,
    CountingAdapter,
    StandInAdapter,
    Timeout,
    network_fault,
)


class RobinhoodHttp(BoundedSession):
    """A session that follows no redirect: one could lead password or token to another host."""

    def __init__(self, stand_in_url: str | None, timeout: Timeout = TIMEOUT) -> None:
        adapter = StandInAdapter(stand_in_url) if stand_in_url else CountingAdapter()
        super().__init__("Robinhood", adapter, is_stand_in=stand_in_url is not None, timeout=timeout)
        self.headers.update(LIBRARY_SESSION.headers)
        self.headers["Accept-Encoding"] = "gzip, deflate"  # the library also says br, which requests cannot read

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(method, url, *args, **{**kwargs, "allow_redirects": False})

    def fault(self, error: OSError) -> FetchError:
        """Return our error for a request that got no reply. The caller raises it `from None`."""
        return network_fault("Robinhood", error, timed_out=isinstance(error, requests.Timeout), timeout=self.timeout)


def is_robinhoods(url: str) -> bool:
    """Say whether a URL leads to Robinhood's own host: only there may a token go."""
    parts, real = urlsplit(url), urlsplit(REAL_URL)
    return (parts.scheme, parts.netloc) == (real.scheme, real.netloc)
