"""The lock of a job: whether it is still held, and taken again where its connection was lost."""

import os
import socket

import pytest

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.errors import DatabaseUnavailable
from optsync_pipeline.storage.job_lock import LOCK_CLASS, JobLock

END_HOLDER = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE classid = %s::oid AND locktype = 'advisory'"


def test_a_lock_is_held_from_acquire_to_release(database: Database) -> None:
    lock = JobLock(database, 7)

    assert not lock.held()
    assert lock.acquire()
    assert lock.held()
    lock.release()
    assert not lock.held()


def test_a_lock_whose_session_ended_is_taken_again(database: Database) -> None:
    lock = JobLock(database, 7)
    lock.acquire()
    database.execute(END_HOLDER, (LOCK_CLASS,))

    assert lock.held()
    assert not JobLock(database, 7).acquire()
    lock.release()


def test_a_lock_that_another_took_meanwhile_is_lost_for_good(database: Database) -> None:
    lock, other = JobLock(database, 7), JobLock(database, 7)
    lock.acquire()
    database.execute(END_HOLDER, (LOCK_CLASS,))
    assert other.acquire()

    assert not lock.held()
    other.release()
    assert not lock.held()


def test_a_session_that_the_server_still_keeps_after_its_network_was_cut_is_ended(database: Database) -> None:
    lock = JobLock(database, 7)
    lock.acquire()
    connection = lock._connection
    assert connection is not None
    servers_end = os.dup(connection.fileno())  # stays open: the server notices nothing
    ours, gone = socket.socketpair()
    gone.close()
    os.dup2(ours.fileno(), connection.fileno())
    ours.close()
    try:
        assert lock.held()
        assert lock.held()
    finally:
        os.close(servers_end)
        lock.release()


def test_a_server_that_gives_no_new_connection_is_an_error_and_may_be_asked_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = JobLock(database, 7)
    lock.acquire()
    database.execute(END_HOLDER, (LOCK_CLASS,))
    with monkeypatch.context() as patch:
        patch.setattr(database, "_url", "postgresql://nobody@127.0.0.1:1/none")
        with pytest.raises(DatabaseUnavailable):
            lock.held()

    assert lock.held()
    lock.release()
