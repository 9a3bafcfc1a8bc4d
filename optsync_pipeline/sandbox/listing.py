"""Which companies the invented market has: well-known tickers first, so that a demo reads well, then made-up ones.

Every figure is invented, also those under a well-known name. The first n companies are the same for every n.
"""

import random
from typing import NamedTuple

from optsync_pipeline.sandbox.model import Company


class Traits(NamedTuple):
    """What drives a company's prices: dollars a share; volatility and dividend yield as fractions; liquidity 0 to 1."""

    price: float
    sigma: float
    dividend_yield: float
    liquidity: float
    has_weeklies: bool
    strikes: int


_TECHNOLOGY, _FINANCE, _CONSUMER, _HEALTH, _INDUSTRIALS, _ENERGY = (
    "Technology",
    "Finance",
    "Consumer Discretionary",
    "Health Care",
    "Industrials",
    "Energy",
)
# symbol, name, sector, industry, price, volatility, dividend yield
_WELL_KNOWN: tuple[tuple[str, str, str, str, float, float, float], ...] = (
    ("AAPL", "Apple", _TECHNOLOGY, "Computer Manufacturing", 230.0, 0.26, 0.004),
    ("NVDA", "NVIDIA", _TECHNOLOGY, "Semiconductors", 180.0, 0.42, 0.0002),
    ("MSFT", "Microsoft", _TECHNOLOGY, "Computer Software", 440.0, 0.24, 0.007),
    ("BRK.B", "Berkshire Hathaway Class B", _FINANCE, "Property-Casualty Insurers", 460.0, 0.17, 0.0),
    ("AMZN", "Amazon", _CONSUMER, "Catalog Distribution", 205.0, 0.31, 0.0),
    ("GOOG", "Alphabet Class C", _TECHNOLOGY, "Internet Services", 190.0, 0.29, 0.004),
    ("META", "Meta Platforms", _TECHNOLOGY, "Internet Services", 600.0, 0.33, 0.003),
    ("TSLA", "Tesla", _CONSUMER, "Auto Manufacturing", 320.0, 0.55, 0.0),
    ("AVGO", "Broadcom", _TECHNOLOGY, "Semiconductors", 260.0, 0.40, 0.009),
    ("JPM", "JPMorgan Chase", _FINANCE, "Major Banks", 250.0, 0.23, 0.021),
    ("V", "Visa", _FINANCE, "Business Services", 310.0, 0.19, 0.007),
    ("UNH", "UnitedHealth", _HEALTH, "Medical Specialities", 330.0, 0.34, 0.025),
    ("XOM", "Exxon Mobil", _ENERGY, "Integrated Oil Companies", 112.0, 0.24, 0.034),
    ("F", "Ford Motor", _CONSUMER, "Auto Manufacturing", 11.5, 0.36, 0.05),
    ("AMD", "Advanced Micro Devices", _TECHNOLOGY, "Semiconductors", 145.0, 0.48, 0.0),
    ("KO", "Coca-Cola", "Consumer Staples", "Beverages", 66.0, 0.16, 0.029),
    ("PFE", "Pfizer", _HEALTH, "Biotechnology", 26.0, 0.26, 0.06),
    ("CAT", "Caterpillar", _INDUSTRIALS, "Construction Machinery", 360.0, 0.29, 0.016),
    ("PLTR", "Palantir", _TECHNOLOGY, "Computer Software", 95.0, 0.62, 0.0),
    ("T", "AT&T", "Telecommunications", "Telecommunications Equipment", 23.0, 0.21, 0.049),
)
_SECTORS: tuple[tuple[str, str], ...] = (
    (_TECHNOLOGY, "Computer Software"),
    (_TECHNOLOGY, "Semiconductors"),
    (_FINANCE, "Major Banks"),
    (_FINANCE, "Property-Casualty Insurers"),
    (_HEALTH, "Biotechnology"),
    (_CONSUMER, "Retail"),
    (_INDUSTRIALS, "Industrial Machinery"),
    (_ENERGY, "Oil & Gas Production"),
    ("Utilities", "Electric Utilities"),
    ("Real Estate", "Real Estate Investment Trusts"),
    ("Basic Materials", "Precious Metals"),
)
_LARGEST_MARKET_CAP = 4.5e12
# Eleven consonants: enough for tens of thousands of tickers, too few to spell what nobody wants to read in a demo.
_CONSONANTS, _VOWELS = "BDHLMRSVWXZ", "AEIOU"


def list_companies(count: int, seed: int) -> dict[str, tuple[Company, Traits]]:
    """Return `count` companies by symbol, the largest first."""
    taken = {row[0] for row in _WELL_KNOWN}
    draw = random.Random(f"{seed}/listing")
    listed = {}
    for rank in range(1, count + 1):
        market_cap = float(round(_LARGEST_MARKET_CAP / rank**0.95, -6))
        if rank <= len(_WELL_KNOWN):
            symbol, name, sector, industry, price, sigma, dividend_yield = _WELL_KNOWN[rank - 1]
        else:
            symbol = _new_ticker(draw, taken)
            name = f"{symbol.capitalize()} Holdings"
            sector, industry = draw.choice(_SECTORS)
            price = min(max(draw.lognormvariate(4.1, 0.8), 6.0), 900.0)
            sigma = min(max(draw.lognormvariate(-1.05, 0.35), 0.16), 0.95)
            dividend_yield = 0.0 if draw.random() < 0.4 else round(draw.uniform(0.002, 0.045), 4)
        company = Company(symbol, f"{name} (sandbox)", sector, industry, market_cap)
        listed[symbol] = (company, _traits(symbol, seed, rank, price, sigma, dividend_yield))
    return listed


def _traits(symbol: str, seed: int, rank: int, price: float, sigma: float, dividend_yield: float) -> Traits:
    draw = random.Random(f"{seed}/traits/{symbol}")
    liquidity = min(max(1.0 - rank / 2500 + draw.uniform(-0.15, 0.05), 0.15), 1.0)
    # As many as make Yahoo replies of the size measured on live chains, 44 KB on average.
    strikes = round(min(max(draw.lognormvariate(4.15 + liquidity / 3, 0.45), 10), 250))
    return Traits(price, sigma, dividend_yield, liquidity, draw.random() < liquidity, strikes)


def _new_ticker(draw: random.Random, taken: set[str]) -> str:
    while True:
        letters = [draw.choice(_CONSONANTS), draw.choice(_VOWELS), draw.choice(_CONSONANTS), draw.choice(_VOWELS)]
        ticker = "".join([*letters, draw.choice(_CONSONANTS)][: draw.choice((3, 4, 4, 5, 5))])
        if ticker not in taken:
            taken.add(ticker)
            return ticker
