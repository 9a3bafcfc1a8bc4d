"""Which providers a process asks, in which order: the settings' say, made into objects."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optsync_pipeline.providers.base import BulkQuotes, Provider
from optsync_pipeline.settings import ProviderName, Settings

if TYPE_CHECKING:
    from optsync_pipeline.providers.robinhood_ids import ContractIds


class ProviderSetupError(Exception):
    """None of the configured providers can be asked, or none for what is wanted. The text says of each why."""


def build_providers(settings: Settings, robinhood_ids: "ContractIds | None" = None) -> tuple[Provider, ...]:
    """Build the usable providers in the order of the settings; raise ProviderSetupError where there is none.

    robinhood_ids: where Robinhood's ids of contracts are kept between runs; none: in memory.
    """
    if not settings.usable_providers:
        reasons = "; ".join(f"{name} {settings.why_left_out(name)}" for name in settings.providers)
        raise ProviderSetupError(f"no provider to ask: {reasons}. OPTSYNC_PROVIDERS=yahoo needs no account")
    return tuple(_build(name, settings, robinhood_ids) for name in settings.usable_providers)


def require_bulk_quotes(providers: Sequence[Provider]) -> None:
    """Raise ProviderSetupError where none of the providers gives prices alone."""
    if not any(isinstance(provider, BulkQuotes) for provider in providers):
        names = ", ".join(provider.name for provider in providers)
        raise ProviderSetupError(f"prices alone cannot be had of {names}: add yahoo or robinhood to OPTSYNC_PROVIDERS")


def _build(name: ProviderName, settings: Settings, robinhood_ids: "ContractIds | None") -> Provider:
    # Imported when built: yfinance takes a second, and is not needed to ask Cboe.
    if name == "yahoo":
        from optsync_pipeline.providers.yahoo import YahooProvider

        return YahooProvider(stand_in_url=settings.yahoo_url, cache_folder=settings.home / "yfinance")
    if name == "cboe":
        from optsync_pipeline.providers.cboe import CboeProvider

        return CboeProvider(stand_in_url=settings.cboe_url)
    if name == "polygon" and settings.polygon_api_key:
        from optsync_pipeline.providers.polygon import PolygonProvider

        return PolygonProvider(stand_in_url=settings.polygon_url, api_key=settings.polygon_api_key)
    if name == "robinhood" and settings.robinhood_username and settings.robinhood_password:
        from optsync_pipeline.providers.robinhood import RobinhoodProvider
        from optsync_pipeline.providers.robinhood_login import Credentials

        credentials = Credentials(
            settings.robinhood_username, settings.robinhood_password, settings.robinhood_mfa_secret
        )
        return RobinhoodProvider(
            credentials, home=settings.token_home, stand_in_url=settings.robinhood_url, ids=robinhood_ids
        )
    raise ProviderSetupError(f"the provider {name} {settings.why_left_out(name)}")
