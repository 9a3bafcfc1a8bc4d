"""Which providers are built from the settings."""

from pathlib import Path

import pytest

from optsync_pipeline.providers.build import ProviderSetupError, build_providers
from optsync_pipeline.settings import load_settings


def names(tmp_path: Path, providers: str) -> list[str]:
    settings = load_settings(env_file=None, home=tmp_path, providers=providers)
    built = build_providers(settings)
    for provider in built:
        provider.close()
    return [provider.name for provider in built]


@pytest.mark.parametrize("order", ["yahoo,cboe", "cboe,yahoo", "cboe"])
def test_providers_are_built_in_the_order_of_the_settings(tmp_path: Path, order: str) -> None:
    assert names(tmp_path, order) == order.split(",")


def test_those_that_cannot_be_asked_are_left_out(tmp_path: Path) -> None:
    assert names(tmp_path, "robinhood,yahoo,polygon") == ["yahoo"]


def test_where_none_is_left_the_error_names_each_and_why(tmp_path: Path) -> None:
    with pytest.raises(ProviderSetupError, match=r"robinhood has no credentials .*polygon has no credentials"):
        names(tmp_path, "robinhood,polygon")
