"""What the seller of a contract earns and risks: premiums, returns, break-evens, probabilities, deltas.

A put is sold cash-secured, a call covered by the stock; the seller gets the bid; a contract is 100 shares. Which
contracts are sellable is judged in quality/rules.py, which are worth ranking in ranking.py.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optsync_pipeline.options import black_scholes
from optsync_pipeline.options.black_scholes import DAYS_PER_YEAR, FloatArray

SHARES_PER_CONTRACT = 100
DAYS_PER_MONTH = 30


def premium_columns(
    *,
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    bid: ArrayLike,
    ask: ArrayLike,
    dte: ArrayLike,
    sigma: ArrayLike,
    vendor_delta: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
) -> dict[str, NDArray[np.generic]]:
    """Compute the columns of stock_premiums for contracts with bid > 0 and ask >= bid; arrays of one length.

    spot, strike, bid, ask: dollars per share; dte: calendar days, at least 1; sigma: the contract's own volatility, a
    fraction, NaN where unknown (then what needs it is NaN); vendor_delta: NaN where the vendor gives none worth having;
    rate, dividend_yield: fractions.

    Returns premium, collateral (dollars per contract), break_even (dollars per share), monthly_return, annual_return
    (percent, simple: times 30 / dte and 365 / dte), probability_of_profit (fraction: N(d2) at the break-even),
    spread_pct (percent of the mid), delta, delta_is_vendor (bool).
    """
    put = np.asarray(is_put, dtype=np.bool_)
    at = _Contracts(*(_floats(value) for value in (spot, strike, bid, ask, dte, sigma, rate, dividend_yield)))
    outlay = np.where(put, at.strike, at.spot)
    return_pct = 100 * at.bid / outlay
    break_even = outlay - at.bid
    given = is_vendor_delta(vendor_delta, is_put=put)
    computed = black_scholes.delta(
        put, at.spot, at.strike, at.dte / DAYS_PER_YEAR, at.rate, at.dividend_yield, at.sigma
    )
    return {
        "premium": SHARES_PER_CONTRACT * at.bid,
        "collateral": SHARES_PER_CONTRACT * outlay,
        "break_even": break_even,
        "monthly_return": return_pct * DAYS_PER_MONTH / at.dte,
        "annual_return": return_pct * DAYS_PER_YEAR / at.dte,
        "probability_of_profit": _probability_above(break_even, at),
        "spread_pct": 100 * (at.ask - at.bid) / ((at.ask + at.bid) / 2),
        "delta": np.where(given, _floats(vendor_delta), computed),
        "delta_is_vendor": given,
    }


def is_vendor_delta(vendor_delta: ArrayLike, *, is_put: ArrayLike) -> NDArray[np.bool_]:
    """Say of each vendor's delta whether it can be one: from -1 to 0 for a put, from 0 to 1 for a call."""
    quoted = _floats(vendor_delta)
    towards_profit = np.where(np.asarray(is_put, dtype=np.bool_), -quoted, quoted)
    return np.asarray((towards_profit >= 0) & (towards_profit <= 1), dtype=np.bool_)


class _Contracts(NamedTuple):
    spot: FloatArray
    strike: FloatArray
    bid: FloatArray
    ask: FloatArray
    dte: FloatArray
    sigma: FloatArray
    rate: FloatArray
    dividend_yield: FloatArray


def _probability_above(break_even: FloatArray, at: _Contracts) -> FloatArray:
    # A bid of the whole outlay or more leaves nothing to lose, and ln(S / x) does not exist there.
    certain = break_even <= 0
    level = np.where(certain, at.spot, break_even)
    distance = black_scholes.d2(level, at.spot, at.dte / DAYS_PER_YEAR, at.rate, at.dividend_yield, at.sigma)
    return np.where(certain, 1.0, black_scholes.normal_cdf(distance))


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)
