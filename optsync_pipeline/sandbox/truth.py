"""What the sound market knows, for comparison with what the vendors serve, and as a list of stocks to import."""

import csv
import io
from datetime import datetime
from typing import Any

import numpy as np

from optsync_pipeline.sandbox.model import RATE, Chain, Market

# The columns of a Nasdaq screener file, which `optsync stocks import` reads.
_CSV_COLUMNS = ("symbol", "exchange", "name", "sector", "industry", "country", "market_cap", "last_sale", "volume")


def symbols_csv(market: Market, now: datetime) -> str:
    """Return the listed symbols as a Nasdaq screener writes them, class shares with a slash."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for symbol in market.symbols:
        company, stock = market.company(symbol), market.stock(symbol, now)
        cap = "" if company.market_cap is None else f"{company.market_cap:.0f}"
        figures = (cap, "" if stock.price is None else stock.price, "" if stock.volume is None else stock.volume)
        listed = symbol.replace(".", "/")
        writer.writerow((listed, "NASDAQ", company.name, company.sector, company.industry, "United States", *figures))
    return text.getvalue()


def truth(market: Market, symbol: str, now: datetime) -> dict[str, Any]:
    """Return what the sound market knows of a symbol: the quote, and every contract with what priced it."""
    chains = [market.chain(symbol, expiration, now) for expiration in market.expirations(symbol, now)]
    return {
        "symbol": symbol,
        "now": now,
        "rate": RATE,
        "stock": market.stock(symbol, now)._asdict(),
        "expirations": [chain.expiration for chain in chains],
        "contracts": [contract for chain in chains for contract in _contracts(chain)],
    }


def _contracts(chain: Chain) -> list[dict[str, Any]]:
    columns = {
        name: value.tolist()
        for name in Chain.__dataclass_fields__
        if isinstance(value := getattr(chain, name), np.ndarray)
    }
    sides = ["put" if is_put else "call" for is_put in columns.pop("is_put")]
    figures = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [
        {"contract_symbol": name, "expiration": chain.expiration, "option_type": side, **figure}
        for name, side, figure in zip(chain.contract_symbols, sides, figures, strict=True)
    ]
