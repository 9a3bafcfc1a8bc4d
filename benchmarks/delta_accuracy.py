"""How near is our delta to a vendor's? On recorded real chains: ours from implied volatility, beside Cboe's own.

    python -m benchmarks.delta_accuracy DIR

DIR holds option_chains_2026-07-16.parquet and stocks_2026-07-16.csv. Ours takes the contract's Yahoo volatility where
usable, else the one solved from the mid of a two-sided quote, at a rate of 0.04 and no dividends for every stock;
Cboe's model knows both, and early exercise. Counted are contracts whose Cboe delta is between 0.05 and 0.95.
"""

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optsync_pipeline.calendar import days_to_expiration, nearest_expirations
from optsync_pipeline.options import black_scholes, volatility
from optsync_pipeline.options.black_scholes import DAYS_PER_YEAR

RATE = 0.04
DIVIDEND_YIELD = 0.0
TARGET_DTE = 30
RECORDED_AT = datetime(2026, 7, 16, 15, 31, tzinfo=UTC)

Flags = NDArray[np.bool_]


def read_contracts(folder: Path) -> pd.DataFrame:
    """Read the recorded contracts that have a Cboe delta between 0.05 and 0.95 and a stock price; with dte and spot."""
    contracts = pd.read_parquet(folder / "option_chains_2026-07-16.parquet")
    spots = pd.read_csv(folder / "stocks_2026-07-16.csv").set_index("symbol")["underlying_price"]
    contracts["expiration"] = contracts["expiration"].astype(str).map(date.fromisoformat)
    contracts["is_nearest"] = False
    for _, chain in contracts.groupby("symbol", observed=True):
        chosen = nearest_expirations(chain["expiration"], (TARGET_DTE,), RECORDED_AT)
        contracts.loc[chain.index, "is_nearest"] = chain["expiration"].isin(chosen)
    contracts["spot"] = contracts["symbol"].astype(str).map(spots)
    contracts["dte"] = contracts["expiration"].map(lambda day: days_to_expiration(day, RECORDED_AT))
    return contracts[contracts["delta"].abs().between(0.05, 0.95, inclusive="neither") & contracts["spot"].notna()]


def spot_agrees(contracts: pd.DataFrame) -> Flags:
    """Say of each contract whether put-call parity near the money finds its stock's price within 0.1 percent.

    Where it does not, the price was recorded at another moment than the quotes, or a dividend lies between.
    """
    near = contracts[contracts["is_nearest"] & ((contracts["strike"] / contracts["spot"] - 1).abs() < 0.05)]
    near = near.assign(symbol=near["symbol"].astype(str), mid=(near["bid"] + near["ask"]) / 2)
    pairs = near.pivot_table(
        index=["symbol", "strike", "dte", "spot"], columns="option_type", values="mid", observed=True
    )
    pairs = pairs.dropna().reset_index()
    at_present = pairs["strike"] * np.exp(-RATE * pairs["dte"] / DAYS_PER_YEAR)
    gap = ((pairs["call"] - pairs["put"] + at_present) / pairs["spot"] - 1).groupby(pairs["symbol"]).median()
    agreeing = gap.index[gap.abs() < 0.001]
    return contracts["symbol"].astype(str).isin(agreeing).to_numpy(dtype=bool)


def measure(contracts: pd.DataFrame) -> pd.DataFrame:
    """Return count, median and 95th percentile of |our delta - Cboe's| for each source of volatility."""
    is_put = (contracts["option_type"] == "put").to_numpy()
    column = {name: contracts[name].to_numpy(dtype=float) for name in ("bid", "ask", "strike", "spot", "dte", "delta")}
    bid, ask, strike, spot, cboe = (column[name] for name in ("bid", "ask", "strike", "spot", "delta"))
    years = column["dte"] / DAYS_PER_YEAR
    two_sided = (bid > 0) & (ask >= bid)
    quoted = contracts["implied_volatility"].to_numpy(dtype=float)
    usable = volatility.is_usable(quoted, from_yahoo=True)
    solved = volatility.implied(
        np.where(two_sided, (bid + ask) / 2, np.nan), is_put, spot, strike, years, RATE, DIVIDEND_YIELD
    )
    sigma = np.where(usable, quoted, solved)
    ours = black_scholes.delta(is_put, spot, strike, years, RATE, DIVIDEND_YIELD, sigma)
    from_mid = black_scholes.delta(is_put, spot, strike, years, RATE, DIVIDEND_YIELD, solved)
    known, nearest = ~np.isnan(sigma), contracts["is_nearest"].to_numpy(dtype=bool)
    fitting = two_sided & known & nearest & spot_agrees(contracts)
    return pd.DataFrame(
        [
            _line("Yahoo's, usable", ours, cboe, usable),
            _line("Yahoo's, usable; two-sided quote", ours, cboe, usable & two_sided),
            _line("solved from the mid, Yahoo's unusable", ours, cboe, ~usable & known),
            _line("solved from the mid, Yahoo's usable too", from_mid, cboe, usable & ~np.isnan(solved)),
            _line("as a sync does it: two-sided quotes", ours, cboe, two_sided & known),
            _line(f"as a sync does it, expiration nearest {TARGET_DTE} days", ours, cboe, two_sided & known & nearest),
            _line("... and the stock's price fits the quotes", ours, cboe, fitting),
            _line("... and solved from the mid instead", from_mid, cboe, fitting & ~np.isnan(solved)),
        ]
    )


def _line(
    source: str, ours: black_scholes.FloatArray, cboe: black_scholes.FloatArray, chosen: Flags
) -> dict[str, object]:
    gap = np.abs(ours - cboe)[chosen]
    median, high = np.percentile(gap, [50, 95])
    return {"implied volatility": source, "contracts": len(gap), "median": round(median, 4), "95 %": round(high, 4)}


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m benchmarks.delta_accuracy DIR")
    contracts = read_contracts(Path(sys.argv[1]))
    print(f"|our delta - Cboe's|, rate {RATE}, dividend yield {DIVIDEND_YIELD}, 0.05 < |Cboe delta| < 0.95")
    print(measure(contracts).to_string(index=False))


if __name__ == "__main__":
    main()
