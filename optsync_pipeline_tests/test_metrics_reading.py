"""One look at the database at a time: shared, kept for a while, given up when it hangs."""

import threading

import pytest

from optsync_pipeline.metrics.reading import SharedLook
from optsync_pipeline.storage.errors import DatabaseUnavailable


def test_a_look_that_hangs_is_given_up_shared_and_not_repeated() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang() -> str:
        begun.release()
        go_on.wait(timeout=60)
        return "at last"

    look = SharedLook(hang, patience_seconds=0.05, fresh_seconds=60)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"does not answer within 0\.05 s"):
            look.get()
    assert begun.acquire(blocking=False)
    assert not begun.acquire(blocking=False)
    go_on.set()
    assert SharedLook(lambda: 1, fresh_seconds=60).get() == 1


def test_a_look_is_taken_again_once_it_is_old() -> None:
    looks = iter(range(10))
    look = SharedLook(lambda: next(looks), fresh_seconds=60)
    assert [look.get(), look.get()] == [0, 0]
    look = SharedLook(lambda: next(looks), fresh_seconds=-1)
    assert [look.get(), look.get()] == [1, 2]
