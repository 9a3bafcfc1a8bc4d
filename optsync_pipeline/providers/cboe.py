"""Cboe's delayed quotes: one public file a symbol with every expiration, model greeks and the stock's quote.

    Cboe says                                                       we say
    status 403 or 404, its answer for a file that is not there      UnknownSymbol (a block looks the same)
    `options: []`, or adjusted contracts only                       NoOptions
    none, or not the nearest expiration that it listed before       VendorFault
    only expirations that have passed                               StaleReply
    not JSON, no options list, no price, no time of the last trade  InvalidReply
    429, 5xx                                                        RateLimited, VendorFault

The file's `timestamp` says when it was written; how old the quotes are only `last_trade_time` says, in New York time.
Quotes are 15 minutes late. Its site's terms speak against automated use: the provider is only asked where named.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import requests

from optsync_pipeline.calendar import NEW_YORK, nearest_expirations
from optsync_pipeline.providers.base import (
    ChainReply,
    ChainRequest,
    ContractQuote,
    InvalidReply,
    NoOptions,
    StaleReply,
    StockQuote,
    VendorFault,
)
from optsync_pipeline.providers.fields import count, number, positive, same_symbol
from optsync_pipeline.providers.occ import TAIL, ContractSorter, OccSymbol, expiration_of
from optsync_pipeline.providers.transport import (
    TIMEOUT,
    BoundedSession,
    CountingAdapter,
    Timeout,
    network_fault,
    read_json,
    status_error,
    wire_count,
)

_REAL_URL = "https://cdn.cboe.com"
_PATH = "/api/global/delayed_quotes/options/"


class CboeProvider:
    """Cboe over plain HTTPS, one request a symbol."""

    name = "cboe"
    quote_delay = timedelta(minutes=15)

    def __init__(self, *, stand_in_url: str | None, timeout: Timeout = TIMEOUT) -> None:
        self._folder_url = (stand_in_url or _REAL_URL) + _PATH
        is_stand_in = stand_in_url is not None
        self._session = BoundedSession("Cboe", CountingAdapter(), is_stand_in=is_stand_in, timeout=timeout)

    def fetch_chain(self, request: ChainRequest) -> ChainReply:
        with wire_count() as spent:
            file = read_json("Cboe", request.symbol, self._download(request.symbol)).get("data")
            return _read_reply(request, file, spent())

    def close(self) -> None:
        self._session.close()

    def _download(self, symbol: str) -> bytes:
        try:
            response = self._session.get(f"{self._folder_url}{symbol}.json", allow_redirects=False)
        except OSError as error:
            timed_out = isinstance(error, requests.Timeout)
            raise network_fault("Cboe", error, timed_out=timed_out, timeout=self._session.timeout) from None
        if response.status_code != 200:
            raise status_error("Cboe", symbol, response.status_code, response.headers)
        return response.content


def _read_reply(request: ChainRequest, file: object, requests_spent: int) -> ChainReply:
    symbol = request.symbol
    if not isinstance(file, dict) or not isinstance(file.get("options"), list):
        raise InvalidReply(f"Cboe answered {symbol} with JSON that is not an option chain")
    if not same_symbol(file.get("symbol"), symbol):
        raise InvalidReply(f"Cboe answered {symbol} with another symbol's file")
    price = positive(file.get("current_price"))
    if price is None:
        raise InvalidReply(f"Cboe sent a file of {symbol} without a price")
    sorter = ContractSorter(symbol)
    rows: list[Any] = file["options"]
    listed = _listed_expirations(rows, sorter.root)
    chosen = _choose(request, listed, rows)
    for row in rows:
        _sort_row(sorter, row, chosen)
    return ChainReply(
        symbol=symbol,
        provider=CboeProvider.name,
        quote=_read_quote(symbol, file, price),
        expirations=chosen,
        listed_expirations=listed,
        contracts=sorter.contracts,
        refused=sorter.refused,
        requests=requests_spent,
    )


def _listed_expirations(rows: list[Any], root: str) -> tuple[date, ...]:
    """Return the expirations that have a standard contract: RUT's file holds RUTW's as well."""
    names = (row.get("option") for row in rows if isinstance(row, dict))
    tails = {name[-TAIL:-9] for name in names if isinstance(name, str) and name[:-TAIL].strip() == root}
    return tuple(sorted({expiration for tail in tails if (expiration := expiration_of(tail))}))


def _choose(request: ChainRequest, listed: tuple[date, ...], rows: list[Any]) -> tuple[date, ...]:
    promised = request.promised_expirations(CboeProvider.name)
    relied_on = nearest_expirations(promised, request.target_dtes, request.now)
    lost = [expiration for expiration in relied_on if expiration not in listed]
    if lost:
        left = f"{len(listed)} others" if listed else "none"
        raise VendorFault(f"Cboe listed {request.symbol}'s expiration {lost[0]} before and now lists {left}")
    if not listed:
        raise NoOptions(f"Cboe lists no {'standard ' if rows else ''}options of {request.symbol}")
    chosen = nearest_expirations(listed, request.target_dtes, request.now)
    if not chosen:
        raise StaleReply(f"Cboe lists only expirations of {request.symbol} that have passed")
    return chosen


def _sort_row(sorter: ContractSorter, row: Any, chosen: tuple[date, ...]) -> None:
    name = row.get("option") if isinstance(row, dict) else None
    # A file holds 25 expirations and more: only rows of the chosen ones are worth a full look (6,680 rows in 3.7 ms).
    expiration = _expiration_named(name, sorter.root) if isinstance(name, str) else None
    if expiration is not None and expiration not in chosen:
        return
    occ = sorter.identify(name, expiration or chosen[0])
    if occ is not None:
        sorter.accept(_read_contract(occ, row))


def _expiration_named(contract_symbol: str, root: str) -> date | None:
    # A symbol that is cut off may still say when it expires, and so whether it was asked for at all.
    return expiration_of(contract_symbol[-TAIL:-9]) or expiration_of(contract_symbol.removeprefix(root)[:6])


def _read_contract(occ: OccSymbol, row: dict[str, Any]) -> ContractQuote:
    return ContractQuote(
        contract_symbol=occ.text,
        expiration_date=occ.expiration_date,
        strike_price=occ.strike_price,
        option_type=occ.option_type,
        bid=number(row.get("bid")),
        ask=number(row.get("ask")),
        last_price=number(row.get("last_trade_price")),
        volume=count(row.get("volume")),
        open_interest=count(row.get("open_interest")),
        implied_volatility=number(
            row.get("iv")
        ),  # 0 means that the model found none: stored as quoted, usable to nobody
        delta=number(row.get("delta")),
        gamma=number(row.get("gamma")),
        theta=number(row.get("theta")),
        vega=number(row.get("vega")),
        rho=number(row.get("rho")),
    )


def _read_quote(symbol: str, file: dict[str, Any], price: float) -> StockQuote:
    volume = count(file.get("volume"))
    return StockQuote(
        current_price=price,
        quoted_at=_last_trade(symbol, file.get("last_trade_time")),
        previous_close=positive(file.get("prev_day_close")),
        open=positive(file.get("open")),
        high=positive(file.get("high")),
        low=positive(file.get("low")),
        volume=volume if volume is not None and volume >= 0 else None,
    )


def _last_trade(symbol: str, value: object) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise InvalidReply(f"Cboe sent a file of {symbol} without the time of its last trade")
    return (at if at.tzinfo else at.replace(tzinfo=NEW_YORK)).astimezone(UTC)
