"""The prices of a sync beside the final closes before them, and what is noted of a second provider's word."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline.storage.price_moves import note_price_doubts, price_moves
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job

TODAY = NOW.date()
# Twenty returns of +1 % and -1 % in turn: a standard deviation of a little more than 1 %.
HISTORY = [100.0 if number % 2 else 99.0 for number in range(21)]


def add_closes(
    database: Database, symbol: str, closes: Sequence[float], *, before: date = TODAY, is_final: bool = True
) -> None:
    """Write a bar for each of the days before one."""
    for days_ago, close in enumerate(reversed(closes), start=1):
        database.execute(
            "INSERT INTO stock_prices (symbol, price_date, close, is_final, data_provider, updated_at)"
            " VALUES (%s, %s, %s, %s, 'yahoo', %s)",
            (symbol, before - timedelta(days=days_ago), close, is_final, NOW),
        )


def priced(database: Database, price: float, symbols: Sequence[str] = ("AAPL",)) -> int:
    """Write a sync in which the stocks cost so much; return its job."""
    job_id = open_job(database, symbols)
    write_chunk(database, make_chunk(job_id, symbols, price=price))
    return job_id


def test_a_price_is_judged_by_the_final_closes_before_its_session(database: Database) -> None:
    job_id = priced(database, 106.0, ["AAPL", "MSFT"])
    add_closes(database, "AAPL", HISTORY)
    add_closes(database, "MSFT", [105.0, *HISTORY[1:]])

    aapl, msft = price_moves(database, job_id)

    assert (aapl.symbol, aapl.provider, aapl.price, aapl.quoted_at) == ("AAPL", "yahoo", 106.0, NOW)
    assert (aapl.move, aapl.doubt, aapl.note) == ("unusual", None, None)
    assert 6 < (aapl.deviations or 0) < 8
    assert msft.move == "unusual"


def test_a_likely_price_is_usual(database: Database) -> None:
    job_id = priced(database, 100.5)
    add_closes(database, "AAPL", HISTORY)
    assert [move.move for move in price_moves(database, job_id)] == ["usual"]


def test_twenty_closes_or_unfinished_ones_are_not_enough_history(database: Database) -> None:
    job_id = priced(database, 200.0, ["AAPL", "MSFT", "NVDA"])
    add_closes(database, "AAPL", HISTORY[1:])
    add_closes(database, "MSFT", HISTORY, is_final=False)
    assert [move.move for move in price_moves(database, job_id)] == ["not_enough_history"] * 3


def test_closes_of_long_ago_make_no_history(database: Database) -> None:
    job_id = priced(database, 200.0)
    add_closes(database, "AAPL", HISTORY, before=TODAY - timedelta(days=30))
    assert [move.move for move in price_moves(database, job_id)] == ["not_enough_history"]


def test_what_a_second_provider_said_is_noted_until_the_symbol_is_asked_again(database: Database) -> None:
    job_id = priced(database, 106.0)
    add_closes(database, "AAPL", HISTORY)
    note_price_doubts(database, job_id, {"AAPL": ("confirmed", "cboe quotes 106 $")})
    (noted,) = price_moves(database, job_id)
    assert (noted.doubt, noted.note) == ("confirmed", "cboe quotes 106 $")

    chunk = make_chunk(job_id, ["AAPL"], price=107.0)
    chunk.results[0]["completed_at"] = datetime.fromisoformat("2026-07-16T15:40:00Z")
    write_chunk(database, chunk)
    assert price_moves(database, job_id)[0].doubt is None


def test_noting_nothing_is_no_statement(database: Database) -> None:
    note_price_doubts(database, 1, {})
