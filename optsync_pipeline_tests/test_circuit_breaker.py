"""What a run has learnt of its providers."""

import logging

import pytest

from optsync_pipeline.fetching.circuit_breaker import Standing
from optsync_pipeline.providers.base import NotEntitled


def test_a_provider_is_left_out_with_the_first_reason_and_said_so_once(caplog: pytest.LogCaptureFixture) -> None:
    standing = Standing()
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            standing.leave_out("polygon", NotEntitled(f"reason {number}"))
    assert {name: str(reason) for name, reason in standing.left_out.items()} == {"polygon": "reason 0"}
    assert [record.getMessage() for record in caplog.records] == ["polygon is left out of this run: reason 0"]


def test_a_run_waits_for_a_provider_whose_breaker_is_open() -> None:
    assert not Standing(patience_seconds=1000).given_up(["yahoo"])


def test_without_patience_it_gives_up_at_once() -> None:
    assert Standing(patience_seconds=0.0).given_up(["yahoo", "cboe"])


def test_an_answer_makes_the_patience_begin_anew() -> None:
    standing = Standing(patience_seconds=1000)
    standing._dark_since = {"yahoo": -1e9, "cboe": -1e9}
    assert standing.given_up(["yahoo", "cboe"])
    standing.answered("cboe")
    assert standing.given_up(["yahoo"])
    assert not standing.given_up(["yahoo", "cboe"])
