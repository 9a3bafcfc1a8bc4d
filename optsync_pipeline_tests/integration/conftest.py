"""Tests of several real processes on a machine that others may load: a failure counts when it comes twice.

pytest names each that was run again; one that is named often is to be mended. Also what several of them begin with; the
sandbox market, and how large it is, is each file's own.
"""

from pathlib import Path

import pytest

from optsync_pipeline.sandbox.running import Sandbox
from optsync_pipeline.storage.database import Database
from optsync_pipeline.sync.engine import SyncEngine
from optsync_pipeline_tests.recovery import list_market, settings_for

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


@pytest.fixture
def symbols(sandbox: Sandbox, database: Database) -> list[str]:
    """The market's symbols, all of them stocks."""
    return list_market(database, sandbox)


@pytest.fixture
def engine(sandbox: Sandbox, database: Database, database_url: str) -> SyncEngine:
    """An engine that asks the sandbox's Yahoo and Cboe."""
    return SyncEngine(database, settings_for(sandbox, database_url))
