"""Makes chunks of rows as a sync would hand them to storage: for the tests and benchmarks of the tables."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import ChunkRows
from optsync_pipeline.storage.stocks import upsert_stocks

NOW = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)
EXPIRATION = date(2026, 8, 21)


def open_job(database: Database, symbols: Sequence[str], **changes: Any) -> int:
    """Add the stocks and open a job for them."""
    upsert_stocks(database, [{"symbol": symbol} for symbol in symbols])
    job = {"sync_type": "all", "run_id": None, "concurrency_level": 10, "target_dtes": (30,), "now": NOW}
    lock = sync_log.open_job(database, symbols=symbols, **(job | changes))
    lock.release()
    return lock.job_id


def make_chunk(job_id: int, symbols: Sequence[str], *, contracts: int = 4, price: float = 100.0) -> ChunkRows:
    """Return a chunk in which each symbol has so many contracts, puts and calls in turn; all but one are sellable."""
    chains = pd.concat([_chain(symbol, contracts, price) for symbol in symbols], ignore_index=True)
    premiums = chains[chains["bid"] > 0].assign(
        dte=36,
        underlying_price=price,
        premium=lambda frame: 100 * frame["bid"],
        greeks_source="black_scholes",
        spread_pct=4.0,
        break_even=lambda frame: frame["strike_price"] - frame["bid"],
        collateral=lambda frame: 100 * frame["strike_price"],
        monthly_return=lambda frame: 100 * frame["bid"] / frame["strike_price"] * 30 / 36,
        annual_return=lambda frame: 100 * frame["bid"] / frame["strike_price"] * 365 / 36,
        probability_of_profit=0.7,
        delta=lambda frame: np.where(frame["option_type"] == "put", -0.3, 0.3),
        updated_at=NOW,
    )
    rejected = chains[chains["bid"] == 0].assign(job_id=job_id, rule="zero_bid", detail=None, seen_at=NOW)
    return ChunkRows(
        job_id=job_id,
        stock_data=_stock_data(symbols, price),
        stock_prices=_stock_prices(symbols, price),
        option_chains=chains,
        stock_premiums=premiums,
        rejected_quotes=rejected[["job_id", "symbol", "contract_symbol", "rule", "detail", "data_provider", "seen_at"]],
        results=[_result(symbol, contracts, price) for symbol in symbols],
        answers=dict.fromkeys(symbols),
    )


def _chain(symbol: str, contracts: int, price: float) -> pd.DataFrame:
    numbers = np.arange(contracts)
    is_put = numbers % 2 == 0
    strikes = price * (0.9 + 0.2 * (numbers // 2) / max(contracts // 2, 1))
    return pd.DataFrame(
        {
            "symbol": symbol,
            "expiration_date": EXPIRATION,
            "strike_price": strikes.round(3),
            "option_type": np.where(is_put, "put", "call"),
            "contract_symbol": [
                f"{symbol}260821{'P' if put else 'C'}{round(1000 * strike):08}"
                for put, strike in zip(is_put, strikes, strict=True)
            ],
            "bid": np.where(numbers == 0, 0.0, 1.5 + numbers / 100),
            "ask": 1.7 + numbers / 100,
            "last_price": 1.6,
            "volume": pd.Series([None if number % 5 == 4 else int(number) for number in numbers], dtype=object),
            "open_interest": pd.Series(
                [None if number % 7 == 6 else 100.0 + number for number in numbers], dtype=float
            ),
            "implied_volatility": 0.35 + numbers / 10_000,
            "delta": np.nan,
            "gamma": None,
            "theta": None,
            "vega": None,
            "rho": None,
            "quoted_at": NOW,
            "data_provider": "yahoo",
            "last_updated": NOW,
        }
    )


def _stock_data(symbols: Sequence[str], price: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": list(symbols),
            "current_price": price,
            "previous_close": None,
            "volume": 1_000_000,
            "market_state": "REGULAR",
            "dividend_yield": None,
            "expirations_provider": "yahoo",
            "listed_expirations": [[date(2026, 7, 17), EXPIRATION]] * len(symbols),
            "quoted_at": NOW,
            "data_provider": "yahoo",
            "last_updated": NOW,
        }
    )


def _stock_prices(symbols: Sequence[str], price: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": list(symbols),
            "price_date": NOW.date(),
            "open": None,
            "high": None,
            "low": None,
            "close": price,
            "volume": 1_000_000,
            "is_final": False,
            "data_provider": "yahoo",
            "updated_at": NOW,
        }
    )


def _result(symbol: str, contracts: int, price: float) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "status": "success",
        "started_at": NOW,
        "completed_at": NOW,
        "duration_ms": 120.5,
        "options_fetched": contracts,
        "options_inserted": contracts,
        "options_rejected": 1,
        "premiums_inserted": contracts - 1,
        "current_price": price,
        "expirations": [EXPIRATION],
        "quoted_at": NOW,
        "error_type": None,
        "error_message": None,
        "retry_count": 0,
        "requests": 1,
        "data_provider": "yahoo",
        "attempts": [{"provider": "yahoo", "error_type": None, "message": None, "requests": 1, "duration_ms": 120.5}],
        "strikes": [(contracts + 1) // 2],
        "chain_doubt": None,
        "chain_note": None,
    }
