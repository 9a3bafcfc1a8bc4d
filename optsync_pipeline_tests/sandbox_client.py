"""Plain HTTP towards a sandbox, and what its replies hold: for the tests of the sandbox."""

from datetime import UTC, date, datetime
from typing import Any

import requests
from pyotp.totp import TOTP

from optsync_pipeline.providers.transport import StandInAdapter
from optsync_pipeline.sandbox.accounts import (
    POLYGON_API_KEY,
    ROBINHOOD_MFA_SECRET,
    ROBINHOOD_PASSWORD,
    ROBINHOOD_USERNAME,
)
from optsync_pipeline.sandbox.robinhood_ids import ROBINHOOD
from optsync_pipeline.sandbox.server import (
    Sandbox,
)

NOW = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)
MONTHLY = date(2026, 12, 18)


def epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


class Client:
    """Plain HTTP towards a sandbox, holding Yahoo's cookie and crumb."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("https://", StandInAdapter(sandbox.yahoo_url))
        self.session.get("https://fc.yahoo.com/", timeout=5)
        self.crumb = self.session.get("https://query1.finance.yahoo.com/v1/test/getcrumb", timeout=5).text

    def yahoo(self, path: str, **params: Any) -> requests.Response:
        params = {"crumb": self.crumb, **params}
        return self.session.get(f"https://query2.finance.yahoo.com{path}", params=params, timeout=5)

    def chain(self, symbol: str, day: date | None = None) -> requests.Response:
        return self.yahoo(f"/v7/finance/options/{symbol}", **({"date": epoch(day)} if day else {}))

    def cboe(self, symbol: str) -> requests.Response:
        url = f"{self.sandbox.cboe_url}/api/global/delayed_quotes/options/{symbol}.json"
        return self.session.get(url, timeout=5)


def result(reply: requests.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["optionChain"]["result"][0]
    return found


def contracts(reply: requests.Response) -> dict[str, dict[str, Any]]:
    shown = result(reply)["options"][0]
    return {row["contractSymbol"]: row for row in shown["calls"] + shown["puts"]}


def truth_of(sandbox: Sandbox, symbol: str, day: date) -> dict[str, dict[str, Any]]:
    rows = sandbox.truth(symbol)["contracts"]
    return {row["contract_symbol"]: row for row in rows if row["expiration"] == day.isoformat()}


class RobinhoodClient:
    """Plain HTTP towards a sandbox's Robinhood, logged in."""

    def __init__(self, sandbox: Sandbox, device: str = "device-1") -> None:
        self.device = device
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("https://", StandInAdapter(sandbox.robinhood_url))
        self.login()

    def ask_token(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "password",
            "username": ROBINHOOD_USERNAME,
            "password": ROBINHOOD_PASSWORD,
            "device_token": self.device,
            "mfa_code": TOTP(ROBINHOOD_MFA_SECRET).now(),
        }
        kept = {name: value for name, value in {**form, **changes}.items() if value}
        return self.session.post(f"{ROBINHOOD}/oauth2/token/", data=kept, timeout=5)

    def login(self) -> None:
        token = self.ask_token().json().get("access_token")
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **params: Any) -> requests.Response:
        url = path if path.startswith("https:") else f"{ROBINHOOD}{path}"
        return self.session.get(url, params=params, timeout=5)

    def results(self, path: str, **params: Any) -> list[Any]:
        reply = self.get(path, **params)
        assert reply.status_code == 200, reply.text
        found: list[Any] = reply.json()["results"]
        return found

    def all_pages(self, path: str, **params: Any) -> list[dict[str, Any]]:
        found, link = [], path
        while link:
            page = self.get(link, **params).json()
            found += page["results"]
            link, params = page["next"], {}
        return found

    def contracts(self, symbol: str, day: date = MONTHLY) -> list[dict[str, Any]]:
        (stock,) = self.results("/instruments/", symbol=symbol)
        chain = stock["tradable_chain_id"]
        return self.all_pages("/options/instruments/", chain_id=chain, expiration_dates=str(day), state="active")


class PolygonClient:
    """Plain HTTP towards a sandbox's Polygon."""

    def __init__(self, sandbox: Sandbox, key: str = POLYGON_API_KEY) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("https://", StandInAdapter(sandbox.polygon_url))
        self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **params: Any) -> requests.Response:
        url = path if path.startswith("https:") else f"https://api.massive.com{path}"
        return self.session.get(url, params=params, timeout=5)

    def snapshot(self, symbol: str, **params: Any) -> requests.Response:
        return self.get(f"/v3/snapshot/options/{symbol}", **{"expiration_date": str(MONTHLY), "limit": 250, **params})

    def rows(self, symbol: str, **params: Any) -> list[dict[str, Any]]:
        reply = self.snapshot(symbol, **params)
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["results"]
        return found
