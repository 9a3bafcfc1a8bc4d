"""Tests of several real processes on a machine that others may load: a failure counts when it comes twice.

pytest names each that was run again; one that is named often is to be mended.
"""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))
