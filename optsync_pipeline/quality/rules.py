"""Why a contract did not become sellable: the name of every rule, and the judgements on quotes.

Whether a row is sound enough to be stored at all is said in schemas.py; how volatility is solved in options/.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from optsync_pipeline.calendar import is_market_open, latest_session

# In the order in which a contract meets them. `rejected_quotes.rule` is always one of these names.
RULES = MappingProxyType(
    {
        # Given by a provider's reader: there is no row of option_chains for these.
        "unreadable_contract_symbol": "The contract symbol is missing, no OCC symbol, or of the other type.",
        "adjusted_contract": "The contract's root is not the stock's: its deliverable is not 100 of these shares.",
        "missing_strike": "No strike, or one that is not above 0.",
        "strike_mismatch": "The strike differs from the one in the contract symbol.",
        "wrong_expiration": "The contract expires on another day than the one asked for.",
        # Given with a whole reply, which is not stored.
        "stale_quote": "Quoted before the open of the latest session, or after it with the session's quotes gone.",
        # Given by schemas.py: the row cannot be stored.
        "missing_expiration": "No expiration date.",
        "unknown_option_type": "The option type is neither put nor call.",
        "missing_underlying_price": "The stock has no price above 0.",
        "invalid_dividend_yield": "The stock's dividend yield is below 0 or no number.",
        "missing_quote_time": "The vendor does not say when it quoted.",
        "negative_quote": "Bid, ask or last price is below 0 or endless.",
        "invalid_count": "Volume or open interest is below 0 or not a whole number.",
        "invalid_implied_volatility": "The implied volatility is below 0 or endless.",
        "invalid_greeks": "The delta lies outside -1 to 1, or a greek is endless.",
        "duplicate_contract": "The reply holds the same expiration, strike and type twice; the first stays.",
        # Given by classify: stored in option_chains, not in stock_premiums.
        "missing_quote": "No bid or no ask.",
        "future_quote": "The quote time is more than a day ahead.",
        "zero_quote": "Bid and ask are both 0: nobody quotes it, or the vendor has emptied its quotes.",
        "zero_bid": "The bid is 0: there is nobody to sell to.",
        "crossed_quote": "The ask is below the bid.",
        # Given where the premiums are computed.
        "unusable_implied_volatility": "No usable implied volatility, and none can be solved from the mid.",
        # Given by storage.
        "database_refused": "PostgreSQL refused the row; the detail has its words.",
    }
)

# A chain is dead when hardly a contract can be sold and most have no quote at all. Of the 334 recorded chains of
# 2026-07-16 nearest to 30 days the market, open, left one so (0 of 8); every chain recorded before an open is.
_LIVE_TWO_SIDED_SHARE = 0.10
_LIVE_QUOTED_SHARE = 0.50

# A clock or a time zone may be off by hours; a time further ahead is nonsense, and would look fresh for ever.
_FARTHEST_AHEAD = timedelta(days=1)


class Verdict(NamedTuple):
    """Why a whole reply's quotes are not to be stored, in the words of sync_stock_results and rejected_quotes."""

    error_type: Literal["stale_data", "invalid_data"]
    rule: Literal["stale_quote", "zero_quote", "future_quote"]
    message: str


def judge_quotes(
    bids: Sequence[float | None], asks: Sequence[float | None], quoted_at: datetime, now: datetime
) -> Verdict | None:
    """Judge a reply's quotes (dollars per share) by session; None where they are good, or where there are none.

    quoted_at, now: aware datetimes. Quotes from before the open of the latest session are stale. Nearly all zero is a
    fault of the reply while the market is open, and the normal look of an emptied book while it is closed.
    """
    if quoted_at > now + _FARTHEST_AHEAD:
        return Verdict("invalid_data", "future_quote", f"quoted {quoted_at:%Y-%m-%d}, which is yet to come")
    opened = latest_session(now).open
    if quoted_at < opened:
        age, start = (f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for when in (quoted_at, opened))
        message = f"quoted {age}, before the latest session opened at {start}"
        return Verdict("stale_data", "stale_quote", message)
    if not len(bids):
        return None
    bid, ask = np.nan_to_num(np.array([bids, asks], dtype=np.float64))
    two_sided = int(np.count_nonzero((bid > 0) & (ask >= bid)))
    quoted = int(np.count_nonzero((bid > 0) | (ask > 0)))
    if two_sided >= _LIVE_TWO_SIDED_SHARE * len(bid) or quoted >= _LIVE_QUOTED_SHARE * len(bid):
        return None
    is_open = is_market_open(now)
    message = (
        f"{two_sided} of {len(bid)} contracts have a two-sided quote and {quoted} any quote "
        f"while the market is {'open' if is_open else 'closed'}"
    )
    return Verdict("invalid_data" if is_open else "stale_data", "zero_quote", message)


def classify(frame: pd.DataFrame) -> pd.Series:
    """Return for each row of option_chains the rule that keeps its quote from being sellable, or "".

    One rule a row, the first that applies of: missing_quote, zero_quote, zero_bid, crossed_quote.
    """
    bid, ask = (frame[side].to_numpy(dtype=np.float64, na_value=np.nan) for side in ("bid", "ask"))
    broken = {
        "missing_quote": np.isnan(bid) | np.isnan(ask),
        "zero_quote": (bid <= 0) & (ask <= 0),
        "zero_bid": bid <= 0,
        "crossed_quote": ask < bid,
    }
    rule = np.select(list(broken.values()), list(broken), default="")
    return pd.Series(rule, index=frame.index, name="rule", dtype=str)
