"""The serialised contracts of an expiration, with what a reader may filter by: for vendors who serve them in pages."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optsync_pipeline.sandbox.model import FloatArray
from optsync_pipeline.sandbox.replies import ByteCache

MOMENT = "@moment"
"""Stands in a serialised row for when the quote was made, which changes while the rest of a row stays."""


@dataclass(frozen=True, slots=True)
class ContractRows:
    """Serialised contracts in their chain's order. strike: dollars a share, NaN where none is known."""

    is_put: NDArray[np.bool_]
    strike: FloatArray
    rows: tuple[bytes, ...]


def cached_rows(cache: ByteCache, key: Hashable, make: Callable[[], ContractRows]) -> ContractRows:
    """Return the rows under `key`, made first where they are not there."""

    def parts() -> tuple[bytes, ...]:
        made = make()
        return (made.is_put.tobytes(), made.strike.tobytes(), *made.rows)

    is_put, strike, *rows = cache.get_or_make(key, parts)
    return ContractRows(np.frombuffer(is_put, np.bool_), np.frombuffer(strike, np.float64), tuple(rows))


def at_moment(body: bytes, moment: bytes) -> bytes:
    """Return the serialised body with the moment, as JSON, in its places."""
    return body.replace(b'"' + MOMENT.encode() + b'"', moment)
