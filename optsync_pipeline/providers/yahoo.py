"""Yahoo: a stock's chain by /v7/finance/options, one request an expiration, the stock's quote included.

    Yahoo says                                                      we say
    status 403 or 404, or 200 with `result: []`                     UnknownSymbol
    no expirations, and a quote with / without a price              NoOptions / UnknownSymbol
    no expirations, or not the nearest one that it listed before    VendorFault
    an expiration listed but sent without contracts                 VendorFault
    only expirations that have passed                               StaleReply
    HTML, cut JSON, `result: null`, no price, no quote time         InvalidReply
    401 after a new crumb                                           AuthError
    429, crumb refused with 429                                     RateLimited
    5xx, no usable crumb                                            VendorFault

A date that is not listed is answered with the full list and no contracts. So the first question already names the
likely expiration: rightly guessed it is the only one. An expiration that another vendor listed is such a guess too.

The stock's quote, alone or of many stocks, is yahoo_quotes.py's; cookie, crumb and session are yahoo_session.py's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from optsync_pipeline.calendar import likely_expirations, nearest_expirations
from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    ContractQuote,
    InvalidReply,
    NoOptions,
    QuotesReply,
    StaleReply,
    UnknownSymbol,
    VendorFault,
)
from optsync_pipeline.providers.fields import count, day, number, positive, same_symbol, text
from optsync_pipeline.providers.occ import ContractSorter
from optsync_pipeline.providers.transport import TIMEOUT, Timeout, read_json, status_error, wire_count
from optsync_pipeline.providers.yahoo_quotes import SYMBOLS_PER_REQUEST, ask_for_quotes, read_quote, yahoo_symbol
from optsync_pipeline.providers.yahoo_session import yahoo_access

_OPTIONS_URL = "https://query2.finance.yahoo.com/v7/finance/options/"


@dataclass(frozen=True, slots=True)
class _Page:
    """One reply: the quote, every listed expiration, and the rows of the one it shows."""

    quote: dict[str, Any]
    listed: tuple[date, ...]
    shown: date | None
    calls: list[Any]
    puts: list[Any]


class YahooProvider:
    """Yahoo through yfinance. All instances of a process share one cookie and crumb."""

    name = "yahoo"
    quote_delay = timedelta(0)
    symbols_per_request = SYMBOLS_PER_REQUEST

    def __init__(self, *, stand_in_url: str | None, cache_folder: Path, timeout: Timeout = TIMEOUT) -> None:
        self._access = yahoo_access(stand_in_url, cache_folder, timeout)

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with wire_count() as spent:
            pages = self._fetch_pages(request)
            return _read_reply(request, pages, spent)

    def fetch_quotes(self, symbols: Sequence[str], now: datetime) -> QuotesReply:
        """Ask once for the quotes of at most `symbols_per_request` stocks; `now` makes no difference here."""
        with wire_count() as spent:
            quotes, unknown = ask_for_quotes(self._access, symbols)
            return QuotesReply(provider=self.name, quotes=quotes, unknown=unknown, requests=spent())

    def close(self) -> None:
        """Do nothing: the session belongs to all Yahoo providers of the process and ends with it."""

    def _fetch_pages(self, request: ChainRequest) -> dict[date, _Page]:
        """Return the page of every chosen expiration. Each reply's own list decides which these are."""
        known = nearest_expirations(request.known_expirations, request.target_dtes, request.now)
        relied_on = nearest_expirations(request.promised_expirations(self.name), request.target_dtes, request.now)
        asked = (known or likely_expirations(request.target_dtes, request.now))[0]
        pages: dict[date, _Page] = {}
        # One wrong guess, one page a target, and one more should a nearer expiration be listed meanwhile.
        for _ in range(len(request.target_dtes) + 2):
            page = self._ask(request.symbol, asked)
            _check_list(request.symbol, page, relied_on)
            pages[page.shown or asked] = page
            chosen = nearest_expirations(page.listed, request.target_dtes, request.now)
            if not chosen:
                raise StaleReply(f"Yahoo lists only expirations of {request.symbol} that have passed")
            missing = [expiration for expiration in chosen if expiration not in pages]
            if not missing:
                return {expiration: pages[expiration] for expiration in chosen}
            asked = missing[0]
            relied_on = (asked,)
        raise VendorFault(f"Yahoo does not send the expiration of {request.symbol} that it lists and was asked for")

    def _ask(self, symbol: str, expiration: date) -> _Page:
        epoch = int(datetime.combine(expiration, time(), UTC).timestamp())
        url = _OPTIONS_URL + yahoo_symbol(symbol)
        response = self._access.get(url, params={"date": epoch}, timeout=TIMEOUT)
        if response.status_code >= 300:
            raise status_error("Yahoo", symbol, response.status_code, response.headers)
        return _read_page(symbol, read_json("Yahoo", symbol, response.content))


def _read_page(symbol: str, reply: dict[str, Any]) -> _Page:
    chain = reply.get("optionChain")
    results = chain.get("result") if isinstance(chain, dict) else None
    if results == []:
        raise UnknownSymbol(f"Yahoo knows nothing of {symbol}")
    result = results[0] if isinstance(results, list) else None
    if not isinstance(result, dict) or not isinstance(result.get("expirationDates"), list):
        raise InvalidReply(f"Yahoo answered {symbol} with JSON that is not an option chain")
    quote = result.get("quote")
    quote = quote if isinstance(quote, dict) else {}
    if not same_symbol(quote.get("symbol"), symbol):
        raise InvalidReply(f"Yahoo answered {symbol} with another symbol's chain")
    dates = [day(epoch) for epoch in result["expirationDates"]]
    if dates and not any(dates):
        raise InvalidReply(f"Yahoo lists expirations of {symbol} that are no dates")
    shown = _first_object(result.get("options"))
    return _Page(
        quote,
        tuple(sorted({expiration for expiration in dates if expiration})),
        day(shown.get("expirationDate")),
        _rows(shown.get("calls")),
        _rows(shown.get("puts")),
    )


def _first_object(value: object) -> dict[str, Any]:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _rows(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_list(symbol: str, page: _Page, relied_on: tuple[date, ...]) -> None:
    """Raise where the list of expirations ends the matter. relied_on: those that an earlier reply of Yahoo's listed."""
    if not page.listed and positive(page.quote.get("regularMarketPrice")) is None:
        raise UnknownSymbol(f"Yahoo has neither a price nor options of {symbol}")
    if not page.listed and not relied_on:
        raise NoOptions(f"Yahoo lists no options of {symbol}")
    lost = [expiration for expiration in relied_on if expiration not in page.listed]
    if lost:
        left = f"{len(page.listed)} others" if page.listed else "none"
        raise VendorFault(f"Yahoo listed {symbol}'s expiration {lost[0]} before and now lists {left}")


def _read_reply(request: ChainRequest, pages: dict[date, _Page], spent: Callable[[], int]) -> ChainReply:
    sorter = ContractSorter(request.symbol)
    for expiration, page in pages.items():
        if not page.calls and not page.puts:
            raise VendorFault(f"Yahoo lists {request.symbol}'s expiration {expiration} but sent no contract of it")
        for option_type, rows in (("call", page.calls), ("put", page.puts)):
            for row in rows:
                _sort_row(sorter, row, option_type, expiration)
    latest = list(pages.values())[-1]
    return ChainReply(
        symbol=request.symbol,
        provider=YahooProvider.name,
        quote=read_quote(request.symbol, latest.quote),
        expirations=tuple(pages),
        listed_expirations=latest.listed,
        contracts=sorter.contracts,
        refused=sorter.refused,
        requests=spent(),
    )


def _sort_row(sorter: ContractSorter, row: object, option_type: str, expiration: date) -> None:
    if not isinstance(row, dict):
        sorter.refuse(None, "unreadable_contract_symbol", "the row is not an object")
        return
    strike = positive(row.get("strike"))
    if strike is None:
        sorter.refuse(row.get("contractSymbol"), "missing_strike", "the row has no strike above 0")
        return
    occ = sorter.identify(row.get("contractSymbol"), expiration, option_type)
    if occ is None:
        return
    if round(strike * 1000) != round(occ.strike_price * 1000):
        sorter.refuse(occ.text, "strike_mismatch", f"strike {strike:g}, its symbol says {occ.strike_price:g}")
        return
    size = row.get("contractSize")
    if isinstance(size, str) and size != "REGULAR":
        sorter.refuse(occ.text, "adjusted_contract", f"contract size {text(size)}")
        return
    sorter.accept(
        ContractQuote(
            contract_symbol=occ.text,
            expiration_date=expiration,
            strike_price=strike,
            option_type=option_type,
            bid=number(row.get("bid")),
            ask=number(row.get("ask")),
            last_price=number(row.get("lastPrice")),
            volume=count(row.get("volume")),
            open_interest=count(row.get("openInterest")),
            implied_volatility=number(row.get("impliedVolatility")),
        )
    )
