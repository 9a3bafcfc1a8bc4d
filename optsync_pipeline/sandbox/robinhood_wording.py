"""How Robinhood writes numbers, moments and lists."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from optsync_pipeline.sandbox.replies import Reply


def page(results: Sequence[Any]) -> Reply:
    """Return a list that has no further page."""
    return Reply(200, orjson.dumps({"next": None, "previous": None, "results": results}))


def decimal(figure: float | None) -> str | None:
    """Return a number as a string of six decimals, None where there is none."""
    return None if figure is None or figure != figure else f"{figure:.6f}"


def moment(at: datetime) -> str:
    """Return a time in UTC to the microsecond."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
