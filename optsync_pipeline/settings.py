"""Every setting of the project, read from the environment and `.env`; the only reader of either.

Names, defaults and meanings are told in docs/configuration.md and .env.example (a test holds the three together).
Secrets are `SecretStr`: they print as asterisks, and no error of this module repeats a value.
"""

import os
import re
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PREFIX = "OPTSYNC_"

ProviderName = Literal["robinhood", "yahoo", "polygon", "cboe"]
PROVIDER_NAMES: tuple[ProviderName, ...] = ("robinhood", "yahoo", "polygon", "cboe")

# Validated, and without effect until their feature is built. `optsync doctor` says so where one is set.
NO_EFFECT_YET: frozenset[str] = frozenset({"alert_urls"})

# What PostgreSQL, SQLAlchemy and we take apart in the same way: each special character of a part percent-encoded. In
# postgresql://user:S3cr/et@host/x others see a server "user" with the port "S3cr", and tell it in their errors.
_ENCODED = "%(?!00)[0-9A-Fa-f]{2}"
_PART = rf"(?:[^\s/@?#%:\[\]]|{_ENCODED})"
_SERVER = rf"(?:\[[0-9A-Fa-f:.]+\]|{_PART}+)?(?::\d{{1,5}})?"
_DATABASE_URL = re.compile(
    rf"(?:postgresql|postgres|postgresql\+psycopg2)://"
    rf"(?:{_PART}*(?::(?:{_PART}|:)*)?@)?{_SERVER}"
    rf"(?:/{_PART}*)?(?:\?(?:[^\s@?#%]|{_ENCODED})*)?"
)


class SettingsError(Exception):
    """A setting is unknown or has a bad value. The text names each one and says what it takes, never its value."""


class Settings(BaseSettings):
    """The settings of one process. Build with `load_settings()`; pass on, never re-read."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file_encoding="utf-8", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    dagster_database_url: SecretStr | None = None
    home: Path = PROJECT_ROOT / ".optsync"

    providers: Annotated[tuple[ProviderName, ...], NoDecode] = ("robinhood", "yahoo", "polygon")
    yahoo_url: str | None = None
    cboe_url: str | None = None
    robinhood_url: str | None = None
    polygon_url: str | None = None
    robinhood_username: str | None = None
    robinhood_password: SecretStr | None = None
    robinhood_mfa_secret: SecretStr | None = None
    polygon_api_key: SecretStr | None = None
    spillover: bool = True

    target_dtes: Annotated[tuple[int, ...], NoDecode] = (30,)
    price_fresh_minutes: int = Field(default=5, ge=0, le=390)
    chain_fresh_minutes: int = Field(default=60, ge=0, le=390)
    max_concurrent_fetches: int = Field(default=10, ge=1, le=100)
    chunk_symbols: int = Field(default=100, ge=1, le=1000)
    risk_free_rate: float = Field(default=0.04, ge=-0.05, le=0.5)
    daily_sync_time: time = time(16, 30)
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()

    min_abs_delta: float = Field(default=0.25, ge=0, le=1)
    max_abs_delta: float = Field(default=0.40, ge=0, le=1)
    max_spread_pct: float = Field(default=10.0, gt=0, le=200)
    min_open_interest: int = Field(default=100, ge=0)
    min_otm_pct: float = Field(default=0.0, ge=-100, le=100)

    webserver_port: int = Field(default=3000, ge=1, le=65535)
    metrics_port: int = Field(default=9464, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    yahoo_requests_per_minute: int = Field(default=30, ge=1)
    yahoo_requests_per_hour: int = Field(default=2000, ge=1)
    cboe_requests_per_minute: int = Field(default=60, ge=1)
    cboe_requests_per_hour: int = Field(default=3600, ge=1)
    robinhood_requests_per_minute: int = Field(default=100, ge=1)
    robinhood_requests_per_hour: int = Field(default=5000, ge=1)
    polygon_requests_per_minute: int = Field(default=5, ge=1)
    polygon_requests_per_hour: int = Field(default=300, ge=1)

    @field_validator("providers", "alert_urls", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("providers")
    @classmethod
    def _providers_named_once(cls, value: tuple[ProviderName, ...]) -> tuple[ProviderName, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError(f"name at least one provider, each once, of: {', '.join(PROVIDER_NAMES)}")
        return value

    @field_validator("target_dtes", mode="before")
    @classmethod
    def _dtes_in_range(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else list(value)
        dtes = [int(part) for part in parts if str(part).strip().isdigit()]
        if not dtes or len(dtes) != len(parts) or len(set(dtes)) != len(dtes) or not all(1 <= x <= 1100 for x in dtes):
            raise ValueError("give days to expiration from 1 to 1100, each once, like 30 or 30,45")
        return tuple(dtes)

    @field_validator("yahoo_url", "cboe_url", "robinhood_url", "polygon_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give the base URL of a stand-in, like http://127.0.0.1:9000/yahoo")
        return value.rstrip("/")

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _postgresql_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        scheme, _, rest = value.get_secret_value().partition("://")
        if scheme not in ("postgresql", "postgres", "postgresql+psycopg2") or not rest:
            raise ValueError("give a PostgreSQL URL, like postgresql://USER:PASSWORD@HOST:5432/optsync")
        if not is_database_url(value.get_secret_value()):
            raise ValueError(
                "percent-encode special characters in the password (/ is %2F, @ %40, % %25, # %23, ? %3F, a space %20)"
                " of postgresql://USER:PASSWORD@HOST:5432/optsync"
            )
        return SecretStr(f"postgresql://{rest}")

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return (PROJECT_ROOT / value.expanduser()).resolve()

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("daily_sync_time", mode="before")
    @classmethod
    def _clock_time(cls, value: Any) -> Any:
        if isinstance(value, str):
            hours, _, minutes = value.partition(":")
            if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
                raise ValueError("give a New York time as HH:MM, like 16:30")
            return time(int(hours), int(minutes))
        return value

    @model_validator(mode="after")
    def _delta_range(self) -> "Settings":
        if self.min_abs_delta > self.max_abs_delta:
            raise ValueError(f"{PREFIX}MIN_ABS_DELTA must not be above {PREFIX}MAX_ABS_DELTA")
        return self

    @property
    def dagster_home(self) -> Path:
        """The absolute folder that Dagster is to take as DAGSTER_HOME."""
        return self.home / "dagster"

    @property
    def uses_embedded_database(self) -> bool:
        """Whether this project's own PostgreSQL serves the data (no DATABASE_URL is set)."""
        return self.database_url is None

    @cached_property
    def usable_providers(self) -> tuple[ProviderName, ...]:
        """The providers in their order that have what they need."""
        return tuple(name for name in self.providers if self.why_left_out(name) is None)

    def limits_of(self, name: str) -> tuple[int, int]:
        """Return how many requests a provider may get in a minute and in an hour."""
        return getattr(self, f"{name}_requests_per_minute"), getattr(self, f"{name}_requests_per_hour")

    def why_left_out(self, name: ProviderName) -> str | None:
        """Say why a provider of the order is not asked, or None where it is."""
        if name == "robinhood" and not (self.robinhood_username and self.robinhood_password):
            return "has no credentials (OPTSYNC_ROBINHOOD_USERNAME and OPTSYNC_ROBINHOOD_PASSWORD)"
        if name == "polygon" and not self.polygon_api_key:
            return "has no credentials (OPTSYNC_POLYGON_API_KEY)"
        return None


def is_database_url(url: str) -> bool:
    """Whether a PostgreSQL URL can be taken apart in one way only, so that no part holds a piece of its password."""
    return _DATABASE_URL.fullmatch(url) is not None


def load_settings(env_file: Path | None = PROJECT_ROOT / ".env", **overrides: Any) -> Settings:
    """Read the settings; raise SettingsError naming every unknown or bad one. `overrides` win over the environment."""
    # pydantic-settings ignores unknown environment names; a misspelt one must not pass unseen.
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}: docs/configuration.md lists those that exist")
    try:
        return Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(line) for line in error.errors(include_input=False))) from None


def _describe(line: Any) -> str:
    name = str(line["loc"][0]) if line["loc"] else ""
    full_name = name.upper() if name.upper().startswith(PREFIX) else PREFIX + name.upper()
    if line["type"] == "extra_forbidden":
        return f"unknown setting {full_name}: docs/configuration.md lists those that exist"
    message = line["msg"].removeprefix("Value error, ")
    return f"{full_name}: {message}" if name else message
