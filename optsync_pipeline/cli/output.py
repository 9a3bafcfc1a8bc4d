"""How lists are shown: a table on a terminal, plain lines into a pipe, JSON when asked.

Into a pipe a row is one line, never wrapped or cut, without colour. On a terminal too narrow for every column those
marked optional give way, the last first.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list. write: how a value is shown; optional: a narrow terminal may leave it out."""

    key: str
    title: str
    write: Callable[[Any], str] = str
    right: bool = False
    optional: bool = False


def number(decimals: int, suffix: str = "") -> Callable[[Any], str]:
    """Return a writer of numbers with thousands separators."""
    return lambda value: f"{value:,.{decimals}f}{suffix}"


def moment(value: datetime) -> str:
    """Write a time as a person in that time zone reads it."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def age(span: timedelta) -> str:
    """Write how long ago something was, in its largest unit."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def span(seconds: float) -> str:
    """Write a length of time in its two largest units: 12 s, 3 min 5 s, 2 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def print_json(value: Any, *, on_one_line: bool = False) -> None:
    """Print one JSON document. Times are ISO 8601 in UTC, decimals numbers."""
    click.echo(json.dumps(value, indent=None if on_one_line else 2, default=_json_value, allow_nan=False))


def print_rows(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print rows as aligned lines under their headings; on a terminal as a table. The title goes above."""
    on_terminal = sys.stdout.isatty()
    headings, *lines = table_lines(columns, rows, width=terminal_width())
    if title:
        click.secho(title, bold=True)
    click.secho(headings, bold=True)
    if on_terminal:
        click.secho(lines.pop(0), dim=True)
    for line in lines:
        click.echo(line)


def terminal_width() -> int | None:
    """Return how many columns standard output has, None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], *, width: int | None) -> list[str]:
    """Return a list as lines: the headings, then a line a row. width: a terminal's, with a rule; None for a pipe."""
    cells = [[_cell(column, row) for column in columns] for row in rows]
    widths = [max([len(column.title), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)]
    shown = _columns_that_fit(columns, widths, width)
    headings = _line([column.title for column in columns], columns, widths, shown)
    rule = [] if width is None else [GAP.join("\u2500" * widths[i] for i in shown)]
    return [headings, *rule, *(_line(line, columns, widths, shown) for line in cells)]


def _columns_that_fit(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    shown = list(range(len(columns)))
    # What does not fit without the optional columns is wrapped by the terminal: nothing is ever cut off.
    while width is not None and sum(widths[i] + len(GAP) for i in shown) - len(GAP) > width:
        spare = [i for i in shown if columns[i].optional]
        if not spare:
            break
        shown.remove(spare[-1])
    return shown


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int]) -> str:
    padded = (cells[i].rjust(widths[i]) if columns[i].right else cells[i].ljust(widths[i]) for i in shown)
    return GAP.join(padded).rstrip()


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row[column.key]
    # A vendor's text may hold line breaks; a row stays one line.
    return "-" if value is None or value == "" else " ".join(column.write(value).split())


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no JSON form here")
