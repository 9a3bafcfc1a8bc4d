"""Whether a price is one that its stock's last 20 daily returns make likely.

A wrong price (a split that one vendor knows of and another does not, a digit lost) spoils every premium of its stock.
An unusual price is not a wrong one: earnings move stocks too. So it is not refused, only doubted until a second
provider has quoted it.
"""

import math
from typing import Literal, NamedTuple

RETURNS_NEEDED = 20
MAX_DEVIATIONS = 3.0
# A stock that did not move at all for 20 days: what floating point leaves of a return of 0 is no move.
_SMALLEST_RETURN = 1e-9

Move = Literal["usual", "unusual", "not_enough_history"]


class Measure(NamedTuple):
    """The closes before a price: the last (dollars a share), how many daily returns, their mean and deviation."""

    last_close: float | None
    returns: int
    mean: float | None
    deviation: float | None


def judge_move(price: float, measure: Measure) -> tuple[Move, float | None]:
    """Judge a price (dollars a share) by the returns before it; return also how many deviations it is off, if unusual.

    Fewer than 20 returns are no measure, and the answer says so.
    """
    last_close, returns, mean, deviation = measure
    if returns < RETURNS_NEEDED or last_close is None or mean is None or deviation is None:
        return "not_enough_history", None
    distance = abs(price / last_close - 1 - mean)
    if distance <= MAX_DEVIATIONS * deviation + _SMALLEST_RETURN:
        return "usual", None
    return "unusual", distance / deviation if deviation > 0 else math.inf
