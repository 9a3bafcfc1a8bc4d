"""Stocks without options leave the universe, for a reason, and not on one vendor's bad day."""

from datetime import timedelta

import pytest

from optsync_pipeline.storage import stocks
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.retirement import retire_stocks
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job


def days(number: float) -> timedelta:
    return timedelta(days=number)


def say(database: Database, answer: str | None, after_days: float, symbol: str = "GONE") -> None:
    """Let a sync find, so many days after NOW, a chain (None) or that there is nothing to have."""
    chunk = make_chunk(open_job(database, [symbol]), [symbol])
    chunk.answers = {symbol: answer}
    chunk.results[0]["completed_at"] = NOW + days(after_days)
    write_chunk(database, chunk)


def test_a_stock_without_options_for_30_days_is_retired(database: Database) -> None:
    for day in (0, 7, 14, 21, 28):
        say(database, "no_options", day)
    assert retire_stocks(database, NOW + days(29)) == []
    assert retire_stocks(database, NOW + days(30)) == [("GONE", "no options for 30 days")]
    (row,) = stocks.list_stocks(database)
    assert (row["is_active"], row["inactive_since"]) == (False, NOW + days(30))


def test_a_chain_in_between_begins_the_30_days_anew(database: Database) -> None:
    for day, answer in ((0, "no_options"), (7, None), (14, "no_options"), (28, "no_options")):
        say(database, answer, day)
    assert retire_stocks(database, NOW + days(31)) == []


def test_an_answer_of_long_ago_alone_retires_nothing(database: Database) -> None:
    say(database, "no_options", 0)
    assert retire_stocks(database, NOW + days(60)) == []


def test_a_delisted_stock_is_retired_when_that_is_said_again_7_days_later(database: Database) -> None:
    say(database, "delisted", 0)
    say(database, "delisted", 6.9)
    assert retire_stocks(database, NOW + days(20)) == []
    say(database, "delisted", 7)
    assert retire_stocks(database, NOW + days(7)) == [("GONE", "delisted")]


@pytest.mark.parametrize("other", [None, "no_options"])
def test_any_other_answer_in_between_is_no_delisting(database: Database, other: str | None) -> None:
    for day, answer in ((0, "delisted"), (7, other), (14, "delisted")):
        say(database, answer, day)
    assert retire_stocks(database, NOW + days(14)) == []


def test_vendors_that_disagree_whether_it_is_delisted_do_not_keep_it(database: Database) -> None:
    for day, answer in ((0, "no_options"), (8, "delisted"), (16, "no_options"), (24, "delisted")):
        say(database, answer, day)
    assert retire_stocks(database, NOW + days(30)) == [("GONE", "no options for 30 days")]


def test_a_retired_stock_that_is_added_comes_back_and_is_asked(database: Database) -> None:
    say(database, "delisted", 0)
    say(database, "delisted", 8)
    retire_stocks(database, NOW + days(8))
    stocks.upsert_stocks(database, [{"symbol": "GONE"}])
    assert stocks.active_symbols(database) == ["GONE"]
    assert stocks.remembered_answers(database, ["GONE"], providers=["yahoo"], since=NOW) == {}
    assert retire_stocks(database, NOW + days(8)) == []


def test_a_list_brings_back_what_was_removed_but_not_what_was_retired(database: Database) -> None:
    say(database, "delisted", 0)
    say(database, "delisted", 8)
    retire_stocks(database, NOW + days(8))
    stocks.upsert_stocks(database, [{"symbol": "AAPL"}])
    stocks.deactivate(database, ["AAPL"], NOW)
    stocks.upsert_stocks(database, [{"symbol": "GONE"}, {"symbol": "AAPL"}], bring_back_retired=False)
    assert stocks.active_symbols(database) == ["AAPL"]
