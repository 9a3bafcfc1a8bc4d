"""`optsync watchlist`: lists of stocks that are synced first, made by hand or from TradingView's export."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import Column, moment, number, print_json, print_rows
from optsync_pipeline.cli.stocks import count, normalised, put_in, read_file

LONGEST_NAME = 60


def _is_name(text: str) -> bool:
    return text.isprintable() and 0 < len(text) <= LONGEST_NAME and text == text.strip()


def _read_name(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    if given is not None and not _is_name(given):
        raise click.BadParameter(f"a watchlist's name has 1 to {LONGEST_NAME} characters and no blank at its ends")
    return given


@group("watchlist", examples="optsync watchlist import wheel.txt\noptsync watchlist add wheel AAPL")
def watchlist() -> None:
    """Keep lists of stocks that are synced first."""


@command("create", examples="optsync watchlist create wheel")
@click.argument("name", callback=_read_name)
@pass_app
def create(app: App, name: str) -> None:
    """Make an empty watchlist."""
    from optsync_pipeline.storage.watchlists import create_watchlist

    with app.open_database() as database:
        create_watchlist(database, name, datetime.now(UTC))
    click.echo(f"watchlist {name!r} is made; `optsync watchlist add {name} SYMBOL` puts stocks on it")


@command("add", examples="optsync watchlist add wheel AAPL\noptsync watchlist add wheel AAPL MSFT brk-b")
@click.argument("name")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@pass_app
def add(app: App, name: str, symbols: tuple[str, ...]) -> None:
    """Put stocks on a watchlist.

    Those that are not among the stocks yet, or not any more, are added to them.
    """
    from optsync_pipeline.storage.watchlists import MANUAL, put_on, require_watchlist

    wanted = normalised(symbols)
    with app.open_database() as database:
        require_watchlist(database, name)
        new = _add_to_stocks(app, wanted)
        added = put_on(database, name, dict.fromkeys(wanted, MANUAL), datetime.now(UTC))
    click.echo(f"watchlist {name!r}: {count(added, 'stock')} added, {len(wanted) - added} on it before{new}")


@command("remove", examples="optsync watchlist remove wheel GME\noptsync watchlist remove wheel")
@click.argument("name")
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@pass_app
def remove(app: App, name: str, symbols: tuple[str, ...]) -> None:
    """Take stocks off a watchlist; without symbols, delete it.

    The stocks stay among those that are synced.
    """
    from optsync_pipeline.storage.watchlists import delete_watchlist, list_members, take_off

    wanted = normalised(symbols)
    with app.open_database() as database:
        if not wanted:
            delete_watchlist(database, name)
            click.echo(f"watchlist {name!r} is deleted; its stocks are synced as before")
            return
        missing = sorted(set(wanted) - {row["symbol"] for row in list_members(database, name)})
        if missing:
            raise CommandError(
                f"not on watchlist {name!r}: {', '.join(missing)}; `optsync watchlist list {name}` shows what is"
            )
        removed = take_off(database, name, wanted, datetime.now(UTC))
    click.echo(f"watchlist {name!r}: {count(len(removed), 'stock')} removed: {', '.join(removed)}")


@command("list", examples="optsync watchlist list\noptsync watchlist list wheel --json")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def list_command(app: App, name: str | None, as_json: bool) -> None:
    """List the watchlists, or the stocks of one with their last quote."""
    from optsync_pipeline.storage.watchlists import list_members, list_watchlists

    with app.open_database() as database:
        rows = list_watchlists(database) if name is None else list_members(database, name)
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(_LISTS if name is None else _MEMBERS, rows)
    elif name is None:
        click.echo("no watchlists yet: `optsync watchlist create NAME` or `optsync watchlist import FILE`", err=True)
    else:
        click.echo(f"no stocks on it yet: `optsync watchlist add {name} SYMBOL`", err=True)


@command(
    "import",
    examples="optsync watchlist import wheel.txt\noptsync watchlist import ~/Downloads/export.txt --name wheel",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--name", callback=_read_name, help="The watchlist's name.  [default: the file's, without its ending]")
@pass_app
def import_file(app: App, file: Path, name: str | None) -> None:
    """Take over a watchlist that TradingView exported.

    Unknown stocks are added to those that are synced; futures, currencies, crypto and indices are named and left out.
    Importing again makes the list what the file says; stocks that were put on it by hand stay.
    """
    from optsync_pipeline.cli.tradingview import read_export
    from optsync_pipeline.storage.watchlists import replace_imported

    shown = "standard input" if str(file) == "-" else file.name
    name = name or _name_of(file)
    exported = read_export(read_file(file, "the text file that TradingView exports"), shown)
    sources = {symbol: f"{shown}, {section}" if section else shown for symbol, section in exported.stocks.items()}
    with app.open_database() as database:
        new = _add_to_stocks(app, list(sources))
        added, removed = replace_imported(database, name, sources, datetime.now(UTC), source=shown)
    click.echo(
        f"watchlist {name!r}: {count(added, 'stock')} added, {removed} removed,"
        f" {len(sources) - added} on it before{new}"
    )
    for left_out in exported.left_out:
        click.echo(f"left out   {left_out.entry}: {left_out.reason}")


for part in (create, add, remove, list_command, import_file):
    watchlist.add_command(part)


def _name_of(file: Path) -> str:
    if str(file) == "-":
        raise click.UsageError("standard input has no name: give the watchlist's with --name")
    if not _is_name(file.stem):
        raise click.UsageError(f"{file.stem!r} cannot be a watchlist's name: give one with --name")
    return file.stem


def _add_to_stocks(app: App, symbols: Sequence[str]) -> str:
    """Add what is not synced to the stocks; return what to say of that."""
    from optsync_pipeline.storage.stocks import active_symbols

    with app.open_database() as database:
        active = set(active_symbols(database))
    unknown = [symbol for symbol in symbols if symbol not in active]
    if not unknown:
        return ""
    put_in(app, [{"symbol": symbol} for symbol in unknown])
    return f"; {len(unknown):,} of them new among the stocks that are synced"


def _synced(row_value: bool) -> str:
    return "yes" if row_value else "no"


_LISTS = (
    Column("name", "watchlist"),
    Column("symbols", "stocks", number(0), right=True),
    Column("source", "from", optional=True),
    Column("updated_at", "changed at", moment),
)
_MEMBERS = (
    Column("symbol", "symbol"),
    Column("company_name", "company", optional=True),
    Column("is_active", "synced", _synced),
    Column("current_price", "price $", number(2), right=True),
    Column("quoted_at", "quoted at", moment),
    Column("source", "from", optional=True),
)
