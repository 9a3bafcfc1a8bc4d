"""Which providers are built from the settings."""

from pathlib import Path

import pytest

from optsync_pipeline.providers.build import ProviderSetupError, build_providers, require_bulk_quotes
from optsync_pipeline.providers.robinhood_ids import IdsInMemory
from optsync_pipeline.settings import load_settings

ACCOUNTS = {
    "robinhood_username": "wheel@example.com",
    "robinhood_password": "not-a-password",  # pragma: allowlist secret
    "polygon_api_key": "not-a-key",  # pragma: allowlist secret
}


def names(tmp_path: Path, providers: str, **accounts: str) -> list[str]:
    settings = load_settings(env_file=None, home=tmp_path, providers=providers, **accounts)
    built = build_providers(settings, IdsInMemory())
    for provider in built:
        provider.close()
    return [provider.name for provider in built]


@pytest.mark.parametrize("order", ["yahoo,cboe", "cboe,yahoo", "cboe", "polygon,cboe,robinhood,yahoo"])
def test_providers_are_built_in_the_order_of_the_settings(tmp_path: Path, order: str) -> None:
    assert names(tmp_path, order, **ACCOUNTS) == order.split(",")


def test_those_that_cannot_be_asked_are_left_out(tmp_path: Path) -> None:
    assert names(tmp_path, "robinhood,yahoo,polygon") == ["yahoo"]


def test_building_asks_nobody_and_writes_nothing(tmp_path: Path) -> None:
    names(tmp_path, "robinhood,polygon", **ACCOUNTS)
    assert list(tmp_path.iterdir()) == []


def test_prices_alone_take_one_who_gives_them(tmp_path: Path) -> None:
    settings = load_settings(env_file=None, home=tmp_path, providers="polygon,cboe", **ACCOUNTS)
    with pytest.raises(ProviderSetupError, match="prices alone cannot be had of polygon, cboe: add yahoo or robinhood"):
        require_bulk_quotes(build_providers(settings))
    settings = load_settings(env_file=None, home=tmp_path, providers="cboe,yahoo")
    require_bulk_quotes(build_providers(settings))


def test_where_none_is_left_the_error_names_each_and_why(tmp_path: Path) -> None:
    with pytest.raises(ProviderSetupError, match=r"robinhood has no credentials .*polygon has no credentials"):
        names(tmp_path, "robinhood,polygon")
