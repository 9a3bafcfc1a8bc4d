"""Migrations: in order, once, by any number of processes, and never edited afterwards."""

import shutil
import threading
from pathlib import Path

import psycopg2.errors
import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import MigrationError
from optsync_pipeline.storage.migrations import MIGRATIONS_FOLDER, apply_migrations, pending, read_migrations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two migrations."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int);")
    (tmp_path / "0002_second.sql").write_text(
        "CREATE TABLE second (share text DEFAULT '5 %'); INSERT INTO second DEFAULT VALUES;"
    )
    return tmp_path


@pytest.fixture
def empty_database(empty_database_url: str) -> Database:
    """A database without tables."""
    return Database(empty_database_url)


def test_the_projects_own_migrations_make_all_tables_with_comments(database: Database) -> None:
    tables = database.fetch_all(
        "SELECT relname, obj_description(oid) AS comment FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    names = {row["relname"] for row in tables}

    assert names >= {"stocks", "stock_data", "stock_prices", "option_chains", "stock_premiums", "premium_rankings"}
    assert names >= {"sync_jobs", "sync_stock_results", "rejected_quotes"}
    assert [row["relname"] for row in tables if not row["comment"]] == []
    assert pending(database) == []


def test_every_amount_and_time_says_what_it_is(database: Database) -> None:
    silent = database.fetch_all(
        "SELECT attrelid::regclass::text AS name, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migrations'"
        " AND attnum > 0 AND col_description(attrelid, attnum) IS NULL"
        " AND atttypid::regtype::text IN"
        " ('double precision', 'numeric', 'integer', 'bigint', 'timestamp with time zone', 'date')"
        " AND attname NOT IN ('job_id', 'successful_stocks', 'failed_stocks')"
    )

    assert silent == []


def test_migrations_are_applied_in_order_and_once(empty_database: Database, folder: Path) -> None:
    assert [migration.version for migration in apply_migrations(empty_database, folder)] == [1, 2]
    assert apply_migrations(empty_database, folder) == []
    assert empty_database.fetch_all("SELECT share FROM second") == [{"share": "5 %"}]


def test_pending_names_what_is_missing(empty_database: Database, folder: Path) -> None:
    assert [migration.name for migration in pending(empty_database, folder)] == ["0001_first", "0002_second"]
    apply_migrations(empty_database, folder)
    (folder / "0003_third.sql").write_text("CREATE TABLE third (id int);")

    assert [migration.name for migration in pending(empty_database, folder)] == ["0003_third"]


def test_processes_that_migrate_at_once_do_it_once(empty_database: Database, folder: Path) -> None:
    applied: list[int] = []
    threads = [
        threading.Thread(target=lambda: applied.append(len(apply_migrations(empty_database, folder)))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied) == [0, 0, 0, 0, 2]


def test_an_edited_migration_is_named(empty_database: Database, folder: Path) -> None:
    apply_migrations(empty_database, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")

    with pytest.raises(MigrationError, match=r"0001_first\.sql was changed after it was applied"):
        apply_migrations(empty_database, folder)


def test_a_database_of_a_newer_checkout_is_refused(empty_database: Database, folder: Path) -> None:
    apply_migrations(empty_database, folder)
    (folder / "0002_second.sql").unlink()

    with pytest.raises(MigrationError, match="0002_second, which this checkout lacks"):
        pending(empty_database, folder)


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_database: Database, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE third (id int); SELECT 1 / 0;")

    with pytest.raises(MigrationError, match=r"0003_third.sql cannot be applied: division by zero"):
        apply_migrations(empty_database, folder)
    assert [migration.version for migration in pending(empty_database, folder)] == [3]
    assert empty_database.fetch_one("SELECT to_regclass('third') AS found") == {"found": None}


def test_a_gap_in_the_numbers_is_an_error(folder: Path) -> None:
    (folder / "0004_fourth.sql").write_text("")

    with pytest.raises(MigrationError, match=r"0004_fourth\.sql .* should begin with 0003_"):
        read_migrations(folder)


def test_a_negative_strike_cannot_be_stored(database: Database) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation, match="strike_price"), database.transaction() as cursor:
        cursor.execute("INSERT INTO stocks (symbol) VALUES ('AAPL')")
        cursor.execute(
            "INSERT INTO option_chains (symbol, expiration_date, strike_price, option_type, contract_symbol, quoted_at,"
            " data_provider, last_updated)"
            " VALUES ('AAPL', '2026-08-21', -5, 'put', 'AAPL260821P00005000', now(), 'yahoo', now())"
        )


def test_the_projects_migrations_can_be_read_from_a_copy(tmp_path: Path) -> None:
    shutil.copytree(MIGRATIONS_FOLDER, tmp_path / "copy")

    assert read_migrations(tmp_path / "copy") == read_migrations()
