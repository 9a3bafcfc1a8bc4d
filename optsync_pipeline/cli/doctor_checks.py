"""What `optsync doctor` looks at, one function a subject. Each yields findings; printing them is doctor.py's."""

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.output import span
from optsync_pipeline.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from optsync_pipeline.cli.app import App
    from optsync_pipeline.providers.base import Provider
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.provider_limits import ProviderLimits

Level = Literal["ok", "warn", "fail"]

SUPPORTED_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
KNOWN_SYMBOL = "AAPL"
LONGEST_WAIT_SECONDS = 5.0
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A subject and how it is; where it is not ok, how to mend it."""

    level: Level
    subject: str
    message: str
    mend: str | None = None


def check_versions(_app: "App") -> Iterator[Finding]:
    """Python, and the installed packages beside constraints.txt."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < SUPPORTED_PYTHON:
        yield Finding("fail", "python", f"{version} is too old", "install Python 3.11 or newer, then `make setup`")
    else:
        yield Finding("ok", "python", version)
    differing = [
        f"{name} {installed} instead of {pinned}"
        for name, pinned in _pins()
        if (installed := _installed(name)) not in (pinned, None)
    ]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        yield Finding("warn", "packages", ", ".join(differing[:SHOWN]) + more, "run `make setup`")
    else:
        yield Finding("ok", "packages", "as pinned in constraints.txt")


def check_settings(app: "App") -> Iterator[Finding]:
    """That they are sound, and which providers are left out."""
    settings = app.settings
    yield Finding("ok", "settings", "sound")
    for name in settings.providers:
        if reason := settings.why_left_out(name):
            yield Finding("warn", f"provider {name}", f"left out: it {reason}", "or name others in OPTSYNC_PROVIDERS")
    if not settings.usable_providers:
        yield Finding("fail", "providers", "nobody can be asked", "set OPTSYNC_PROVIDERS=yahoo")


def check_robinhood(app: "App") -> Iterator[Finding]:
    """Where Robinhood's token is kept, and whether there is one."""
    from optsync_pipeline.providers.robinhood_tokens import TokenFolder

    settings = app.settings
    if "robinhood" not in settings.usable_providers:
        return
    folder = TokenFolder(settings.token_home, settings.robinhood_username or "", stand_in_url=settings.robinhood_url)
    kept = "kept in" if folder.read_token() else "none yet; a login, of `optsync robinhood login` or a sync, puts it in"
    yield Finding("ok", "robinhood token", f"{kept} {folder.path}")


def check_home(app: "App") -> Iterator[Finding]:
    """The folder of all state: that it can be written, and has room."""
    home = app.settings.home
    home.mkdir(parents=True, exist_ok=True)
    probe = home / ".doctor"
    probe.write_text("")
    probe.unlink()
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE_BYTES:
        yield Finding(
            "warn", "home", f"{home} has {free / 1e9:.1f} GB left", "make room: a year of syncs takes some GB"
        )
    else:
        yield Finding("ok", "home", f"{home}, {free / 1e9:.0f} GB free")


def check_database(app: "App") -> Iterator[Finding]:
    """That the database answers, and has the tables of this version."""
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.migrations import pending

    settings = app.settings
    url = settings.database_url.get_secret_value() if settings.database_url else app.embedded.ensure_running()
    with closing(Database(url)) as database:
        missing = pending(database)
        row = database.fetch_one("SELECT current_setting('server_version') AS version") or {}
    kind = "embedded" if settings.uses_embedded_database else "OPTSYNC_DATABASE_URL"
    yield Finding("ok", "database", f"PostgreSQL {row.get('version')} at {database.address} ({kind})")
    if missing:
        names = ", ".join(migration.name for migration in missing)
        yield Finding("warn", "migrations", f"{len(missing)} to apply: {names}", "run `optsync db migrate`")
    else:
        yield Finding("ok", "migrations", "all applied")


def check_dagster(app: "App") -> Iterator[Finding]:
    """Dagster's home and instance, that the code location loads, and that each stock has its partition."""
    import dagster as dg

    from optsync_pipeline.definitions import build_definitions
    from optsync_pipeline.partitions import DIMENSION
    from optsync_pipeline.storage.stocks import active_symbols

    with app.open_instance() as instance, app.open_database() as database:
        keys = set(instance.get_dynamic_partitions(DIMENSION))
        active = active_symbols(database)
    yield Finding("ok", "dagster home", str(app.settings.dagster_home))
    without = len(set(active) - keys)
    if without:
        yield Finding(
            "warn", "partitions", f"{without} of {len(active)} stocks have none", "the next `optsync sync --all`"
        )
    else:
        yield Finding("ok", "partitions", f"{len(active)} stocks, each with its partition")
    dg.Definitions.validate_loadable(build_definitions(app.settings))
    yield Finding("ok", "code location", "optsync_pipeline.definitions loads")


def check_schedule(app: "App") -> Iterator[Finding]:
    """Whether the daily sync would run."""
    note = processes.read_note(app.settings.home / "up.json")
    at = f"{app.settings.daily_sync_time:%H:%M} New York"
    if note and note.living():
        yield Finding("ok", "schedule", f"`optsync up` runs at {note.url}; daily sync at {at}")
    else:
        yield Finding("warn", "schedule", "`optsync up` is not running: no daily sync", "run `optsync up`, or use cron")


def check_alerts(app: "App") -> Iterator[Finding]:
    """Whether Apprise understands the alert URLs; nothing is sent."""
    from optsync_pipeline.alerts import delivery

    urls = app.settings.alert_urls
    if not urls:
        yield Finding("ok", "alerts", "nobody is alerted: OPTSYNC_ALERT_URLS is empty")
    for name, is_good in zip(delivery.names_of(urls), delivery.understood(urls), strict=True):
        if is_good:
            yield Finding("ok", "alerts", f"URL {name}: understood; `optsync alerts test` tries it")
        else:
            yield Finding(
                "fail", "alerts", f"URL {name}: Apprise does not understand it", "see docs/operations.md for examples"
            )


def check_providers(app: "App") -> Iterator[Finding]:
    """One light request to each provider that a sync would ask, within the limits that all processes share."""
    from optsync_pipeline.providers.build import build_providers
    from optsync_pipeline.storage.provider_limits import ProviderLimits

    with app.open_database() as database, closing(ProviderLimits(database)) as limits:
        for provider in build_providers(app.settings) if app.settings.usable_providers else ():
            with closing(provider):
                yield _ask(app, provider, limits, _symbol_to_ask(database, provider.name))


def _ask(app: "App", provider: "Provider", limits: "ProviderLimits", symbol: str) -> Finding:
    """Ask a provider as a sync does, once; not at all where its limit or its breaker would make a person wait."""
    from optsync_pipeline.fetching.call_slots import CallSlots
    from optsync_pipeline.fetching.circuit_breaker import Standing
    from optsync_pipeline.fetching.router import Router
    from optsync_pipeline.providers.base import ChainRequest

    subject = f"provider {provider.name}"
    if reason := _why_not_now(app, provider.name, limits):
        return Finding("warn", subject, f"not asked: {reason}", "`optsync providers` tells more; later")
    router = Router(
        [provider],
        limits,
        stop=threading.Event(),
        call_slots=CallSlots(1),
        tries=1,
        standing=Standing(patience_seconds=0.0),
    )
    now = datetime.now(UTC)
    result = router.fetch(ChainRequest(symbol, app.settings.target_dtes, now))
    if result.reply is None:
        kind = result.error.error_type if result.error else "unknown"
        mend = f"check the network, OPTSYNC_{provider.name.upper()}_URL, and try again later"
        return Finding("fail", subject, f"{symbol}: {kind}: {result.error}", mend)
    age = (now - result.reply.quote.quoted_at).total_seconds() / 60
    return Finding("ok", subject, f"{symbol}: {len(result.reply.contracts)} contracts, quoted {age:,.0f} minutes ago")


def _why_not_now(app: "App", provider: str, limits: "ProviderLimits") -> str | None:
    state = next((state for state in limits.read() if state.provider == provider), None)
    if state is None:
        limits.declare(provider, *app.settings.limits_of(provider))
        return None
    if state.circuit_state != "closed":
        return f"it failed {state.consecutive_failures} times in a row and is left alone for a while"
    if state.paused_seconds > LONGEST_WAIT_SECONDS:
        return f"it answered 429 and is left alone for {span(state.paused_seconds)}"
    if state.next_token_seconds > LONGEST_WAIT_SECONDS:
        return f"its limit has no room for {span(state.next_token_seconds)}"
    return None


CHECKS: tuple[tuple[str, Callable[["App"], Iterator[Finding]]], ...] = (
    ("versions", check_versions),
    ("settings", check_settings),
    ("robinhood", check_robinhood),
    ("home", check_home),
    ("database", check_database),
    ("dagster", check_dagster),
    ("schedule", check_schedule),
    ("alerts", check_alerts),
    ("providers", check_providers),
)


def _pins() -> list[tuple[str, str]]:
    lines = (PROJECT_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [(name, pinned) for name, found, pinned in (line.partition("==") for line in lines) if found]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None  # pins of the tools for development: nothing is wrong without them


def _symbol_to_ask(database: "Database", provider: str) -> str:
    from optsync_pipeline.storage.stocks import known_good_symbol

    return known_good_symbol(database, provider, but="") or KNOWN_SYMBOL
