"""Limits of providers for tests: none that would be felt, unless a test is about them."""

from collections.abc import Iterator

import pytest

from optsync_pipeline.settings import PREFIX, PROVIDER_NAMES
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits

PER_MINUTE, PER_HOUR = 600_000, 36_000_000

UNLIMITED: dict[str, int] = {
    f"{name}_requests_per_{unit}": limit
    for name in PROVIDER_NAMES
    for unit, limit in (("minute", PER_MINUTE), ("hour", PER_HOUR))
}
"""Settings without a limit that a test would feel."""

UNLIMITED_ENVIRONMENT: dict[str, str] = {PREFIX + name.upper(): str(limit) for name, limit in UNLIMITED.items()}


@pytest.fixture
def limits(database: Database) -> Iterator[ProviderLimits]:
    """The shared limits of a fresh database, declared so high that nobody waits."""
    opened = ProviderLimits(database)
    for name in (*PROVIDER_NAMES, "slow", "greedy", "broken"):
        opened.declare(name, PER_MINUTE, PER_HOUR)
    yield opened
    opened.close()
