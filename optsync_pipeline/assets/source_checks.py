"""Whether a sync's sources may be trusted: are its prices likely, and did the provider that comes first serve.

Part of the checks of a sync; what all of them are is said in sync_checks.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import dagster as dg

from optsync_pipeline.quality.likely_prices import RETURNS_NEEDED
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.job_report import JobReport
from optsync_pipeline.storage.price_moves import PriceMove

PRICE_PLAUSIBLE = "price_plausible"
PROVIDER_SHARE = "provider_share"
SERVED_SHARE = 0.5
MIN_SYMBOLS_JUDGED = 20
"""Of fewer, a single turn of the order decides the share."""
PRICES_NAMED = 20


class Turn(NamedTuple):
    """Who is asked first in a sync, and the share of its symbols (a fraction) that it is to serve if all goes well."""

    first: str | None
    share: float


def turn_of(names: Sequence[str], settings: Settings) -> Turn:
    """Return whose turn comes first. names: the providers of the sync, in their order.

    With spillover a symbol goes to whoever has a request left, so each serves as much as its limit allows.
    """
    if not names:
        return Turn(None, 0.0)
    if not settings.spillover:
        return Turn(names[0], 1.0)
    limits = [settings.limits_of(name)[0] for name in names]
    return Turn(names[0], limits[0] / sum(limits))


def price_plausible(moves: Sequence[PriceMove]) -> dg.AssetCheckEvaluation:
    """Judge the prices of a sync by the returns before them and by what a second provider said."""
    unusual = [move for move in moves if move.move == "unusual"]
    confirmed = [move for move in unusual if move.doubt == "confirmed"]
    doubtful = [move for move in unusual if move.doubt != "confirmed"]
    unknown = sum(1 for move in moves if move.move == "not_enough_history")
    checked = len(moves) - unknown
    owners = "1 stock has" if unknown == 1 else f"{unknown} stocks have"
    without = f"not enough history: {owners} fewer than {RETURNS_NEEDED + 1} closes"
    if not checked:
        told = without if moves else "no price was fetched"
    else:
        told = f"prices checked: {checked}, unusual: {len(unusual)}, of these confirmed: {len(confirmed)}"
        told += f"; {', '.join(map(_doubt, doubtful[:3]))}" if doubtful else ""
        told += f"; {without}" if unknown else ""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("stock_prices"),
        check_name=PRICE_PLAUSIBLE,
        passed=bool(checked) and not doubtful,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={
            "checked": checked,
            "unusual": len(unusual),
            "confirmed": len(confirmed),
            "contradicted": sum(1 for move in unusual if move.doubt == "contradicted"),
            "not_enough_history": unknown,
            "prices": {move.symbol: _doubt(move) for move in unusual[:PRICES_NAMED]},
        },
    )


def _doubt(move: PriceMove) -> str:
    said = move.note or "no second provider was asked"
    return f"{move.symbol} {move.price:g} $, {move.deviations or 0:.1f} deviations off ({said})"


def provider_share(report: JobReport, turn: Turn) -> dg.AssetCheckEvaluation:
    """Judge how much of a sync the first provider of the order served."""
    served = {share.provider: share.served for share in report.shares}
    total = sum(served.values())
    percents = {name: round(100 * count / total, 1) if total else 0.0 for name, count in served.items()}
    least_pct = 100 * SERVED_SHARE * turn.share
    told = ", ".join(f"{name} {percent:g} %" for name, percent in percents.items()) or "nobody was asked"
    first_pct = percents.get(turn.first or "", 0.0)
    passed = True
    if turn.first is not None and turn.first in report.left_out:
        told += f"; {turn.first} was left out: {report.left_out[turn.first]}"
    elif total < MIN_SYMBOLS_JUDGED:
        told += f"; {total} symbols served, too few to judge a share by"
    elif turn.first is not None and first_pct < least_pct:
        passed = False
        told += f"; {turn.first}, which comes first, served less than {least_pct:.0f} %"
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("stock_prices"),
        check_name=PROVIDER_SHARE,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata={f"{name}_pct": percent for name, percent in percents.items()},
    )
