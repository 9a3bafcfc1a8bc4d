"""`optsync export`: every column of every symbol, as CSV or Parquet, and no file lost on the way."""

import csv
import io
import json
import os
import resource
import signal
import stat
import subprocess
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.stocks import upsert_stocks
from optsync_pipeline.storage.watchlists import create_watchlist, put_on
from optsync_pipeline_tests.chunks import EXPIRATION, NOW, make_chunk, open_job
from optsync_pipeline_tests.commands import PROGRAM, Run, run, settings_of_test

__all__ = ["run", "settings_of_test"]

pytestmark = pytest.mark.usefixtures("settings_of_test")

BROKEN_PIPE = 128 + signal.SIGPIPE


@pytest.fixture
def job_id(database: Database) -> int:
    """A job: AAPL is done, MSFT failed with an awkward message, NVDA was never asked."""
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"])
    chunk = make_chunk(job_id, ["AAPL"], price=1234.5)
    chunk.results[0]["expirations"] = [EXPIRATION, EXPIRATION + timedelta(days=28)]
    chunk.results.append(
        {
            **chunk.results[0],
            "symbol": "MSFT",
            "status": "failed",
            "error_type": "api_timeout",
            "error_message": 'said "late",\nthen nothing – é',
            "expirations": None,
            "current_price": None,
            "data_provider": None,
        }
    )
    write_chunk(database, chunk)
    return job_id


def read_csv(text: str) -> dict[str, dict[str, str]]:
    return {row["symbol"]: row for row in csv.DictReader(io.StringIO(text))}


def test_csv_has_every_column_of_every_symbol(run: Run, job_id: int, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "results.CSV"
    ended = run("export", str(job_id), str(file))
    assert (ended.exit_code, ended.out) == (0, f"{file}: 3 symbols of job {job_id}\n")
    rows = read_csv(file.read_bytes().decode())
    assert list(rows) == ["AAPL", "MSFT", "NVDA"]
    columns = database.fetch_all(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'sync_stock_results'"
    )
    assert sorted(rows["AAPL"]) == sorted(column["column_name"] for column in columns)
    assert rows["AAPL"]["current_price"] == "1234.5"
    assert rows["AAPL"]["expirations"] == "2026-08-21 2026-09-18"
    assert datetime.fromisoformat(rows["AAPL"]["completed_at"]) == NOW
    (attempt,) = json.loads(rows["AAPL"]["attempts"])
    assert attempt["provider"] == "yahoo"
    assert rows["MSFT"]["error_message"] == 'said "late",\nthen nothing – é'
    assert rows["MSFT"]["current_price"] == ""
    assert (rows["NVDA"]["status"], rows["NVDA"]["attempts"]) == ("pending", "[]")


def test_parquet_keeps_the_types(run: Run, job_id: int, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    assert run("export", str(job_id), str(file)).exit_code == 0
    table = pq.read_table(file)
    assert table.schema.field("completed_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("expirations").type.value_type == pa.date32()
    assert table.schema.field("options_fetched").type == pa.int32()
    aapl, msft, nvda = table.to_pylist()
    (stored,) = database.fetch_all("SELECT * FROM sync_stock_results WHERE symbol = 'AAPL'")
    assert aapl == stored
    assert (msft["error_type"], msft["expirations"]) == ("api_timeout", None)
    assert (nvda["status"], nvda["completed_at"], nvda["attempts"]) == ("pending", None, [])


def test_parquet_of_a_job_without_any_value_has_the_same_types(run: Run, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    assert run("export", str(open_job(database, ["AAPL"])), str(file)).exit_code == 0
    schema = pq.read_schema(file)
    assert (schema.field("current_price").type, schema.field("error_type").type) == (pa.float64(), pa.string())


def test_a_dash_is_csv_on_standard_output_and_nothing_else(run: Run, job_id: int, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    run("export", str(job_id), str(file))
    ended = run("export", str(job_id), "-")
    assert (ended.exit_code, ended.err) == (0, "")
    assert ended.out == file.read_text()


def test_of_a_watchlist_only_its_symbols_are_written(run: Run, job_id: int, database: Database) -> None:
    upsert_stocks(database, [{"symbol": "KO"}])
    create_watchlist(database, "wheel", NOW)
    put_on(database, "wheel", {"AAPL": "manual", "KO": "manual"}, NOW)
    ended = run("export", str(job_id), "-", "--watchlist", "wheel")
    assert list(read_csv(ended.out)) == ["AAPL"]
    assert ended.err == f"not in job {job_id}, of watchlist wheel: KO\n"
    unknown = run("export", str(job_id), "-", "--watchlist", "wheels")
    assert (unknown.exit_code, unknown.out) == (2, "")
    assert "there is no watchlist 'wheels'; there are: wheel" in unknown.err


def test_an_existing_file_asks_for_force_and_is_not_touched(run: Run, job_id: int, tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("mine")
    ended = run("export", str(job_id), str(file))
    assert ended.exit_code == 2
    assert "exists and was left as it is" in ended.err
    assert "--force" in ended.err
    assert file.read_text() == "mine"
    assert run("export", str(job_id), str(file), "--force").exit_code == 0
    assert len(read_csv(file.read_text())) == 3
    assert list(tmp_path.iterdir()) == [file]


def test_force_writes_where_a_link_leads(run: Run, job_id: int, tmp_path: Path) -> None:
    file, link = tmp_path / "real.csv", tmp_path / "link.csv"
    file.write_text("mine")
    link.symlink_to(file)
    assert run("export", str(job_id), str(link), "--force").exit_code == 0
    assert link.is_symlink()
    assert len(read_csv(file.read_text())) == 3


def test_what_is_no_ordinary_file_is_never_replaced(run: Run, job_id: int, tmp_path: Path) -> None:
    folder, pipe = tmp_path / "folder.csv", tmp_path / "pipe.csv"
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (folder, pipe):
        ended = run("export", str(job_id), str(path), "--force")
        assert (ended.exit_code, "is no ordinary file" in ended.err) == (2, True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_job_that_does_not_exist_is_said_and_makes_no_file(run: Run, tmp_path: Path) -> None:
    ended = run("export", "99", str(tmp_path / "results.csv"))
    assert (ended.exit_code, "there is no job 99" in ended.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_leaves_the_old_file(job_id: int, settings_of_test: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("mine")
    ended = subprocess.run(
        [str(PROGRAM), "export", str(job_id), str(file), "--force"],
        env={**os.environ, **settings_of_test},
        # A limit on the size of files stands for a disk that is full: both refuse in the middle of a write.
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert f"{file} cannot be written: File too large; nothing was changed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_standard_output_without_room_is_said(job_id: int, settings_of_test: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [str(PROGRAM), "export", str(job_id), "-"],
            env={**os.environ, **settings_of_test},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 3
    (line,) = ended.stderr.splitlines()
    assert "No space left on device" in line


def test_a_folder_that_takes_no_files_is_said(run: Run, job_id: int) -> None:
    ended = run("export", str(job_id), "/proc/results.csv")
    assert ended.exit_code == 3
    assert "/proc/results.csv cannot be written: " in ended.err


def test_twelve_thousand_symbols_are_all_there(run: Run, database: Database, tmp_path: Path) -> None:
    symbols = [f"S{number:05}" for number in range(12_050)]
    job_id = open_job(database, symbols)
    for name in ("results.csv", "results.parquet"):
        assert run("export", str(job_id), str(tmp_path / name)).exit_code == 0
    assert list(read_csv((tmp_path / "results.csv").read_text())) == symbols
    assert pq.read_table(tmp_path / "results.parquet").column("symbol").to_pylist() == symbols


@pytest.mark.parametrize("arguments", [("export", "1", "-"), ("rankings", "--csv", "--limit", "10000")])
def test_a_reader_that_leaves_early_is_no_error(
    arguments: tuple[str, ...], database: Database, settings_of_test: dict[str, str]
) -> None:
    symbols = [f"S{number:05}" for number in range(5_000)]
    open_job(database, symbols)
    rank_all(database, symbols)
    process = subprocess.Popen(
        [str(PROGRAM), *arguments],
        env={**os.environ, **settings_of_test},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith((b"job_id,", b"strategy,"))
    process.stdout.close()  # as `head -1` does
    assert process.stderr.read() == b""
    assert process.wait() == BROKEN_PIPE


def rank_all(database: Database, symbols: list[str]) -> None:
    """Fill the ranking with a put of each symbol."""
    with database.transaction() as cursor:
        cursor.execute(
            """
            INSERT INTO premium_rankings (strategy, rank, symbol, contract_symbol, expiration_date, strike_price,
                option_type, dte, underlying_price, bid, ask, premium, collateral, break_even, monthly_return,
                annual_return, delta, implied_volatility, probability_of_profit, spread_pct, open_interest, quoted_at,
                data_provider, ranked_at)
            SELECT 'cash_secured_put', number, symbol, symbol || '#1', %(expires)s, 95, 'put', 36, 100, 2, 2.1, 200,
                9500, 93, 2.1, 25, -0.3, 0.35, 0.7, 5, 500, %(now)s, 'yahoo', %(now)s
            FROM unnest(%(symbols)s) WITH ORDINALITY AS listed (symbol, number)
            """,
            {"symbols": symbols, "now": NOW, "expires": EXPIRATION},
        )


def test_rankings_are_written_as_csv_with_all_their_columns(run: Run, database: Database, tmp_path: Path) -> None:
    open_job(database, ["AAPL", "MSFT"])
    rank_all(database, ["AAPL", "MSFT"])
    printed = run("rankings", "--csv")
    rows = read_csv(printed.out)
    assert (printed.exit_code, printed.err) == (0, "")
    assert sorted(rows["MSFT"]) == sorted(row_of_json(run))
    assert (rows["MSFT"]["rank"], rows["MSFT"]["bid"], rows["MSFT"]["expiration_date"]) == ("2", "2.0", "2026-08-21")
    file = tmp_path / "rankings.csv"
    ended = run("rankings", "--csv", str(file), "--limit", "1")
    assert (ended.exit_code, ended.out) == (0, f"{file}: 1 contract\n")
    again = run("rankings", "--csv", str(file))
    assert (again.exit_code, "--force" in again.err) == (2, True)
    assert list(read_csv(file.read_text())) == ["AAPL"]
    assert run("rankings", "--csv", str(file), "--force").exit_code == 0
    assert list(read_csv(file.read_text())) == ["AAPL", "MSFT"]


def row_of_json(run: Run) -> Any:
    return run("rankings", "--json").json[0]
