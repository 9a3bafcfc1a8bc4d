"""Black–Scholes–Merton: price, greeks and d2 of European options, vectorised.

Formulas only (Hull, Options, Futures, and Other Derivatives, the chapters on Black–Scholes–Merton and the greeks, with
a continuous dividend yield). Solving for sigma is in volatility.py; what a seller earns is in returns.py.

Every argument is a number or an array, broadcast against the others:

    is_put          bool, true for a put
    spot, strike    dollars per share, above 0
    years           time to expiration in years (dte / 365), above 0
    rate            continuous risk-free rate, a fraction
    dividend_yield  continuous dividend yield, a fraction
    sigma           volatility per year, a fraction, above 0

Greeks come in the units vendors quote: delta and gamma per dollar of the stock, theta per calendar day, vega and rho
per percentage point (0.01) of volatility and of rate. Where an argument is NaN the result is NaN.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

FloatArray = NDArray[np.float64]

DAYS_PER_YEAR = 365.0
_PERCENTAGE_POINT = 0.01


def price(
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return the option's value in dollars per share."""
    side = _side(is_put)
    near = d1(strike, spot, years, rate, dividend_yield, sigma)
    far = d2(strike, spot, years, rate, dividend_yield, sigma)
    stock_leg = np.multiply(spot, _discount(dividend_yield, years)) * _cdf(side * near)
    cash_leg = np.multiply(strike, _discount(rate, years)) * _cdf(side * far)
    return _floats(side * (stock_leg - cash_leg))


def delta(
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return dollars of option per dollar of stock: call e^(−qT) N(d1), put −e^(−qT) N(−d1)."""
    side = _side(is_put)
    near = d1(strike, spot, years, rate, dividend_yield, sigma)
    return _floats(side * _discount(dividend_yield, years) * _cdf(side * near))


def gamma(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return the change of delta per dollar of stock, the same for put and call."""
    density = _pdf(d1(strike, spot, years, rate, dividend_yield, sigma))
    return _floats(_discount(dividend_yield, years) * density / (np.multiply(spot, sigma) * np.sqrt(years)))


def vega(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return dollars per share and percentage point of volatility, the same for put and call."""
    density = _pdf(d1(strike, spot, years, rate, dividend_yield, sigma))
    per_unit = np.multiply(spot, _discount(dividend_yield, years)) * density * np.sqrt(years)
    return _floats(_PERCENTAGE_POINT * per_unit)


def theta(
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return dollars per share and calendar day; below zero where the option loses value as time passes."""
    side = _side(is_put)
    near = d1(strike, spot, years, rate, dividend_yield, sigma)
    far = d2(strike, spot, years, rate, dividend_yield, sigma)
    stock_leg = np.multiply(spot, _discount(dividend_yield, years))
    cash_leg = np.multiply(strike, _discount(rate, years))
    decay = -stock_leg * np.multiply(_pdf(near), sigma) / (2 * np.sqrt(years))
    income = np.multiply(stock_leg * _cdf(side * near), dividend_yield)
    cost = np.multiply(cash_leg * _cdf(side * far), rate)
    return _floats((decay + side * (income - cost)) / DAYS_PER_YEAR)


def rho(
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return dollars per share and percentage point of the risk-free rate."""
    side = _side(is_put)
    far = d2(strike, spot, years, rate, dividend_yield, sigma)
    per_unit = side * np.multiply(strike, years) * _discount(rate, years) * _cdf(side * far)
    return _floats(_PERCENTAGE_POINT * per_unit)


def d1(
    level: ArrayLike,
    spot: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return [ln(S / level) + (r − q + σ² / 2) T] / (σ √T)."""
    deviation = np.multiply(sigma, np.sqrt(years))
    return _floats(d2(level, spot, years, rate, dividend_yield, sigma) + deviation)


def d2(
    level: ArrayLike,
    spot: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Return [ln(S / level) + (r − q − σ² / 2) T] / (σ √T): N(d2) is the chance that the stock ends above `level`.

    level: dollars per share, above 0: a strike, or a break-even.
    """
    deviation = np.multiply(sigma, np.sqrt(years))
    drift = np.multiply(np.subtract(rate, dividend_yield) - np.square(sigma) / 2, years)
    return _floats((np.log(np.divide(spot, level)) + drift) / deviation)


def normal_cdf(value: ArrayLike) -> FloatArray:
    """Return N(value), the standard normal distribution function."""
    return _floats(ndtr(value))


_cdf = normal_cdf


def _pdf(value: FloatArray) -> FloatArray:
    return _floats(np.exp(-np.square(value) / 2) / np.sqrt(2 * np.pi))


def _discount(rate: ArrayLike, years: ArrayLike) -> FloatArray:
    return _floats(np.exp(-np.multiply(rate, years)))


def _side(is_put: ArrayLike) -> FloatArray:
    return _floats(np.where(is_put, -1.0, 1.0))


def _floats(value: ArrayLike) -> FloatArray:
    return np.asarray(value, dtype=np.float64)
