"""Fixtures that several test modules share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from optsync_pipeline.providers import yahoo_session
from optsync_pipeline.settings import PROJECT_ROOT
from optsync_pipeline_tests.postgres import (
    database,
    database_url,
    empty_database_url,
    open_folder,
    postgres_server,
)

__all__ = ["database", "database_url", "empty_database_url", "market_dir", "open_folder", "postgres_server"]


@pytest.fixture(scope="session")
def market_dir() -> Path:
    """The folder of real recorded market data, where it lies beside the checkout."""
    folder = PROJECT_ROOT.parent / "shared" / "market"
    if not folder.is_dir():
        pytest.skip("the recorded market data (../shared/market beside the checkout) is not here")
    return folder


@pytest.fixture(autouse=True)
def no_shared_access_to_yahoo() -> Iterator[None]:
    """Forget cookies and crumbs after each test: the next test's stand-in may get the port of one that is gone."""
    yield
    yahoo_session._shared.clear()
