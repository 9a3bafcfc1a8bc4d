"""`optsync export`: what became of each symbol of a sync, as a file for a spreadsheet or a notebook.

How files are written, and that none is lost, is files.py's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.files import STDOUT, require_free, write_csv, write_file

if TYPE_CHECKING:
    import pyarrow

CSV, PARQUET = ".csv", ".parquet"

COLUMNS = (
    "job_id", "symbol", "status", "error_type", "error_message", "data_provider", "started_at", "completed_at",
    "duration_ms", "current_price", "quoted_at", "expirations", "options_fetched", "options_inserted",
    "options_rejected", "premiums_inserted", "requests", "retry_count", "strikes", "chain_doubt", "chain_note",
    "price_doubt", "price_note", "attempts",
)  # fmt: skip


@command(
    "export",
    examples="""
    optsync export 12 results.csv
    optsync export 12 results.parquet --watchlist wheel --force
    optsync export 12 -
    """,
)
@click.argument("job_id", type=click.IntRange(1))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--watchlist", metavar="NAME", help="Only the symbols of this watchlist.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@pass_app
def export(app: App, job_id: int, file: Path, watchlist: str | None, force: bool) -> None:
    """Write what became of each symbol of a sync to a file.

    CSV or Parquet, as FILE ends in .csv or .parquet; `-` is CSV to standard output. A line a symbol with every column
    of sync_stock_results: what was fetched, from whom, how long it took, and why it failed. `optsync status` lists the
    numbers of the syncs.
    """
    to_stdout = str(file) == STDOUT
    ending = CSV if to_stdout else _ending(file)
    if not to_stdout:
        require_free(file, force=force)
    rows = _read(app, job_id, watchlist)
    if ending == CSV:
        write_csv(file, COLUMNS, rows, force=force)
    else:
        write_file(file, _parquet(rows), force=force)
    if not to_stdout:
        click.echo(f"{file}: {len(rows):,} {'symbol' if len(rows) == 1 else 'symbols'} of job {job_id}")


def _ending(file: Path) -> str:
    ending = file.suffix.lower()
    if ending not in (CSV, PARQUET):
        raise CommandError(f"{file} ends in neither .csv nor .parquet: its ending says what it becomes; - is CSV too")
    return ending


def _read(app: App, job_id: int, watchlist: str | None) -> list[dict[str, Any]]:
    from optsync_pipeline.storage import sync_log
    from optsync_pipeline.storage.watchlists import symbols_of

    with app.open_database() as database:
        if sync_log.read_job(database, job_id) is None:
            raise CommandError(f"there is no job {job_id}: `optsync status` lists the latest")
        watched = None if watchlist is None else set(symbols_of(database, watchlist))
        rows = sync_log.read_results(database, job_id)
    if watched is None:
        return rows
    if absent := watched - {row["symbol"] for row in rows}:
        click.echo(f"not in job {job_id}, of watchlist {watchlist}: {', '.join(sorted(absent))}", err=True)
    return [row for row in rows if row["symbol"] in watched]


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {name: [row[name] for row in rows] for name in COLUMNS}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(names, schema=_schema()), buffer)
    return bytes(buffer.getvalue())


def _schema() -> "pyarrow.Schema":
    """Return the columns' types, so that a column without any value has its own too."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    attempt = pa.struct(
        [
            ("provider", pa.string()),
            ("error_type", pa.string()),
            ("message", pa.string()),
            ("requests", pa.int32()),
            ("duration_ms", pa.float64()),
        ]
    )
    types = {
        "job_id": pa.int32(),
        "started_at": moment,
        "completed_at": moment,
        "quoted_at": moment,
        "duration_ms": pa.float64(),
        "current_price": pa.float64(),
        "expirations": pa.list_(pa.date32()),
        "strikes": pa.list_(pa.int32()),
        "attempts": pa.list_(attempt),
    } | dict.fromkeys(
        ("options_fetched", "options_inserted", "options_rejected", "premiums_inserted", "requests", "retry_count"),
        pa.int32(),
    )
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
