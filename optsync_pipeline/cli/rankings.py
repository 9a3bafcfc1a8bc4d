"""`optsync rankings`: the best contract of each symbol, and how old that knowledge is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.files import STDOUT, require_free, write_csv
from optsync_pipeline.cli.output import Column, age, moment, number, print_json, print_rows

# Known to options.ranking, which takes numpy to import: --help need not.
STRATEGIES = ("cash_secured_put", "covered_call")
CSV_COLUMNS = (
    "strategy", "rank", "symbol", "company_name", "contract_symbol", "option_type", "expiration_date", "dte",
    "strike_price", "underlying_price", "bid", "ask", "premium", "collateral", "break_even", "monthly_return",
    "annual_return", "delta", "implied_volatility", "probability_of_profit", "spread_pct", "open_interest", "quoted_at",
    "data_provider", "ranked_at",
)  # fmt: skip
TITLES = {"cash_secured_put": "Cash-secured puts", "covered_call": "Covered calls"}


@command(
    "rankings",
    examples="""
    optsync rankings
    optsync rankings --strategy cash_secured_put --limit 50
    optsync rankings --watchlist wheel
    optsync rankings --json
    optsync rankings --limit 500 --csv rankings.csv
    """,
)
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Only this one.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many of each.")
@click.option("--watchlist", metavar="NAME", help="Only the stocks of a watchlist; ranks are those among all stocks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, allow_dash=True),
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE]",
    help="Write CSV, to standard output where no file is named.",
)
@click.option("--force", is_flag=True, help="Replace an existing CSV file.")
@pass_app
def rankings(
    app: App,
    strategy: str | None,
    limit: int,
    watchlist: str | None,
    as_json: bool,
    csv_file: Path | None,
    force: bool,
) -> None:
    """Show the best premiums: one contract a stock, by monthly return."""
    from optsync_pipeline.storage.rankings import read_rankings

    _require_one_form(as_json, csv_file, force)
    with app.open_database() as database:
        rows = read_rankings(database, strategy, limit, watchlist)  # type: ignore[arg-type]  # click checked it
    if csv_file is not None:
        write_csv(csv_file, CSV_COLUMNS, rows, force=force)
        if str(csv_file) != STDOUT:
            click.echo(f"{csv_file}: {len(rows):,} {'contract' if len(rows) == 1 else 'contracts'}")
    elif as_json:
        print_json(rows)
    elif rows:
        print_rankings(rows, datetime.now(UTC), only=strategy)
    elif watchlist is not None:
        click.echo(f"no stock of watchlist {watchlist!r} is ranked; `optsync rankings` shows all that are", err=True)
    else:
        click.echo("nothing is ranked yet: `optsync sync --all` ranks at its end", err=True)


def _require_one_form(as_json: bool, csv_file: Path | None, force: bool) -> None:
    if as_json and csv_file is not None:
        raise CommandError("--json and --csv are two forms of the same: give one of them")
    if force and (csv_file is None or str(csv_file) == STDOUT):
        raise CommandError("--force replaces an existing CSV file: name it with --csv FILE")
    if csv_file is not None and str(csv_file) != STDOUT:
        require_free(csv_file, force=force)


def print_rankings(
    rows: Sequence[Mapping[str, Any]], now: datetime, *, only: str | None = None, mark: str = ""
) -> None:
    """Print each strategy's ranking with its age. mark: what stands above each table, for data that is not real."""
    for strategy in STRATEGIES if only is None else (only,):
        ranked = [row for row in rows if row["strategy"] == strategy]
        if not ranked:
            click.echo(f"{TITLES[strategy]}: no contract meets the limits (OPTSYNC_MIN_ABS_DELTA and those beside it)")
            continue
        print_rows(_COLUMNS, ranked, title=f"{mark}{TITLES[strategy]}, {_freshness(ranked, now)}")
        click.echo("")


def _freshness(ranked: Sequence[Mapping[str, Any]], now: datetime) -> str:
    from optsync_pipeline.calendar import latest_session

    ranked_at = ranked[0]["ranked_at"]
    oldest = min(row["quoted_at"] for row in ranked)
    told = f"ranked {moment(ranked_at)} ({age(now - ranked_at)}), quotes from {moment(oldest)} on"
    if ranked_at < latest_session(now).open:
        return f"{told}: STALE, from before the latest session's open; `optsync sync --all` renews it"
    return told


_COLUMNS = (
    Column("rank", "#", right=True),
    Column("symbol", "symbol"),
    Column("expiration_date", "expires"),
    Column("dte", "days", right=True, optional=True),
    Column("strike_price", "strike $", number(2), right=True),
    Column("underlying_price", "price $", number(2), right=True),
    Column("bid", "bid $", number(2), right=True),
    Column("premium", "premium $", number(0), right=True, optional=True),
    Column("monthly_return", "month %", number(2), right=True),
    Column("annual_return", "year %", number(1), right=True, optional=True),
    Column("delta", "delta", number(2), right=True),
    Column("implied_volatility", "IV", number(2), right=True, optional=True),
    Column("probability_of_profit", "P(profit)", number(2), right=True),
    Column("spread_pct", "spread %", number(1), right=True, optional=True),
    Column("open_interest", "open int.", number(0), right=True, optional=True),
)
