"""Which providers a process asks, in which order: the settings' say, made into objects."""

from optsync_pipeline.providers.base import Provider
from optsync_pipeline.settings import ProviderName, Settings


class ProviderSetupError(Exception):
    """None of the configured providers can be asked. The text says of each why."""


def build_providers(settings: Settings) -> tuple[Provider, ...]:
    """Build the usable providers in the order of the settings; raise ProviderSetupError where there is none."""
    if not settings.usable_providers:
        reasons = "; ".join(f"{name} {settings.why_left_out(name)}" for name in settings.providers)
        raise ProviderSetupError(f"no provider to ask: {reasons}. OPTSYNC_PROVIDERS=yahoo needs no account")
    return tuple(_build(name, settings) for name in settings.usable_providers)


def _build(name: ProviderName, settings: Settings) -> Provider:
    # Imported when built: yfinance takes a second, and is not needed to ask Cboe.
    if name == "yahoo":
        from optsync_pipeline.providers.yahoo import YahooProvider

        return YahooProvider(stand_in_url=settings.yahoo_url, cache_folder=settings.home / "yfinance")
    if name == "cboe":
        from optsync_pipeline.providers.cboe import CboeProvider

        return CboeProvider(stand_in_url=settings.cboe_url)
    raise ProviderSetupError(f"the provider {name} {settings.why_left_out(name)}")
