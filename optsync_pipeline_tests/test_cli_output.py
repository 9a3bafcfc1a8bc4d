"""How lists are shown: whole lines into a pipe, a table that fits on a terminal, JSON that other programs read."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from optsync_pipeline.cli.output import Column, age, number, print_json, print_rows

COLUMNS = (
    Column("symbol", "symbol"),
    Column("price", "price $", number(2), right=True),
    Column("note", "note", optional=True),
)
ROWS: list[dict[str, Any]] = [
    {"symbol": "AAPL", "price": 1234.5, "note": "x" * 300},
    {"symbol": "BRK.B", "price": None, "note": "two\nlines"},
]


def test_into_a_pipe_a_row_is_one_whole_line_without_colour(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, ROWS, title="Prices")
    title, headings, first, second = capsys.readouterr().out.splitlines()
    assert title == "Prices"
    assert headings == "symbol   price $  note"
    assert first == f"AAPL    1,234.50  {'x' * 300}"
    assert second == "BRK.B          -  two lines"


def test_no_rows_are_headings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [])
    assert capsys.readouterr().out == "symbol  price $  note\n"


def test_a_narrow_terminal_loses_optional_columns_and_cuts_nothing() -> None:
    shown = on_terminal(columns=40)
    assert "1,234.50" in shown
    assert "note" not in shown
    assert "\x1b[1m" in shown


def test_a_wide_terminal_shows_every_column() -> None:
    assert "x" * 300 in on_terminal(columns=400)


def on_terminal(columns: int) -> str:
    program = (
        "from optsync_pipeline_tests.test_cli_output import COLUMNS, ROWS, print_rows; print_rows(COLUMNS, ROWS[:1])"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    try:
        subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, check=True)
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_json_has_times_as_iso_text_and_decimals_as_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 7, 16, 15, 30, tzinfo=UTC)
    print_json([{"at": at, "day": date(2026, 7, 16), "cap": Decimal("12.50"), "none": None}])
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"at": "2026-07-16T15:30:00+00:00", "day": "2026-07-16", "cap": 12.5, "none": None}


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5, minutes=59), "5 hours ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(span: timedelta, said: str) -> None:
    assert age(span) == said
