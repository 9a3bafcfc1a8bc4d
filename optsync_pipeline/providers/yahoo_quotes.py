"""Yahoo's quote of a stock, as it comes with a chain, and of many stocks at once by /v7/finance/quote.

    Yahoo says of one among many                                    we say
    nothing: an unknown symbol is simply absent                     UnknownSymbol
    a quote without a price or a time                               InvalidReply

Chains are yahoo.py's, cookie and crumb yahoo_session.py's.
"""

from collections.abc import Sequence
from typing import Any

from optsync_pipeline.providers.base import AuthError, FetchError, InvalidReply, StockQuote, UnknownSymbol
from optsync_pipeline.providers.fields import count, moment, number, positive, text
from optsync_pipeline.providers.transport import TIMEOUT, read_json, status_error
from optsync_pipeline.providers.yahoo_session import YahooAccess

SYMBOLS_PER_REQUEST = 50  # users report that above 65 to 99 are refused
_QUOTES_URL = "https://query1.finance.yahoo.com/v7/finance/quote"
_ASKED = "the request for quotes"


def yahoo_symbol(symbol: str) -> str:
    """Return Yahoo's spelling of our symbol."""
    return symbol.replace(".", "-")


def read_quote(symbol: str, quote: dict[str, Any]) -> StockQuote:
    """Return a stock's quote; raise InvalidReply where it has no price or no time."""
    price, quoted_at = positive(quote.get("regularMarketPrice")), moment(quote.get("regularMarketTime"))
    if price is None or quoted_at is None:
        raise InvalidReply(f"Yahoo sent a quote of {symbol} without {'a price' if price is None else 'a time'}")
    volume, dividend_yield = count(quote.get("regularMarketVolume")), number(quote.get("trailingAnnualDividendYield"))
    return StockQuote(
        current_price=price,
        quoted_at=quoted_at,
        previous_close=positive(quote.get("regularMarketPreviousClose")),
        open=positive(quote.get("regularMarketOpen")),
        high=positive(quote.get("regularMarketDayHigh")),
        low=positive(quote.get("regularMarketDayLow")),
        volume=volume if volume is not None and volume >= 0 else None,
        market_state=text(quote.get("marketState")),
        # Not dividendYield, which is in percent.
        dividend_yield=dividend_yield if dividend_yield is not None and dividend_yield >= 0 else None,
    )


def ask_for_quotes(access: YahooAccess, symbols: Sequence[str]) -> tuple[dict[str, StockQuote], dict[str, FetchError]]:
    """Ask once; return the quotes, and for each symbol without one the reason."""
    spelled = {yahoo_symbol(symbol): symbol for symbol in symbols}
    try:
        response = access.get(_QUOTES_URL, params={"symbols": ",".join(spelled)}, timeout=TIMEOUT)
    except UnknownSymbol:  # what 403 and 404 mean where one symbol is asked for
        raise AuthError("Yahoo refuses to give quotes of many stocks (status 403 or 404)") from None
    if response.status_code >= 300:
        raise status_error("Yahoo", _ASKED, response.status_code, response.headers)
    return _read_quotes(spelled, read_json("Yahoo", _ASKED, response.content))


def _read_quotes(spelled: dict[str, str], reply: dict[str, Any]) -> tuple[dict[str, StockQuote], dict[str, FetchError]]:
    """Read a reply by its symbols: its order is not that of the question."""
    body = reply.get("quoteResponse")
    results = body.get("result") if isinstance(body, dict) else None
    if not isinstance(results, list):
        raise InvalidReply(f"Yahoo answered {_ASKED} with JSON that is no list of quotes")
    by_name = {quote.get("symbol"): quote for quote in results if isinstance(quote, dict)}
    quotes: dict[str, StockQuote] = {}
    unknown: dict[str, FetchError] = {}
    for name, symbol in spelled.items():
        if name not in by_name:
            unknown[symbol] = UnknownSymbol(f"Yahoo knows nothing of {symbol}")
            continue
        try:
            quotes[symbol] = read_quote(symbol, by_name[name])
        except InvalidReply as error:
            unknown[symbol] = error
    return quotes, unknown
