"""The invented market's chains: strikes, a smile, spreads, open interest, and what each vendor says of the volatility.

Everything is drawn from the seed, the symbol, the expiration and the session's date, so that a chain is the same
whoever asks, in whatever order, for the whole of a session.
"""

from datetime import date

import numpy as np

from optsync_pipeline.options import black_scholes
from optsync_pipeline.sandbox.listing import Traits
from optsync_pipeline.sandbox.model import RATE, Chain, FloatArray, occ_symbol
from optsync_pipeline.sandbox.sessions import Session

_STRIKE_STEPS = np.array([0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0])
# What Yahoo's solver leaves where it finds no volatility; the shares are those of the recorded chains, roughly.
_SOLVER_LEFTOVERS = np.array([0.00001, 0.500005, 0.250008, 0.125009, 0.0625])
_SHARE_LEFTOVER_THOUGH_QUOTED = 0.01
_SHARE_WITHOUT_CBOE_IV = 0.03
_SHARE_WITHOUT_VOLUME = 0.12
_DAYS_PER_YEAR = 365


def price_chain(symbol: str, traits: Traits, spot: float, expiration: date, session: Session, seed: int) -> Chain:
    """Return the chain of one expiration as of a session. spot: dollars a share."""
    draw = np.random.default_rng([seed, expiration.toordinal(), session.date.toordinal(), *symbol.encode()])
    grid = strike_grid(traits, expiration)
    strike = np.concatenate([grid, grid])
    is_put = np.arange(strike.size) >= grid.size
    years = max((expiration - session.date).days, 1) / _DAYS_PER_YEAR
    sigma = _smile(traits, spot, grid, years)
    model = (spot, strike, years, RATE, traits.dividend_yield, np.concatenate([sigma, sigma]))
    theo = black_scholes.price(is_put, *model)
    distance = np.abs(np.log(strike / spot)) / (traits.sigma * np.sqrt(years))
    bid, ask = _spread(theo, distance, traits.liquidity)
    open_interest, volume = _activity(draw, distance, traits)
    last = np.maximum(np.round(theo * draw.uniform(0.95, 1.05, strike.size), 2), 0.01)
    return Chain(
        expiration=expiration,
        contract_symbols=_contract_symbols(symbol, expiration, grid),
        is_put=is_put,
        strike=strike,
        bid=bid,
        ask=ask,
        last=last,
        volume=volume,
        open_interest=open_interest,
        sigma=model[-1],
        yahoo_iv=_yahoo_iv(draw, model[-1], bid),
        cboe_iv=np.where(draw.random(strike.size) < _SHARE_WITHOUT_CBOE_IV, 0.0, np.round(model[-1], 4)),
        theo=np.round(theo, 4),
        delta=np.round(black_scholes.delta(is_put, *model), 4),
        gamma=np.round(black_scholes.gamma(*model), 4),
        theta=np.round(black_scholes.theta(is_put, *model), 4),
        vega=np.round(black_scholes.vega(*model), 4),
        rho=np.round(black_scholes.rho(is_put, *model), 4),
        last_traded_at=_last_traded_at(draw, volume, session),
    )


def strike_grid(traits: Traits, expiration: date) -> FloatArray:
    """Return the strikes of an expiration. They follow from the stock's level, not the day's price: contracts stay."""
    is_monthly = 15 <= expiration.day <= 21 or not traits.has_weeklies
    width = min(3.2 * traits.sigma * np.sqrt(0.25 if is_monthly else 0.12), 0.9)
    wanted = traits.strikes if is_monthly else traits.strikes * 0.8
    step = _STRIKE_STEPS[np.argmin(np.abs(np.log(_STRIKE_STEPS / (2 * width * traits.price / wanted))))]
    first = max(np.ceil(traits.price * (1 - width) / step), 1)
    return np.asarray(np.arange(first, traits.price * (1 + width) / step) * step, dtype=np.float64)


def _smile(traits: Traits, spot: float, grid: FloatArray, years: float) -> FloatArray:
    """Volatility by strike: puts far below the price dearest, as since 1987."""
    distance = np.clip(np.log(grid / spot) / (traits.sigma * np.sqrt(years)), -5, 5)
    return np.asarray(np.clip(traits.sigma * (1 - 0.05 * distance + 0.02 * distance**2), 0.05, 4.0), dtype=np.float64)


def _spread(theo: FloatArray, distance: FloatArray, liquidity: float) -> tuple[FloatArray, FloatArray]:
    """Bid and ask on the exchange's ticks; no bid where the value is under a tick."""
    tick = np.where(theo < 3, 0.01, 0.05) if liquidity > 0.6 else np.where(theo < 3, 0.05, 0.10)
    half = theo * (0.008 + 0.04 * (1 - liquidity)) * (1 + 0.3 * distance) + tick / 2
    bid = np.floor(np.maximum(theo - half, 0) / tick + 1e-9) * tick
    ask = np.maximum(np.ceil((theo + half) / tick - 1e-9) * tick, bid + tick)
    return np.round(bid, 2), np.round(ask, 2)


def _activity(draw: np.random.Generator, distance: FloatArray, traits: Traits) -> tuple[FloatArray, FloatArray]:
    """Open interest and the day's volume, in contracts; a volume of none is NaN, as vendors leave it out."""
    usual = 6000 * traits.liquidity**2 * np.exp(-(distance**2) / 4)
    open_interest = np.floor(usual * draw.lognormal(0, 1.0, distance.size))
    volume = np.floor(open_interest * draw.uniform(0, 0.4, distance.size))
    silent = (volume < 1) | (draw.random(distance.size) < _SHARE_WITHOUT_VOLUME / 2)
    return open_interest, np.where(silent, np.nan, volume)


def _yahoo_iv(draw: np.random.Generator, sigma: FloatArray, bid: FloatArray) -> FloatArray:
    is_leftover = (bid == 0) | (draw.random(sigma.size) < _SHARE_LEFTOVER_THOUGH_QUOTED)
    return np.where(is_leftover, draw.choice(_SOLVER_LEFTOVERS, sigma.size), sigma)


def _last_traded_at(draw: np.random.Generator, volume: FloatArray, session: Session) -> FloatArray:
    """Seconds since 1970: the first minute of the session where there was volume, an earlier day else."""
    opened = session.opens_at.timestamp()
    days_ago = np.where(np.isnan(volume), np.floor(draw.exponential(6, volume.size)) + 1, 0)
    return np.asarray(opened + np.floor(draw.uniform(0, 60, volume.size)) - days_ago * 86_400, dtype=np.float64)


def _contract_symbols(symbol: str, expiration: date, grid: FloatArray) -> list[str]:
    calls, puts = (occ_symbol(symbol, expiration, is_put, 0)[:-8] for is_put in (False, True))
    thousandths = [f"{strike:08d}" for strike in np.rint(grid * 1000).astype(int).tolist()]
    return [calls + strike for strike in thousandths] + [puts + strike for strike in thousandths]
