"""The connection that runs with every request: it comes back after loss, in forked children, and never hangs."""

import multiprocessing
from collections.abc import Iterator
from contextlib import closing

import pytest

from optsync_pipeline.storage import prepared_session
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseFault, DatabaseUnavailable
from optsync_pipeline.storage.provider_limits import ProviderLimits

END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'optsync'"
)


@pytest.fixture
def limits(database: Database) -> Iterator[ProviderLimits]:
    """Yahoo at 5 a minute."""
    opened = ProviderLimits(database)
    opened.declare("yahoo", 5, 300)
    yield opened
    opened.close()


def test_a_connection_that_was_lost_is_replaced_unseen(database: Database, limits: ProviderLimits) -> None:
    limits.take(["yahoo"])
    database.execute(END_OTHERS)

    assert limits.take(["yahoo"]).taken


def test_a_server_that_stays_away_is_an_error_without_its_password(
    database: Database, limits: ProviderLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_session, "RETRY_WAITS_SECONDS", (0.01, 0.01))
    limits.take(["yahoo"])
    database.execute(END_OTHERS)
    away = "postgresql://me:a-secret@127.0.0.1:1/none"  # pragma: allowlist secret
    with monkeypatch.context() as patch:
        patch.setattr(database, "_url", away)
        with pytest.raises(DatabaseUnavailable) as caught:
            limits.take(["yahoo"])

    assert "a-secret" not in str(caught.value)
    assert limits.take(["yahoo"]).taken


def test_a_row_that_somebody_keeps_locked_ends_in_an_error(
    database: Database, limits: ProviderLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_session, "RETRY_WAITS_SECONDS", ())
    monkeypatch.setattr(prepared_session, "_SESSION_SETTINGS", "SET lock_timeout = '20ms'")
    with database.transaction() as cursor:
        cursor.execute("SELECT FROM api_rate_limits FOR UPDATE")
        with pytest.raises(DatabaseFault, match="lock"):
            limits.take(["yahoo"])

    assert limits.take(["yahoo"]).taken


def test_nothing_stays_locked_while_a_process_waits_for_its_token(database: Database, limits: ProviderLimits) -> None:
    limits.take(["yahoo"])
    limits.take(["yahoo"])

    with database.transaction() as cursor:
        cursor.execute("SELECT FROM api_rate_limits FOR UPDATE NOWAIT")


def test_a_forked_child_opens_a_connection_of_its_own(database: Database, limits: ProviderLimits) -> None:
    limits.take(["yahoo"])
    first = limits._of_process.session._connection
    child = multiprocessing.get_context("fork").Process(target=_take_and_end, args=(limits,))
    child.start()
    child.join(30)

    assert child.exitcode == 0
    assert limits.take(["yahoo"]).wait_seconds > 12.24
    assert limits._of_process.session._connection is first


def _take_and_end(limits: ProviderLimits) -> None:
    limits.note_success("yahoo")
    assert limits.take(["yahoo"]).taken
    limits.close()


def test_statements_are_found_again_after_a_pooler_forgot_them(
    limits: ProviderLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_session, "RETRY_WAITS_SECONDS", (0.01,))
    limits.take(["yahoo"])
    connection = limits._of_process.session._connection
    assert connection is not None
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    assert limits.take(["yahoo"]).taken


def test_a_closed_session_opens_again_when_it_is_used(database: Database, limits: ProviderLimits) -> None:
    limits.take(["yahoo"])
    limits.close()

    assert limits.take(["yahoo"]).taken


def test_a_child_that_is_killed_while_it_waits_costs_nobody_more_than_its_tokens_time(
    database_url: str, limits: ProviderLimits
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_take_and_wait, args=(database_url, theirs))
    child.start()
    with closing(ours):
        assert ours.recv() == 0
        child.kill()
        child.join(30)

    (state,) = limits.read()
    offer = limits.take(["yahoo"])

    assert offer.wait_seconds <= state.next_token_seconds <= 12.24


def _take_and_wait(url: str, told: "multiprocessing.connection.Connection[float, float]") -> None:
    limits = ProviderLimits(Database(url))
    told.send(limits.take(["yahoo"]).wait_seconds)
    multiprocessing.Event().wait()
