"""Data requests at Robinhood: the account's token on each, statuses as our errors, pages to their end or not at all.

    Robinhood says                                      we say
    401, and 401 again with a new token                 AuthError
    403                                                 AuthError
    404: an id that it does not know (any more)         UnknownId, a VendorFault
    400                                                 RefusedQuestion, an InvalidReply
    429 / 5xx / no reply in time / no connection        RateLimited / VendorFault / ApiTimeout / NetworkError
    HTML, cut JSON, no results, an odd `next`           InvalidReply

Any page that fails fails them all. What replies mean is said in robinhood.py and robinhood_listing.py.
"""

from typing import Any
from urllib.parse import urlencode

import requests

from optsync_pipeline.providers.base import AuthError, FetchError, InvalidReply, VendorFault
from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
from optsync_pipeline.providers.robinhood_http import RobinhoodHttp, is_robinhoods
from optsync_pipeline.providers.robinhood_tokens import REAL_URL, Token
from optsync_pipeline.providers.transport import read_json, status_error

_MOST_PAGES = 200  # SPY lists some 13,000 contracts, about 100 a page
_MOST_TOKENS = 3  # the stored one, one that another process got meanwhile, one of our own


class UnknownId(VendorFault):
    """Robinhood does not know an id that it gave before."""


class RefusedQuestion(InvalidReply):
    """Robinhood does not take a question as it is put: an id in it may be none any more."""


class _Bearer(requests.auth.AuthBase):
    """Puts a token on a request. Given as `auth`, it also keeps ~/.netrc from putting something else there."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"{self._token.token_type} {self._token.access_token}"
        return request


class RobinhoodSession:
    """Robinhood's data for one account. One instance serves many threads."""

    def __init__(self, account: RobinhoodAccount) -> None:
        self._account = account
        self._http = RobinhoodHttp(account.stand_in_url, account.timeout)

    def get(self, path: str, asked: str, **params: str) -> dict[str, Any]:
        """Return the JSON object under a path. asked: what for, in words. Raises a FetchError."""
        # Commas as they are: encoded they would be three characters each, in URLs that have a longest length.
        query = f"?{urlencode(params, safe=',')}" if params else ""
        return self._get_url(f"{REAL_URL}{path}{query}", asked)

    def rows(self, path: str, asked: str, **params: str) -> list[Any]:
        """Return the `results` of every page under a path. Raises a FetchError where any page fails."""
        page = self.get(path, asked, **params)
        rows = _results(page, asked)
        seen: set[str] = set()
        while (following := page.get("next")) is not None:
            if not isinstance(following, str) or not is_robinhoods(following):
                raise InvalidReply(f"Robinhood answered {asked} with a next page that is not at Robinhood")
            if following in seen or len(seen) >= _MOST_PAGES:
                raise InvalidReply(f"Robinhood answered {asked} with pages that do not end")
            seen.add(following)
            page = self._get_url(following, asked)
            rows.extend(_results(page, asked))
        return rows

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _get_url(self, url: str, asked: str) -> dict[str, Any]:
        response = self._send(url)
        if response.status_code != 200:
            raise _error(asked, response)
        return read_json("Robinhood", asked, response.content)

    def _send(self, url: str) -> requests.Response:
        token = self._account.token()
        for _ in range(_MOST_TOKENS):
            try:
                response = self._http.get(url, auth=_Bearer(token))
            except OSError as error:
                raise self._http.fault(error) from None
            if response.status_code != 401:
                self._account.note_accepted(token)
                return response
            token = self._account.renewed(token)
        raise AuthError("Robinhood rejects one token after the other", ends_provider=True)


def _results(page: dict[str, Any], asked: str) -> list[Any]:
    results = page.get("results")
    if not isinstance(results, list):
        raise InvalidReply(f"Robinhood answered {asked} without a list of results")
    return results


def _error(asked: str, response: requests.Response) -> FetchError:
    status = response.status_code
    if status == 403:
        return AuthError(f"Robinhood answered {asked} with status 403: it refuses to serve this account")
    if status == 404:
        return UnknownId(f"Robinhood answered {asked} with status 404: it does not know the id that it gave before")
    if status == 400:
        return RefusedQuestion(f"Robinhood answered {asked} with status 400: it does not take the question")
    return status_error("Robinhood", asked, status, response.headers)
