"""What a contract needs to be ranked. The ranking itself is one SQL query over stock_premiums; its order:

One contract a symbol, the one with the highest monthly_return (ties: higher open interest, then symbol); symbols by
that monthly_return, best first. How the returns are computed is in returns.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Strategy = Literal["cash_secured_put", "covered_call"]
OptionType = Literal["put", "call"]

STRATEGIES: Mapping[Strategy, OptionType] = MappingProxyType({"cash_secured_put": "put", "covered_call": "call"})
"""The option type that each strategy sells."""


@dataclass(frozen=True, slots=True)
class RankingLimits:
    """The bounds of a rankable contract, each inclusive.

    min_abs_delta, max_abs_delta: fractions. max_spread_pct: percent of the mid. min_open_interest: contracts; one whose
    open interest is unknown is not ranked. min_otm_pct: how far out of the money at least, in percent of the stock's
    price: 100 (S - K) / S for a put, 100 (K - S) / S for a call; below 0 lets contracts in the money in.
    """

    min_abs_delta: float = 0.25
    max_abs_delta: float = 0.40
    max_spread_pct: float = 10.0
    min_open_interest: int = 100
    min_otm_pct: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError where no contract could be within the bounds."""
        if not 0 <= self.min_abs_delta <= self.max_abs_delta <= 1:
            raise ValueError(
                f"the delta limits must be 0 <= {self.min_abs_delta} (least) <= {self.max_abs_delta} (most) <= 1"
            )
        if self.max_spread_pct < 0:
            raise ValueError(f"a spread is never below 0 percent: {self.max_spread_pct}")
