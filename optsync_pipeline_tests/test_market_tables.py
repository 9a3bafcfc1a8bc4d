"""A chunk's rows: stored whole, seen whole, and a bad row costs itself alone."""

import threading
from datetime import date
from typing import Any

import pandas as pd
import psycopg2.extensions
import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.chunks import EXPIRATION, NOW, make_chunk, open_job


def count(database: Database, table: str, where: str = "true") -> int:
    row = database.fetch_one(f"SELECT count(*) AS rows FROM {table} WHERE {where}")  # noqa: S608 - names of this test
    return int(row["rows"]) if row else -1


def result_of(database: Database, symbol: str) -> dict[str, Any]:
    row = database.fetch_one("SELECT * FROM sync_stock_results WHERE symbol = %s", (symbol,))
    assert row is not None
    return row


def test_every_table_of_a_chunk_is_written_with_its_values(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "BRK.B"])

    assert write_chunk(database, make_chunk(job_id, ["AAPL", "BRK.B"], contracts=8)) == []
    contract = database.fetch_one(
        "SELECT * FROM option_chains WHERE symbol = 'BRK.B' AND strike_price = 95 AND option_type = 'put'"
    )
    assert contract is not None
    assert contract["expiration_date"] == EXPIRATION
    assert (contract["bid"], contract["ask"], contract["implied_volatility"]) == (1.52, 1.72, 0.35 + 2 / 10_000)
    assert contract["quoted_at"] == NOW
    assert [contract[name] for name in ("delta", "gamma", "theta", "vega", "rho")] == [None] * 5
    assert count(database, "option_chains") == 16
    assert count(database, "stock_premiums") == 14
    assert count(database, "rejected_quotes", "rule = 'zero_bid' AND detail IS NULL") == 2
    assert database.fetch_one("SELECT listed_expirations AS listed, previous_close FROM stock_data LIMIT 1") == {
        "listed": [date(2026, 7, 17), EXPIRATION],
        "previous_close": None,
    }
    assert count(database, "stock_prices", "NOT is_final AND open IS NULL AND close = 100") == 2
    assert count(database, "stocks", "has_options") == 2
    result = result_of(database, "AAPL")
    assert (result["status"], result["expirations"], result["duration_ms"]) == ("success", [EXPIRATION], 120.5)
    assert result["attempts"][0]["provider"] == "yahoo"


def test_whole_numbers_stay_whole_beside_missing_ones(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    write_chunk(database, make_chunk(job_id, ["AAPL"], contracts=8))

    rows = database.fetch_all("SELECT volume, open_interest FROM option_chains ORDER BY bid")
    assert [row["volume"] for row in rows] == [0, 1, 2, 3, None, 5, 6, 7]
    assert [row["open_interest"] for row in rows] == [100, 101, 102, 103, 104, 105, None, 107]


def test_a_second_chunk_replaces_the_symbols_rows_and_leaves_the_others(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    write_chunk(database, make_chunk(job_id, ["AAPL", "MSFT"], contracts=8))
    write_chunk(database, make_chunk(job_id, ["AAPL"], contracts=4, price=200.0))

    assert count(database, "option_chains", "symbol = 'AAPL'") == 4
    assert count(database, "option_chains", "symbol = 'MSFT'") == 8
    assert count(database, "stock_prices", "close = 200") == 1
    assert count(database, "stock_prices") == 2
    assert count(database, "rejected_quotes", "symbol = 'AAPL'") == 1


def test_a_symbol_without_new_rows_keeps_its_old_ones(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    write_chunk(database, make_chunk(job_id, ["AAPL"]))
    failed = make_chunk(job_id, ["AAPL"])
    for table in ("stock_data", "stock_prices", "option_chains", "stock_premiums"):
        setattr(failed, table, getattr(failed, table).iloc[:0])
    failed.results[0] |= {"status": "failed", "error_type": "api_timeout", "expirations": []}
    failed.answers = {}
    write_chunk(database, failed)

    assert count(database, "option_chains") == 4
    assert result_of(database, "AAPL")["error_type"] == "api_timeout"


def test_a_refused_contract_costs_itself_and_its_premium_only(database: Database) -> None:
    symbols = ["AAPL", "MSFT", "NVDA"]
    chunk = make_chunk(open_job(database, symbols), symbols, contracts=6)
    bad = chunk.option_chains.index[9]
    contract = chunk.option_chains.loc[bad, "contract_symbol"]
    for frame in (chunk.option_chains, chunk.stock_premiums):
        frame.loc[bad, "strike_price"] = -5.0
    refused = write_chunk(database, chunk)

    assert [(row["symbol"], row["contract_symbol"], row["rule"]) for row in refused] == [
        ("MSFT", contract, "database_refused")
    ]
    stored = database.fetch_one("SELECT * FROM rejected_quotes WHERE rule = 'database_refused'")
    assert stored is not None
    assert stored["contract_symbol"] == contract
    assert "option_chains_strike_price_check" in stored["detail"]
    assert count(database, "option_chains") == 17
    assert count(database, "stock_premiums") == 14
    result = result_of(database, "MSFT")
    assert result["status"] == "success"
    assert [result[f"options_{name}"] for name in ("fetched", "inserted", "rejected")] == [6, 5, 2]
    assert result["premiums_inserted"] == 4
    assert chunk.results[1]["options_inserted"] == 5


def test_a_refused_premium_leaves_its_contract_as_it_was_quoted(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    chunk.stock_premiums.loc[chunk.stock_premiums.index[0], "probability_of_profit"] = 1.5
    (refused,) = write_chunk(database, chunk)

    assert "probability_of_profit" in refused["detail"]
    assert count(database, "option_chains") == 4
    assert count(database, "stock_premiums") == 2
    assert result_of(database, "AAPL")["premiums_inserted"] == 2


def test_the_second_of_two_rows_with_one_key_is_refused(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    chunk.option_chains = pd.concat(
        [chunk.option_chains, chunk.option_chains.iloc[[1]].assign(contract_symbol="AAPL_AGAIN")]
    )
    (refused,) = write_chunk(database, chunk)

    assert refused["contract_symbol"] == "AAPL_AGAIN"
    assert count(database, "option_chains") == 4


def test_a_value_of_a_wrong_kind_costs_its_row_only(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    chunk.option_chains["volume"] = [1, "many", 2.5, None]
    refused = write_chunk(database, chunk)

    assert sorted(row["detail"] for row in refused) == [
        'invalid input syntax for type bigint: "2.5"',
        'invalid input syntax for type bigint: "many"',
    ]
    assert count(database, "option_chains") == 2


def test_a_refused_stock_fails_as_db_error_and_keeps_its_old_rows(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT"])
    write_chunk(database, make_chunk(job_id, ["AAPL", "MSFT"]))
    chunk = make_chunk(job_id, ["AAPL", "MSFT"], contracts=6, price=200.0)
    chunk.stock_data.loc[0, "current_price"] = -1.0
    write_chunk(database, chunk)

    result = result_of(database, "AAPL")
    assert (result["status"], result["error_type"], result["options_inserted"]) == ("failed", "db_error", 0)
    assert "stock_data_current_price_check" in result["error_message"]
    assert count(database, "option_chains", "symbol = 'AAPL'") == 4
    assert count(database, "stock_data", "current_price = 100") == 1
    assert count(database, "option_chains", "symbol = 'MSFT'") == 6
    assert chunk.results[0]["status"] == "failed"


def test_a_symbol_of_which_no_contract_is_taken_fails_and_keeps_its_old_rows(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    write_chunk(database, make_chunk(job_id, ["AAPL"]))
    chunk = make_chunk(job_id, ["AAPL"], contracts=6)
    chunk.option_chains["ask"] = -1.0
    write_chunk(database, chunk)

    assert result_of(database, "AAPL")["error_type"] == "db_error"
    assert count(database, "option_chains") == 4


def test_a_symbol_that_is_no_stock_fails_alone(database: Database) -> None:
    job_id = open_job(database, ["AAPL"])
    write_chunk(database, make_chunk(job_id, ["AAPL", "GONE"]))

    assert result_of(database, "AAPL")["status"] == "success"
    assert result_of(database, "GONE")["error_type"] == "db_error"
    assert count(database, "option_chains", "symbol = 'AAPL'") == 4


def test_text_that_postgresql_cannot_hold_is_told_of_and_loses_nothing_else(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    chunk.rejected_quotes.loc[:, "contract_symbol"] = "AA\0PL"
    chunk.results[0]["error_message"] = "half a \0 page"
    write_chunk(database, chunk)

    assert count(database, "option_chains") == 4
    assert count(database, "rejected_quotes", "rule = 'zero_bid' AND detail LIKE 'invalid byte sequence%'") == 1
    assert result_of(database, "AAPL")["error_message"] == "half a  page"


def test_a_chunk_written_twice_is_the_same_as_once(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    write_chunk(database, chunk)
    write_chunk(database, chunk)

    assert count(database, "option_chains") == 4
    assert count(database, "rejected_quotes") == 1
    assert count(database, "sync_stock_results") == 1


def test_a_reader_never_sees_an_empty_or_half_symbol(database: Database) -> None:
    symbols = [f"S{number}" for number in range(20)]
    job_id = open_job(database, symbols)
    write_chunk(database, make_chunk(job_id, symbols, contracts=20))
    finished = threading.Event()
    seen: list[list[dict[str, Any]]] = []

    def read() -> None:
        while not finished.is_set():
            seen.append(
                database.fetch_all(
                    "SELECT count(*) AS rows FROM stocks LEFT JOIN option_chains USING (symbol) GROUP BY symbol"
                )
            )

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(25):
        write_chunk(database, make_chunk(job_id, symbols, contracts=20))
    finished.set()
    reader.join()

    assert len(seen) > 20
    assert {row["rows"] for rows in seen for row in rows} == {20}


def test_two_syncs_of_the_same_symbols_both_end_with_whole_rows(database: Database) -> None:
    symbols = [f"S{number}" for number in range(12)]
    jobs = [open_job(database, symbols), open_job(database, symbols[::-1])]
    refused: list[Any] = []

    def write(job_id: int, order: list[str]) -> None:
        for _ in range(6):
            refused.extend(write_chunk(database, make_chunk(job_id, order, contracts=10)))

    threads = [
        threading.Thread(target=write, args=(jobs[0], symbols)),
        threading.Thread(target=write, args=(jobs[1], symbols[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == []
    assert count(database, "option_chains") == 120
    assert count(database, "sync_stock_results", "status = 'success'") == 24


def test_a_connection_lost_in_the_middle_of_a_chunk_is_made_good(database: Database) -> None:
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    with database.dedicated_connection() as other, other.cursor() as cursor:
        hold_then_kill(cursor, database, lambda: write_chunk(database, chunk))

    assert count(database, "option_chains") == 4


def hold_then_kill(cursor: psycopg2.extensions.cursor, database: Database, write: Any) -> None:
    """Let a write wait on a lock, and cut its connection while it waits."""
    cursor.execute("BEGIN")
    cursor.execute("SELECT FROM stocks FOR UPDATE")
    writer = threading.Thread(target=write)
    writer.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not (row := database.fetch_one(waiting)):
        pass
    database.fetch_all("SELECT pg_terminate_backend(%s)", (row["pid"],))
    cursor.execute("ROLLBACK")
    writer.join()


def test_a_read_only_database_is_told_after_some_tries_and_refuses_no_row(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_pipeline.storage.database.RETRY_WAITS_SECONDS", (0.01, 0.01, 0.01))
    chunk = make_chunk(open_job(database, ["AAPL"]), ["AAPL"])
    name = database.address.rpartition("/")[2]
    database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    read_only = Database(database_url)
    try:
        with pytest.raises(DatabaseFault, match="read-only"):
            write_chunk(read_only, chunk)
    finally:
        read_only.close()
    assert chunk.results[0]["status"] == "success"


def test_an_unreachable_database_refuses_no_row() -> None:
    chunk = make_chunk(1, ["AAPL"])

    with pytest.raises(DatabaseUnavailable):
        write_chunk(Database("postgresql://nobody:nothing@127.0.0.1:1/none"), chunk)
    assert chunk.results[0]["status"] == "success"
