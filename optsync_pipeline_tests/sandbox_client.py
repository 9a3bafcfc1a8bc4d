"""Plain HTTP towards a sandbox, and what its replies hold: for the tests of the sandbox."""

from datetime import UTC, date, datetime
from typing import Any

import requests

from optsync_pipeline.providers.transport import StandInAdapter
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
