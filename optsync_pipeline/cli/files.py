"""Files that commands write: CSV and Parquet, whole or not at all, over an existing file only with --force.

A file is written beside its place and renamed at the end, so that a full disk or a Ctrl-C costs nothing that was there.
What goes into the files is said by the commands (export, rankings).
"""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO

from optsync_pipeline.cli.errors import NOTHING_DONE, CommandError

STDOUT = "-"


def require_free(path: Path, *, force: bool) -> None:
    """Raise CommandError where a file cannot be put at `path`: one is there and --force was not given, or no folder."""
    if not path.parent.is_dir():
        raise CommandError(f"{path} cannot be written: there is no folder {path.parent}; make it, or give another path")
    if not path.exists():
        return
    if not path.is_file():
        raise CommandError(f"{path} is no ordinary file: give the path of one")
    if not force:
        raise CommandError(f"{path} exists and was left as it is: give another name, or --force to replace it")


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Put a file at `path`, or leave everything as it was and raise CommandError."""
    target = path.resolve()  # a link stays a link
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # where the disk of a network folder is full, this is what says so
        require_free(path, force=force)  # somebody may have put one there meanwhile
        unfinished.replace(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CommandError(
            f"{path} cannot be written: {reason}; nothing was changed: mend that, or give another path",
            exit_code=NOTHING_DONE,
        ) from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, force: bool) -> None:
    """Write rows as a CSV file under their headings; `-` is standard output, which may end early (`| head`)."""
    if str(path) == STDOUT:
        _write_lines(sys.stdout, columns, rows)
        return
    text = io.StringIO()
    _write_lines(text, columns, rows)
    write_file(path, text.getvalue().encode(), force=force)


def _write_lines(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_text(row[name]) for name in columns] for row in rows)


def csv_text(value: Any) -> Any:
    """Return a value as a CSV field. Times are ISO 8601, dates of a list stand side by side, objects are JSON."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list) and value and all(isinstance(item, date) for item in value):
        return " ".join(item.isoformat() for item in value)
    if isinstance(value, list | dict):
        return json.dumps(value)
    return value  # None is an empty field
