"""How a sync is pointed at a sandbox: its addresses, and the settings that name them."""

from dataclasses import dataclass

from optsync_pipeline.sandbox.accounts import (
    POLYGON_API_KEY,
    ROBINHOOD_MFA_SECRET,
    ROBINHOOD_PASSWORD,
    ROBINHOOD_USERNAME,
)

# Far above what the sandbox answers: the limits that a sync keeps towards the real vendors would only slow it.
REQUESTS_PER_MINUTE, REQUESTS_PER_HOUR = 600_000, 36_000_000
CREDENTIALS: dict[str, dict[str, str]] = {
    "robinhood": {
        "OPTSYNC_ROBINHOOD_USERNAME": ROBINHOOD_USERNAME,
        "OPTSYNC_ROBINHOOD_PASSWORD": ROBINHOOD_PASSWORD,
        "OPTSYNC_ROBINHOOD_MFA_SECRET": ROBINHOOD_MFA_SECRET,
    },
    "polygon": {"OPTSYNC_POLYGON_API_KEY": POLYGON_API_KEY},
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a sandbox listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The root of everything the sandbox serves."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def yahoo_url(self) -> str:
        """What OPTSYNC_YAHOO_URL is to be."""
        return f"{self.url}/yahoo"

    @property
    def cboe_url(self) -> str:
        """What OPTSYNC_CBOE_URL is to be."""
        return f"{self.url}/cboe"

    @property
    def robinhood_url(self) -> str:
        """What OPTSYNC_ROBINHOOD_URL is to be."""
        return f"{self.url}/robinhood"

    @property
    def polygon_url(self) -> str:
        """What OPTSYNC_POLYGON_URL is to be."""
        return f"{self.url}/polygon"


def environment_of(address: Address, *providers: str) -> dict[str, str]:
    """Return the settings that point a sync at these providers of a sandbox, in this order."""
    found = {"OPTSYNC_PROVIDERS": ",".join(providers)}
    for provider in providers:
        name = f"OPTSYNC_{provider.upper()}"
        found[f"{name}_URL"] = f"{address.url}/{provider}"
        found[f"{name}_REQUESTS_PER_MINUTE"] = f"{REQUESTS_PER_MINUTE}"
        found[f"{name}_REQUESTS_PER_HOUR"] = f"{REQUESTS_PER_HOUR}"
        found.update(CREDENTIALS.get(provider, {}))
    return found
