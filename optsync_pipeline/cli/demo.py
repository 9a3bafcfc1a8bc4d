"""`optsync demo`: the whole tour on a sandbox market, in a home of its own, leaving nothing running.

Its home is HOME/demo with an embedded database, whatever the settings say: invented quotes never get among real ones.
"""

import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli import processes
from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.rankings import print_rankings
from optsync_pipeline.cli.stocks import put_in
from optsync_pipeline.cli.sync import run_here, tell_ending

if TYPE_CHECKING:
    from optsync_pipeline.sandbox.running import Sandbox

MARK = "SANDBOX DATA, not a real market | "
ROWS_SHOWN = 10


@command("demo", examples="optsync demo\noptsync demo --symbols 400")
@click.option("--symbols", type=click.IntRange(1, 5000), default=240, show_default=True, help="How many stocks.")
@pass_app
def demo(app: App, symbols: int) -> int:
    """Sync and rank a sandbox market, from nothing.

    It has its own database in HOME/demo, apart from yours, and leaves nothing running.
    """
    from optsync_pipeline.sandbox.running import sandbox_process

    home = app.settings.home / "demo"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(processes.held_lock(home / "demo.lock"))
        except BlockingIOError:
            raise CommandError(f"a demo is already running on {home}: wait for it") from None
        click.echo("Starting a sandbox market: its prices are invented, nothing here can be traded on.")
        sandbox = stack.enter_context(sandbox_process(symbols=symbols))
        demo_app = _demo_app(home, sandbox)
        stack.callback(_stop_database, demo_app, home)
        return _tour(app, demo_app, sandbox)


def _demo_app(home: Path, sandbox: "Sandbox") -> App:
    from optsync_pipeline.settings import PREFIX, load_settings

    # With limits of its own: the vendors' would only slow the tour down.
    pointing: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in sandbox.environment.items()}
    settings = load_settings(home=home, database_url=None, dagster_database_url=None, **pointing)
    return App(settings=settings)


def _stop_database(demo_app: App, home: Path) -> None:
    note = processes.read_note(home / "up.json")
    if note is None or not note.living():  # somebody looks at the demo's data in the web UI
        demo_app.embedded.stop()


def _tour(app: App, demo_app: App, sandbox: "Sandbox") -> int:
    from optsync_pipeline.cli.stock_lists import read_stock_list
    from optsync_pipeline.resources import SyncConfig
    from optsync_pipeline.storage.rankings import read_rankings

    click.echo("Starting PostgreSQL and importing the market's stocks.")
    listed = read_stock_list(sandbox.symbols_csv(), "the sandbox's list")
    put_in(demo_app, [stock._asdict() for stock in listed.stocks])
    symbols = [stock.symbol for stock in listed.stocks]
    click.echo(f"Syncing {len(symbols):,} stocks: price, option chain, premiums.")
    exit_code, _ = tell_ending(demo_app, run_here(demo_app, SyncConfig(symbols=symbols, sync_type="all")))
    with demo_app.open_database() as database:
        rows = read_rankings(database, limit=ROWS_SHOWN)
    click.echo("")
    print_rankings(rows, datetime.now(UTC), mark=MARK)
    _say_what_next(app, demo_app)
    return exit_code


def _say_what_next(app: App, demo_app: App) -> None:
    from optsync_pipeline.cli.dagster_home import programs_folder
    from optsync_pipeline.settings import PROJECT_ROOT

    program = programs_folder() / "optsync"
    near = program.is_relative_to(PROJECT_ROOT)
    name = "optsync" if shutil.which("optsync") else str(program.relative_to(PROJECT_ROOT) if near else program)
    providers = ", ".join(app.settings.usable_providers) or "none yet: set OPTSYNC_PROVIDERS"
    click.echo(
        f"""\
That was sandbox data in {demo_app.settings.home}; yours stays apart from it. Next, with real quotes ({providers}):

  {name} stocks add AAPL MSFT NVDA     your stocks; or `{name} stocks import FILE.csv`
  {name} sync --all                    fetch, price and rank them
  {name} rankings
  {name} up                            web UI and the daily sync, at http://127.0.0.1:{app.settings.webserver_port}
  {name} doctor                        when something is wrong

Nothing was left running. Option prices are not advice: check a quote at your broker before you sell."""
    )
