"""A scripted Robinhood with one account, and questions to its provider, as several test modules need them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

import pytest
from pydantic import SecretStr

from optsync_pipeline.providers.base import ChainReply, ChainRequest, FetchError
from optsync_pipeline.providers.robinhood import RobinhoodProvider
from optsync_pipeline.providers.robinhood_ids import ContractIds
from optsync_pipeline.providers.robinhood_login import Credentials
from optsync_pipeline_tests.stand_in import Hit, Reply, ScriptedMarket, occ

NOW = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)
QUOTED = "2026-07-16T15:29:30.123456Z"
AUGUST_14, AUGUST_21 = date(2026, 8, 14), date(2026, 8, 21)
HTML = "<html><body>Will be right back...</body></html>"

USERNAME, PASSWORD = "wheel@example.com", "not-a-password"  # pragma: allowlist secret
MFA_SECRET = "JBSWY3DPEHPK3PXP"  # pragma: allowlist secret
CREDENTIALS = Credentials(USERNAME, SecretStr(PASSWORD))

LOGIN, QUOTES, INSTRUMENTS = "/oauth2/token/", "/quotes/", "/instruments/"
CONTRACTS, MARKETDATA = "/options/instruments/", "/marketdata/options/"
REAL = "https://api.robinhood.com"


def uuid(name: str) -> str:
    """Return the id of a thing, always the same."""
    return str(uuid5(NAMESPACE_URL, name))


def chain_path(symbol: str) -> str:
    return f"/options/chains/{uuid(f'chain {symbol}')}/"


@dataclass
class Stock:
    """A stock as the scripted Robinhood knows it."""

    symbol: str
    price: float = 100.0
    expirations: tuple[date, ...] = (AUGUST_14, AUGUST_21)
    strikes: tuple[float, ...] = (90.0, 95.0, 105.0)
    has_options: bool = True
    chain: dict[str, Any] = field(default_factory=dict)
    row: Callable[[dict[str, Any]], Any] = lambda row: row
    """What becomes of a contract's quote on its way out."""

    @property
    def root(self) -> str:
        return self.symbol.replace(".", "")

    def contracts(self, expirations: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "id": uuid(f"{self.symbol} {day} {strike} {kind}"),
                "url": f"{REAL}/options/instruments/{uuid(f'{self.symbol} {day} {strike} {kind}')}/",
                "chain_id": uuid(f"chain {self.symbol}"),
                "chain_symbol": self.root,
                "expiration_date": str(day),
                "strike_price": f"{strike:.4f}",
                "type": kind,
                "state": "active",
            }
            for day in self.expirations
            if str(day) in expirations
            for strike in self.strikes
            for kind in ("call", "put")
        ]

    def quoted(self, listed: dict[str, Any]) -> dict[str, Any]:
        name = occ(
            self.root, date.fromisoformat(listed["expiration_date"]), listed["type"], float(listed["strike_price"])
        )
        return {
            "instrument": listed["url"],
            "instrument_id": listed["id"],
            "symbol": self.root,
            "occ_symbol": f"{self.root:<6}{name.removeprefix(self.root)}",
            "bid_price": "1.500000",
            "ask_price": "1.700000",
            "mark_price": "1.600000",
            "last_trade_price": "1.600000",
            "volume": 12,
            "open_interest": 340,
            "implied_volatility": "0.350000",
            "delta": "-0.310000",
            "gamma": "0.020000",
            "theta": "-0.050000",
            "vega": "0.110000",
            "rho": "-0.030000",
            "updated_at": QUOTED,
        }


class Robinhood:
    """Answers as Robinhood does, for whoever has one of its tokens; `market.script` can be changed at any path."""

    def __init__(self, market: ScriptedMarket, *stocks: Stock) -> None:
        self.market = market
        self.stocks = {stock.symbol: stock for stock in stocks}
        self.tokens: set[str] = set()
        self.logins: list[dict[str, str]] = []
        self.page_size = 100
        self._owners: dict[str, str] = {}
        market.script[LOGIN] = self._login
        self.answer(QUOTES, self._quotes)
        self.answer(INSTRUMENTS, self._instruments)
        self.answer(CONTRACTS, self._contracts)
        self.answer(MARKETDATA, self._marketdata)
        for symbol in self.stocks:
            self.answer(chain_path(symbol), self._chain)

    @property
    def data_paths(self) -> list[str]:
        return [path for path in self.market.paths if path != LOGIN]

    def answer(self, path: str, reply: Reply | Callable[[Hit], Reply]) -> None:
        """Let a path answer, to those who have a token, what a test says."""

        def guarded(hit: Hit) -> Reply:
            if hit.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return Reply({"detail": "Incorrect authentication credentials."}, 401)
            return reply(hit) if callable(reply) else reply

        self.market.script[path] = guarded

    def change(self, symbol: str, **fields: Any) -> None:
        """Change what is said of a stock from now on."""
        self.stocks[symbol] = replace(self.stocks[symbol], **fields)

    def _login(self, hit: Hit) -> Reply:
        form = {name: values[0] for name, values in parse_qs(hit.body.decode()).items()}
        self.logins.append(form)
        token = f"token-{len(self.logins)}"
        self.tokens.add(token)
        return Reply(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 86400,
                "refresh_token": f"refresh-{len(self.logins)}",
                "scope": "internal",
            }
        )

    def _quotes(self, hit: Hit) -> Reply:
        return Reply({"results": [self._quote(symbol) for symbol in hit.query["symbols"].split(",")]})

    def _quote(self, symbol: str) -> dict[str, Any] | None:
        stock = self.stocks.get(symbol)
        if stock is None:
            return None
        return {
            "symbol": symbol,
            "last_trade_price": f"{stock.price:.6f}",
            "previous_close": "99.500000",
            "trading_halted": False,
            "updated_at": "2026-07-16T15:29:58Z",
        }

    def _instruments(self, hit: Hit) -> Reply:
        stock = self.stocks.get(hit.query["symbol"])
        if stock is None:
            return _page([])
        chain_id = uuid(f"chain {stock.symbol}") if stock.has_options else None
        return _page([{"id": uuid(stock.symbol), "symbol": stock.symbol, "tradable_chain_id": chain_id}])

    def _chain(self, hit: Hit) -> Reply:
        stock = next(stock for stock in self.stocks.values() if chain_path(stock.symbol) == hit.path)
        told = {
            "id": uuid(f"chain {stock.symbol}"),
            "symbol": stock.root,
            "expiration_dates": [str(day) for day in stock.expirations],
            "can_open_position": True,
            "cash_component": None,
        }
        return Reply({**told, **stock.chain})

    def _contracts(self, hit: Hit) -> Reply:
        stock = next(one for one in self.stocks.values() if uuid(f"chain {one.symbol}") == hit.query["chain_id"])
        listed = stock.contracts(hit.query["expiration_dates"].split(","))
        start = int(hit.query.get("cursor", 0))
        end = start + self.page_size
        following = None
        if end < len(listed):
            following = f"{REAL}{CONTRACTS}?chain_id={hit.query['chain_id']}&cursor={end}"
            following += f"&expiration_dates={hit.query['expiration_dates']}"
        return _page(listed[start:end], following)

    def _marketdata(self, hit: Hit) -> Reply:
        asked = hit.query["ids"].split(",")
        if not self._owners.keys() >= set(asked):
            for stock in self.stocks.values():
                every_day = [str(day) for day in stock.expirations]
                self._owners |= {row["id"]: stock.symbol for row in stock.contracts(every_day)}
        every: dict[str, Any] = {}
        for symbol in {self._owners.get(one, "") for one in asked} & set(self.stocks):
            stock = self.stocks[symbol]
            for row in stock.contracts([str(day) for day in stock.expirations]):
                every[row["id"]] = stock.row(stock.quoted(row))
        return _page([every.get(one) for one in asked])


def _page(results: list[Any], following: str | None = None) -> Reply:
    return Reply({"previous": None, "results": results, "next": following})


def provider_of(
    market: ScriptedMarket,
    home: Path,
    ids: ContractIds | None = None,
    credentials: Credentials = CREDENTIALS,
    timeout: tuple[float, float] = (2.0, 10.0),
) -> RobinhoodProvider:
    return RobinhoodProvider(credentials, home=home, stand_in_url=market.robinhood_url, ids=ids, timeout=timeout)


def ask(robinhood: RobinhoodProvider, symbol: str = "AAPL", **question: Any) -> ChainReply:
    return robinhood.fetch_chain(ChainRequest(**{"symbol": symbol, "target_dtes": (30,), "now": NOW, **question}))


def fail(robinhood: RobinhoodProvider, error: type[FetchError], symbol: str = "AAPL", **question: Any) -> FetchError:
    with pytest.raises(error) as caught:
        ask(robinhood, symbol, **question)
    assert_tells_no_secret(str(caught.value))
    return caught.value


def assert_tells_no_secret(text: str) -> None:
    for secret in (PASSWORD, MFA_SECRET, USERNAME, "token-1", "token-2", "refresh-1", "http"):
        assert secret not in text


def stored(home: Path, name: str) -> Any:
    """Return what is kept of a stand-in's login."""
    return json.loads((home / "robinhood" / "stand_in" / name).read_text())
