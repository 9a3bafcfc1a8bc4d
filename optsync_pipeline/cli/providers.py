"""`optsync providers`: limits, breaker and health of each vendor; changes them while syncs run."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import Column, print_json, print_rows
from optsync_pipeline.cli.provider_states import PROVIDER_COLUMNS, read_providers, table_rows

if TYPE_CHECKING:
    from optsync_pipeline.settings import ProviderName
    from optsync_pipeline.storage.provider_limits import ProviderLimits


@group(
    "providers",
    examples="""
    optsync providers
    optsync providers --json
    optsync providers set polygon --per-minute 100
    optsync providers reset yahoo
    """,
    invoke_without_command=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def providers(ctx: click.Context, as_json: bool) -> None:
    """Show the vendors' limits, what is left of them, breakers and errors.

    All processes on this database share them.
    """
    if ctx.invoked_subcommand is not None:
        return
    app = ctx.ensure_object(App)
    with app.open_database() as database:
        rows = read_providers(database, app.settings)
    if as_json:
        print_json(rows)
    else:
        print_rows((_ORDER, *PROVIDER_COLUMNS), table_rows(rows))


@command(
    "set",
    examples="""
    optsync providers set polygon --per-minute 100
    optsync providers set yahoo --per-minute 60 --per-hour 3000
    """,
)
@click.argument("name")
@click.option("--per-minute", type=click.IntRange(1), metavar="N", help="Requests in a minute, at most.")
@click.option("--per-hour", type=click.IntRange(1), metavar="N", help="Requests in an hour, at most.")
@pass_app
def set_limits(app: App, name: str, per_minute: int | None, per_hour: int | None) -> None:
    """Change a vendor's limits at once, for all processes.

    They hold until the next sync starts, which writes its settings; the setting keeps them.
    """
    if per_minute is None and per_hour is None:
        raise click.UsageError("say what to set: --per-minute N, --per-hour N, or both")
    with _limits_of(app, name) as (known, limits):
        limits.set_limits(known, per_minute=per_minute, per_hour=per_hour)
    changed = {"minute": per_minute, "hour": per_hour}
    told = " and ".join(f"{count:,} a {unit}" for unit, count in changed.items() if count is not None)
    settings = " and ".join(
        f"OPTSYNC_{known.upper()}_REQUESTS_PER_{unit.upper()}={count}"
        for unit, count in changed.items()
        if count is not None
    )
    click.echo(f"{known} gets at most {told} from now on, until the next sync starts; {settings} keeps it")


@command("reset", examples="optsync providers reset yahoo")
@click.argument("name")
@pass_app
def reset(app: App, name: str) -> None:
    """Forget a vendor's failures: breaker closed, no pause, full pace.

    Its limits and what it was asked within the hour stay.
    """
    with _limits_of(app, name) as (known, limits):
        limits.reset(known)
    click.echo(f"{known} may be asked again, at its full pace")


@contextmanager
def _limits_of(app: App, name: str) -> Iterator[tuple["ProviderName", "ProviderLimits"]]:
    """Give a provider's checked name and the limits, in which it has its row."""
    from optsync_pipeline.settings import PROVIDER_NAMES
    from optsync_pipeline.storage.provider_limits import ProviderLimits

    known = next((one for one in PROVIDER_NAMES if one == name.lower()), None)
    if known is None:
        raise CommandError(f"there is no provider {name}: there are {', '.join(PROVIDER_NAMES)}")
    with app.open_database() as database, closing(ProviderLimits(database)) as limits:
        if known not in {state.provider for state in limits.read()}:
            limits.declare(known, *app.settings.limits_of(known))
        yield known, limits


for part in (set_limits, reset):
    providers.add_command(part)

_ORDER = Column("order", "#", right=True)
