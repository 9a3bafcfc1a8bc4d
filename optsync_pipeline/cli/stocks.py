"""`optsync stocks`: which stocks are synced. A stock is a row of `stocks` and a partition of Dagster's."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import Column, moment, number, print_json, print_rows


@group("stocks", examples="optsync stocks add AAPL MSFT BRK.B\noptsync stocks list")
def stocks() -> None:
    """Choose which stocks are synced."""


@command(
    "import",
    examples="""
    optsync stocks import sp500
    optsync stocks import us_equities.csv
    curl -s https://example.com/list.csv | optsync stocks import -
    """,
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@pass_app
def import_file(app: App, file: str) -> None:
    """Add the stocks of a CSV file or of a built-in list.

    FILE: a path, `-` for standard input, or `sp500`, the built-in list of the S&P 500; a file of that name is given as
    ./sp500. The columns are those of the Nasdaq screener (symbol, name, sector, industry, market_cap) or of the S&P
    list (Symbol, Security, GICS Sector, GICS Sub-Industry); others are ignored. All stocks are imported, or none.
    Stocks that were set inactive for want of options stay so: `optsync stocks add` brings them back.
    """
    from optsync_pipeline.cli.stock_lists import built_in_list, read_stock_list

    name = "standard input" if file == "-" else Path(file).name
    content = built_in_list(file)
    listed = read_stock_list(read_file(Path(file), "a CSV file") if content is None else content, name)
    rows = [stock._asdict() for stock in listed.stocks]
    added, known = put_in(app, rows, bring_back_retired=False)
    click.echo(f"{name}: {count(added, 'stock')} added, {known} there before")
    _say_inactive(app, [row["symbol"] for row in rows])
    if listed.repeated:
        click.echo(f"{count(listed.repeated, 'line')} named a stock again and changed nothing")
    if listed.preferred:
        click.echo(f"{count(listed.preferred, 'line')} left out: preferred shares, which have no listed options")


def _say_inactive(app: App, symbols: Sequence[str]) -> None:
    from optsync_pipeline.storage.stocks import active_symbols

    with app.open_database() as database:
        inactive = len(set(symbols) - set(active_symbols(database)))
    if inactive:
        click.echo(
            f"{count(inactive, 'stock')} {'stays' if inactive == 1 else 'stay'} inactive, being delisted or without "
            "options: `optsync stocks list --inactive`"
        )


@command("add", examples="optsync stocks add AAPL\noptsync stocks add AAPL MSFT brk-b")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@pass_app
def add(app: App, symbols: tuple[str, ...]) -> None:
    """Add stocks by symbol; class shares as BRK.B.

    Any number, in any case, BRK.B also as BRK-B or BRK/B. Needs no network: whether a stock exists, the next sync
    finds out.
    """
    wanted = normalised(symbols)
    added, known = put_in(app, [{"symbol": symbol} for symbol in wanted])
    click.echo(f"{count(added, 'stock')} added, {known} there before: {', '.join(wanted)}")


@command("remove", examples="optsync stocks remove GME\noptsync stocks remove GME BRK.A")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@pass_app
def remove(app: App, symbols: tuple[str, ...]) -> None:
    """Take stocks out of future syncs; their history stays."""
    from optsync_pipeline.partitions import DIMENSION
    from optsync_pipeline.storage.stocks import active_symbols, deactivate

    wanted = normalised(symbols)
    with app.open_database() as database:
        unknown = sorted(set(wanted) - set(active_symbols(database)))
        if unknown:
            raise CommandError(f"not among the stocks: {', '.join(unknown)}; `optsync stocks list` shows them")
        with app.open_instance() as instance:
            removed = deactivate(database, wanted, datetime.now(UTC))
            for symbol in removed:
                instance.delete_dynamic_partition(DIMENSION, symbol)
    click.echo(f"{count(len(removed), 'stock')} removed: {', '.join(removed)}; what was synced of them stays")


@command("list", examples="optsync stocks list\noptsync stocks list --inactive\noptsync stocks list --all --json")
@click.option("--all", "everything", is_flag=True, help="Those that are not synced any more too.")
@click.option("--inactive", is_flag=True, help="Only those that are not synced any more: why, and since when.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def list_command(app: App, everything: bool, inactive: bool, as_json: bool) -> None:
    """List the stocks with their last quote, the largest first.

    A stock is set inactive when it is removed, when no vendor finds options of it for 30 days, or when it is said to be
    delisted twice, at least 7 days apart. `optsync stocks add` brings it back.
    """
    from optsync_pipeline.storage.stocks import list_stocks

    if everything and inactive:
        raise click.UsageError("give --all or --inactive: --all holds the inactive ones")
    with app.open_database() as database:
        rows = [row for row in list_stocks(database) if everything or row["is_active"] != inactive]
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(_INACTIVE if inactive else _COLUMNS if not everything else (*_COLUMNS, _SYNCED), rows)
    elif inactive:
        click.echo("every stock is synced: none is inactive", err=True)
    else:
        click.echo(
            "no stocks yet: `optsync stocks import sp500`, a file of yours, or `optsync stocks add AAPL`", err=True
        )


for part in (import_file, add, remove, list_command):
    stocks.add_command(part)


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


_COLUMNS = (
    Column("symbol", "symbol"),
    Column("company_name", "company", optional=True),
    Column("sector", "sector", optional=True),
    Column("market_cap", "market cap $", number(0), right=True),
    Column("has_options", "options", _yes_no),
    Column("current_price", "price $", number(2), right=True),
    Column("quoted_at", "quoted at", moment),
    Column("data_provider", "provider", optional=True),
)
_SYNCED = Column("is_active", "synced", _yes_no)
_INACTIVE = (
    Column("symbol", "symbol"),
    Column("company_name", "company", optional=True),
    Column("inactive_reason", "why"),
    Column("inactive_since", "since", moment),
    Column("quoted_at", "quoted at", moment, optional=True),
)


def read_file(file: Path, wanted: str) -> bytes:
    """Return what is in a file, or in standard input (`-`). wanted: what to give, for the error."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandError(
            f"{file} cannot be read ({error.strerror}): give {wanted}, or - for standard input"
        ) from None


def normalised(symbols: Sequence[str]) -> list[str]:
    """Return the stocks that a person named, each once. Raises CommandError naming what is none."""
    from optsync_pipeline.symbols import normalise_symbol

    try:
        return list(dict.fromkeys(normalise_symbol(symbol) for symbol in symbols))
    except ValueError as error:
        raise CommandError(f"{error}; nothing was changed") from None


def put_in(app: App, rows: Sequence[Mapping[str, Any]], *, bring_back_retired: bool = True) -> tuple[int, int]:
    """Make rows and partitions of stocks; return how many are new, and how many were there before.

    bring_back_retired: those that left for want of options too.
    """
    from optsync_pipeline.local_runs import add_partitions
    from optsync_pipeline.storage.stocks import active_symbols, upsert_stocks

    # Both are opened first: where one of them is down, neither is changed.
    with app.open_database() as database, app.open_instance() as instance:
        counts = upsert_stocks(database, rows, bring_back_retired=bring_back_retired)
        active = set(active_symbols(database))
        add_partitions(instance, [row["symbol"] for row in rows if row["symbol"] in active])
    return counts


def count(number_of: int, noun: str) -> str:
    """Write how many: 1 stock, 1,205 stocks."""
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
