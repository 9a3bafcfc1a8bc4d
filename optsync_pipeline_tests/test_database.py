"""Connections: pooled, retried where that heals, and with errors that a person can act on."""

import re
import socket
import threading
import traceback
from pathlib import Path

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest

from optsync_pipeline.settings import SettingsError, load_settings
from optsync_pipeline.storage.database import Database, dagster_url, open_database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable


def test_a_transaction_is_committed_at_its_end(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute("CREATE TABLE note (text text)")
        cursor.execute("INSERT INTO note VALUES ('here')")

    assert database.fetch_one("SELECT text FROM note") == {"text": "here"}


def test_an_exception_rolls_the_transaction_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as cursor:
        cursor.execute("CREATE TABLE note (text text)")
        raise ZeroDivisionError

    assert database.fetch_one("SELECT to_regclass('note') AS found") == {"found": None}


def test_an_error_about_a_row_stays_what_it_is(database: Database) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation), database.transaction() as cursor:
        cursor.execute("INSERT INTO stocks (symbol) VALUES ('no symbol')")


def test_a_named_query_and_sql_itself_are_both_read(database: Database) -> None:
    assert database.fetch_all("list_stocks") == []
    assert database.fetch_one("SELECT %(a)s::int + 1 AS b", {"a": 1}) == {"b": 2}


def test_a_connection_that_was_cut_while_idle_is_replaced_unseen(database: Database) -> None:
    assert database.fetch_one("SELECT 1 AS one") == {"one": 1}
    with database.dedicated_connection() as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert database.fetch_one("SELECT 1 AS one") == {"one": 1}


def test_a_transaction_whose_connection_is_lost_is_run_again(database: Database) -> None:
    tries = []

    def work(cursor: psycopg2.extensions.cursor) -> int:
        tries.append(1)
        if len(tries) == 1:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return len(tries)

    assert database.run_transaction(work) == 2


def test_a_connection_that_is_lost_each_time_is_told_as_such(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_pipeline.storage.database.RETRY_WAITS_SECONDS", (0.01, 0.01, 0.01))
    with pytest.raises(DatabaseUnavailable, match="was lost"):
        database.fetch_all("SELECT pg_terminate_backend(pg_backend_pid())")


def test_two_transactions_that_deadlock_both_end_well(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute("CREATE TABLE pair (id int PRIMARY KEY, count int DEFAULT 0)")
        cursor.execute("INSERT INTO pair (id) VALUES (1), (2)")
    both_hold_one = threading.Barrier(2)

    def change(first: int, second: int) -> None:
        tries = []

        def work(cursor: psycopg2.extensions.cursor) -> None:
            tries.append(1)
            cursor.execute("SET LOCAL deadlock_timeout = '50ms'")
            cursor.execute("UPDATE pair SET count = count + 1 WHERE id = %s", (first,))
            if len(tries) == 1:
                both_hold_one.wait(10)
            cursor.execute("UPDATE pair SET count = count + 1 WHERE id = %s", (second,))

        database.run_transaction(work)

    threads = [threading.Thread(target=change, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert database.fetch_all("SELECT count FROM pair") == [{"count": 2}, {"count": 2}]


def test_a_read_only_database_is_a_fault_and_not_a_refused_row(database: Database) -> None:
    with pytest.raises(DatabaseFault, match="read-only"), database.transaction() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute("INSERT INTO stocks (symbol) VALUES ('AAPL')")


def test_missing_rights_are_a_fault_that_is_not_tried_again(database: Database) -> None:
    def work(cursor: psycopg2.extensions.cursor) -> None:
        cursor.execute("CREATE ROLE nothing")
        cursor.execute("SET LOCAL ROLE nothing")
        cursor.execute("SELECT * FROM stocks")

    with pytest.raises(DatabaseFault, match="permission denied") as caught:
        database.run_transaction(work)
    assert not caught.value.retryable


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        port = taken.getsockname()[1]
        with pytest.raises(DatabaseUnavailable) as caught:
            Database(f"postgresql://someone:s3cret@127.0.0.1:{port}/shop").fetch_all("SELECT 1")

    text = str(caught.value)
    assert f"127.0.0.1:{port}/shop" in text
    assert "refused" in text
    assert "optsync db status" in text
    assert "s3cret" not in text
    assert "\n" not in text


def test_a_wrong_password_is_said_and_not_shown(database_url: str) -> None:
    wrong = re.sub(r"optsync:[^@]+@", "optsync:wr0ng@", database_url)

    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as caught:
        Database(wrong).fetch_all("SELECT 1")
    assert "wr0ng" not in str(caught.value)


def test_a_url_that_cannot_be_read_is_said_without_repeating_it() -> None:
    with pytest.raises(DatabaseUnavailable, match="OPTSYNC_DATABASE_URL") as caught:
        Database("postgresql://someone:s3cr%et@host/shop").fetch_all("SELECT 1")
    assert "s3cr" not in str(caught.value)


UNENCODED = [
    f"postgresql://optsync:{password}@127.0.0.1:1/x"
    for password in (
        "S3/cr3t",
        "S3@cr3t",
        "S3%zzcr3t",
        "S3%cr3t",
        "S3#cr3t",
        "S3?cr3t",
        "S3 cr3t",
        "S3%00cr3t",
        "S3[cr3t",
    )
] + [
    "postgresql://optsync:S3@cr3t@127.0.0.1",  # pragma: allowlist secret
    "postgresql://optsync:12/cr3t@127.0.0.1:1/x",
    "postgresql://optsync:12?a=cr3t@127.0.0.1:1/x",
    "postgresql://optsync:cr3t",
    "postgresql://optsync:p@127.0.0.1:cr3t/x",
]


def all_that_is_told(error: BaseException) -> str:
    causes = [error]
    while causes[-1].__cause__:
        causes.append(causes[-1].__cause__)
    return "\n".join([*map(repr, causes), *traceback.format_exception(error)])


@pytest.mark.parametrize("url", UNENCODED)
def test_a_password_that_is_not_percent_encoded_is_refused_and_told_nowhere(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL: percent-encode special characters") as refused:
        load_settings(env_file=None, database_url=url)
    with pytest.raises(DatabaseUnavailable, match="percent-encode") as caught:
        Database(url).fetch_all("SELECT 1")

    for error in (refused.value, caught.value):
        assert "cr3t" not in all_that_is_told(error)
        assert "S3" not in all_that_is_told(error)
    assert "cr3t" not in Database(url).address


@pytest.mark.parametrize(
    "password", ["S3:cr3t", "S3%2Fcr3t", "S3%40cr3t", "S3%25cr3t", "S3%23%3Fcr3t", "S3!$&'()*,;=cr3t"]
)
def test_a_password_in_a_sound_url_is_told_nowhere(password: str) -> None:
    url = f"postgresql://optsync:{password}@127.0.0.1:1/x?sslmode=disable"
    load_settings(env_file=None, database_url=url)
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/x gives no connection") as caught:
        Database(url).fetch_all("SELECT 1")

    assert "cr3t" not in all_that_is_told(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost",
        "postgresql:///optsync?host=/var/run/postgresql",
        "postgresql://u:p@[::1]:5432/x",
        "postgresql://u@%2Fvar%2Frun/x",
        "postgresql://u:@db.example.org/x?sslmode=verify-full&options=-c%20search_path%3Dx",
        "postgresql://j%C3%BCrgen:pässwort@db/x",
    ],
)
def test_other_sound_urls_are_taken(url: str) -> None:
    settings = load_settings(env_file=None, database_url=url)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert Database(url).address != "the configured URL"


def test_a_silent_network_is_noticed(database: Database) -> None:
    connection = database.dedicated_connection()
    options = connection.get_dsn_parameters()
    connection.close()

    assert (options["keepalives_idle"], options["tcp_user_timeout"]) == ("10", "10000")


def test_the_urls_own_options_go_first(database_url: str) -> None:
    opened = Database(f"{database_url}?application_name=mine&keepalives_idle=99")

    assert opened.fetch_one("SELECT current_setting('application_name') AS name") == {"name": "mine"}
    opened.close()


def test_an_option_that_libpq_does_not_know_is_refused_without_the_url() -> None:
    url = "postgresql://u:cr3t@127.0.0.1:1/x?nonsense=1"
    with pytest.raises(DatabaseUnavailable, match="cannot be read") as caught:
        Database(url).fetch_all("SELECT 1")
    assert "cr3t" not in all_that_is_told(caught.value)


def test_connections_say_that_they_are_optsync(database: Database) -> None:
    assert database.fetch_one("SELECT current_setting('application_name') AS name") == {"name": "optsync"}


def test_more_threads_than_connections_take_turns(database: Database) -> None:
    done: list[int] = []

    def work() -> None:
        database.fetch_all("SELECT pg_sleep(0.02)")
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 25


def test_a_configured_server_is_opened_and_migrated(empty_database_url: str, tmp_path: Path) -> None:
    settings = load_settings(env_file=None, database_url=empty_database_url, home=tmp_path)
    opened = open_database(settings)

    assert opened.fetch_all("list_stocks") == []
    opened.close()
    assert dagster_url(settings) == empty_database_url.replace("postgresql://", "postgresql+psycopg2://")
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_server_is_started_and_migrated(postgres_server: EmbeddedPostgres) -> None:
    settings = load_settings(env_file=None, home=postgres_server.home)
    opened = open_database(settings)

    assert opened.fetch_one("SELECT current_database() AS name") == {"name": "optsync"}
    assert opened.fetch_all("list_stocks") == []
    opened.close()
    assert re.fullmatch(r"postgresql\+psycopg2://optsync:[^@]+@127\.0\.0\.1:\d+/dagster", dagster_url(settings))


def test_dagster_may_have_a_server_of_its_own(tmp_path: Path) -> None:
    settings = load_settings(env_file=None, dagster_database_url="postgresql://d:p@elsewhere/dagster", home=tmp_path)

    assert dagster_url(settings) == "postgresql+psycopg2://d:p@elsewhere/dagster"
