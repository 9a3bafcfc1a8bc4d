"""Implied volatility: whether a vendor's is usable, and solving it from a contract's mid price where it is not.

A volatility is a fraction per year (0.35 = 35 %). The pricing formulas are in black_scholes.py.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optsync_pipeline.options import black_scholes
from optsync_pipeline.options.black_scholes import FloatArray

LOWEST = 0.01
HIGHEST = 5.0

# What Yahoo's solver prints when it gives up: a bisection of 0.00001 to 1 that only ever went down, at full length and
# as rounded for display. Of 144,977 contracts of 2026-07-16 they were 9,411, 2,111, 585, 205, 86 and 26, two-sided in
# at most 6 % from 0.5 down; the nearest other value lay 0.00003 away. Halves of the same bisection that went up again
# (0.531255, 1.000005) agree with the mid: those are results.
YAHOO_LEFTOVERS = (
    *(0.00001, 0.500005, 0.2500075, 0.12500875, 0.062509375, 0.0312596875),
    *(0.250008, 0.125009, 0.0625, 0.03126),
)
_LEFTOVER_WIDTH = 5e-7

_MAX_STEPS = 100
_SIGMA_TOLERANCE = 1e-10
# Time value below this share of the prices is rounding of the price formula, not a price of volatility.
_ROUNDING_SHARE = 1e-12


def is_usable(implied_volatility: ArrayLike, *, from_yahoo: ArrayLike) -> NDArray[np.bool_]:
    """Say of each vendor's volatility (fractions, NaN where none) whether it means anything.

    from_yahoo: bool or an array of them; the solver leftovers are junk from Yahoo alone, and real values elsewhere.
    """
    quoted = np.asarray(implied_volatility, dtype=np.float64)
    in_range = (quoted >= LOWEST) & (quoted <= HIGHEST)
    leftover = np.zeros(quoted.shape, dtype=np.bool_)
    for value in YAHOO_LEFTOVERS:
        leftover |= np.abs(quoted - value) <= _LEFTOVER_WIDTH
    return np.asarray(in_range & ~(leftover & np.asarray(from_yahoo, dtype=np.bool_)), dtype=np.bool_)


def implied(
    mid: ArrayLike,
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
) -> FloatArray:
    """Solve for the volatility at which Black–Scholes–Merton gives `mid` (dollars per share); arguments as there.

    NaN where the mid lies outside the no-arbitrage bounds or its volatility outside 0.01 to 5. The price rises with
    sigma, so Newton's steps stay in a bracket and halve it where they would leave: about 8 steps, never a divergence.
    """
    arrays = (mid, is_put, spot, strike, years, rate, dividend_yield)
    mids, puts, spots, strikes, terms, rates, yields = np.broadcast_arrays(*(np.asarray(one, float) for one in arrays))
    contract = (puts != 0, spots, strikes, terms, rates, yields)
    low, high = np.full(mids.shape, LOWEST), np.full(mids.shape, HIGHEST)
    rounding = _ROUNDING_SHARE * np.maximum(spots, strikes)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        solvable = (mids - black_scholes.price(*contract, low) > -rounding) & (
            mids - black_scholes.price(*contract, high) < rounding
        )
        solvable &= mids - _lower_bound(*contract) > rounding
        sigma = _steepest(*contract[1:])
        for _ in range(_MAX_STEPS):
            too_high = black_scholes.price(*contract, sigma) - mids
            low, high = np.where(too_high < 0, sigma, low), np.where(too_high >= 0, sigma, high)
            slope = 100 * black_scholes.vega(*contract[1:], sigma)
            newton = sigma - too_high / slope
            moved = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
            settled = np.abs(moved - sigma) <= _SIGMA_TOLERANCE
            sigma = moved
            if np.all(settled | ~solvable):
                break
    return np.where(solvable, sigma, np.nan)


def _lower_bound(
    is_put: NDArray[np.bool_],
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
) -> FloatArray:
    """What the option is worth at no volatility at all, dollars per share."""
    forward_gain = spot * np.exp(-dividend_yield * years) - strike * np.exp(-rate * years)
    return np.asarray(np.maximum(np.where(is_put, -forward_gain, forward_gain), 0.0), dtype=np.float64)


def _steepest(
    spot: FloatArray, strike: FloatArray, years: FloatArray, rate: FloatArray, dividend_yield: FloatArray
) -> FloatArray:
    """The sigma where vega is greatest, from which Newton goes straight to the solution (Manaster and Koehler 1982)."""
    forward_log = np.log(spot / strike) + (rate - dividend_yield) * years
    return np.asarray(np.clip(np.sqrt(2 * np.abs(forward_log) / years), 0.1, 2.0), dtype=np.float64)
