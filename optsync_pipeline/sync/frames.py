"""The frames of one chunk: replies in, the rows of each table out.

Whole chunks at once: pandera costs 3 ms a frame and 0.03 ms a symbol, and numpy likes long arrays.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from optsync_pipeline.calendar import days_to_expiration, latest_session
from optsync_pipeline.options import returns, volatility
from optsync_pipeline.providers.base import ChainReply, ContractQuote
from optsync_pipeline.quality import rules, schemas
from optsync_pipeline.settings import Settings

Row = dict[str, Any]


def chain_frame(replies: Sequence[ChainReply], asked_at: Sequence[datetime]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The chunk's contracts as rows of option_chains and what the arithmetic needs; and those the schema refuses."""
    frame = pd.DataFrame.from_records(
        [quote for reply in replies for quote in reply.contracts], columns=list(ContractQuote._fields)
    )
    sizes = [len(reply.contracts) for reply in replies]

    def spread(values: Sequence[Any]) -> Any:
        return pd.Series(list(values), dtype=object if not values else None).repeat(sizes).to_numpy()

    frame["symbol"] = spread([reply.symbol for reply in replies])
    frame["data_provider"] = spread([reply.provider for reply in replies])
    frame["quoted_at"] = pd.DatetimeIndex([reply.quote.quoted_at for reply in replies], tz="UTC").repeat(sizes)
    frame["underlying_price"] = spread([reply.quote.current_price for reply in replies])
    frame["dividend_yield"] = spread([reply.quote.dividend_yield or 0.0 for reply in replies])
    frame["dte"] = [days for reply, now in zip(replies, asked_at, strict=True) for days in _days(reply, now)]
    return schemas.split_by_schema(frame)


def _days(reply: ChainReply, now: datetime) -> list[int]:
    days = {expiration: days_to_expiration(expiration, now) for expiration in reply.expirations}
    return [days[quote.expiration_date] for quote in reply.contracts]


def premium_frame(chains: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sellable contracts with their premiums, and the others with the rule that refused each."""
    rule = rules.classify(chains)
    sellable = chains[rule == ""].copy()
    refused = chains[rule != ""].assign(rule=rule[rule != ""])
    is_put = (sellable["option_type"] == "put").to_numpy()
    numbers = {
        name: sellable[name].to_numpy(dtype=float)
        for name in ("bid", "ask", "strike_price", "underlying_price", "dividend_yield", "dte", "delta")
    }
    quoted = sellable["implied_volatility"].to_numpy(dtype=float)
    usable = volatility.is_usable(quoted, from_yahoo=(sellable["data_provider"] == "yahoo").to_numpy())
    sigma = np.where(usable, quoted, np.nan)
    unsolved = ~usable
    sigma[unsolved] = volatility.implied(
        (numbers["bid"][unsolved] + numbers["ask"][unsolved]) / 2,
        is_put=is_put[unsolved],
        spot=numbers["underlying_price"][unsolved],
        strike=numbers["strike_price"][unsolved],
        years=numbers["dte"][unsolved] / 365,
        rate=settings.risk_free_rate,
        dividend_yield=numbers["dividend_yield"][unsolved],
    )
    columns = returns.premium_columns(
        is_put=is_put,
        spot=numbers["underlying_price"],
        strike=numbers["strike_price"],
        bid=numbers["bid"],
        ask=numbers["ask"],
        dte=numbers["dte"],
        sigma=sigma,
        vendor_delta=np.where((numbers["delta"] == 0) & unsolved, np.nan, numbers["delta"]),
        rate=settings.risk_free_rate,
        dividend_yield=numbers["dividend_yield"],
    )
    sellable["implied_volatility"] = sigma
    sellable["greeks_source"] = np.where(columns.pop("delta_is_vendor"), "vendor", "black_scholes")
    for name, values in columns.items():
        sellable[name] = values
    hopeless = np.isnan(sigma)
    without_volatility = sellable[hopeless].assign(
        rule="unusable_implied_volatility", detail="no usable implied volatility quoted, none solved from the mid"
    )
    return sellable[~hopeless].copy(), pd.concat([refused, without_volatility])


def rejected_frame(rows: list[Row], frames: list[pd.DataFrame], job_id: int, now: datetime) -> pd.DataFrame:
    columns = ["symbol", "contract_symbol", "rule", "detail", "data_provider"]
    parts = [pd.DataFrame(rows, columns=columns), *(frame.reindex(columns=columns) for frame in frames)]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return frame.drop_duplicates(["symbol", "contract_symbol", "rule"]).assign(job_id=job_id, seen_at=now)


def stock_data_frame(replies: Sequence[ChainReply], now: datetime) -> pd.DataFrame:
    columns = [
        "symbol", "current_price", "previous_close", "volume", "market_state", "dividend_yield", "listed_expirations",
        "expirations_provider", "quoted_at", "data_provider", "last_updated",
    ]  # fmt: skip
    rows = [
        {
            **reply.quote._asdict(),
            "symbol": reply.symbol,
            "listed_expirations": list(reply.listed_expirations),
            "expirations_provider": reply.provider,
            "data_provider": reply.provider,
            "last_updated": now,
        }
        for reply in replies
    ]
    return pd.DataFrame(rows, columns=columns)


def stock_prices_frame(replies: Sequence[ChainReply], delays: Mapping[str, timedelta], now: datetime) -> pd.DataFrame:
    columns = [
        "symbol", "price_date", "open", "high", "low", "close", "volume", "is_final", "data_provider", "updated_at",
    ]  # fmt: skip
    rows = []
    for reply in replies:
        # A stock may last have traded before today's open: its bar is that of the session it traded in.
        session = latest_session(reply.quote.quoted_at)
        rows.append(
            {
                **reply.quote._asdict(),
                "symbol": reply.symbol,
                "price_date": session.date,
                "close": reply.quote.current_price,
                "is_final": now >= session.close + delays[reply.provider],
                "data_provider": reply.provider,
                "updated_at": now,
            }
        )
    return pd.DataFrame(rows, columns=columns)
