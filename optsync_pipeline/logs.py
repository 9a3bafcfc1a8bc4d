"""Where log lines go: JSON lines into HOME/logs/optsync.log, and what a person should see now to standard error.

Modules log with the standard library (`log = logging.getLogger(__name__)`), an event in words and figures as `extra`.
`bound(job=..., symbol=..., provider=...)` puts what a line is about on every line within a block. A symbol's steps move
between threads: who drives them binds around each. Which secrets are replaced is said in redaction.py.

Any number of processes write the one file: each line is one write in append mode, and whoever finds the file full
renames it under a lock, while the others notice that theirs is not the current one any more.
"""

import contextlib
import fcntl
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from optsync_pipeline.redaction import keep_secret, redact, secrets_of_alert_url, secrets_of_database_url
from optsync_pipeline.settings import Settings

OURS = "optsync_pipeline"
FILE_NAME = "optsync.log"
FILE_BYTES = 10_000_000
FILES = 10
"""Together 100 MB: a sync of 12,000 symbols writes some 5 MB."""

_CONTEXT = ("job", "symbol", "provider")
_LEVELS = logging.getLevelNamesMapping()


def configure_logging(settings: Settings, *, terminal: bool) -> None:
    """Send this process's log lines to HOME/logs; with `terminal` also to standard error, from OPTSYNC_LOG_LEVEL on.

    Of other libraries only warnings are kept, in the file. Called again, it takes the place of the call before. Nothing
    is opened before the first line.
    """
    stop_logging()
    keep_secret(*_secrets_of(settings))
    level = _LEVELS[settings.log_level]
    file = LogFile(settings.home / "logs" / FILE_NAME)
    handlers: list[logging.Handler] = [file]
    if terminal:
        shown = Terminal()
        shown.setLevel(level)
        shown.addFilter(logging.Filter(OURS))
        handlers.append(shown)
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    logging.getLogger(OURS).setLevel(min(level, logging.INFO))


def is_configured() -> bool:
    """Whether this process's log lines go to a HOME already."""
    return any(isinstance(handler, LogFile) for handler in logging.getLogger().handlers)


def stop_logging() -> None:
    """Take back what configure_logging did."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, LogFile | Terminal)]:
        root.removeHandler(handler)
        handler.close()
    logging.getLogger(OURS).setLevel(logging.NOTSET)


@contextlib.contextmanager
def bound(**about: Any) -> Iterator[None]:
    """Put job, symbol, provider on every line that this thread logs within the block."""
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**about):
        yield


class LogFile(logging.Handler):
    """Appends JSON lines to a file that several processes share; when it is full it becomes NAME.1, and so on.

    A file that cannot be written is told once on standard error, and hurts nobody.
    """

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        super().__init__(logging.DEBUG)
        self.path = path
        self._file_bytes = file_bytes
        self._files = files
        self._descriptor: int | None = None
        self._is_broken = False
        self.setFormatter(_LateFormatter(for_person=False))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line."""
        try:
            line = f"{self.format(record)}\n".encode(errors="replace")
            written = os.write(self._open(), line)
            if written < len(line):  # a full disk: the rest of the line may still find room
                os.write(self._open(), line[written:])
            self._is_broken = False
        except OSError as error:
            self._tell(error)
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be made is told, nobody is hurt
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self._close_file()
        super().close()

    def _open(self) -> int:
        """Return the descriptor of the current file, renamed away first where it is full."""
        if self._descriptor is not None:
            mine = os.fstat(self._descriptor)
            if not self._is_current(mine):
                self._close_file()
            elif mine.st_size >= self._file_bytes:
                self._rotate()
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._descriptor

    def _rotate(self) -> None:
        """Rename the files a number up; who finds another process at it goes on with what is there."""
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Under the lock: it may have been renamed since we looked, and the new one must not follow at once.
            if self._descriptor is not None and self._is_current(os.fstat(self._descriptor)):
                for number in range(self._files - 1, 0, -1):
                    older = self._numbered(number - 1)
                    if older.exists():
                        older.replace(self._numbered(number))
            self._close_file()
        except BlockingIOError:
            pass  # a few lines more in a full file
        finally:
            os.close(lock)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _is_current(self, mine: os.stat_result) -> bool:
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _tell(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            sys.stderr.write(f"optsync: warning: {self.path} cannot be written: {error.strerror}\n")


class Terminal(logging.StreamHandler[Any]):
    """Writes lines for a person to standard error as it is at that moment: a progress bar puts its own in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_LateFormatter(for_person=True))

    @property
    def stream(self) -> Any:
        """The current sys.stderr."""
        return sys.stderr

    @stream.setter
    def stream(self, given: Any) -> None:
        """Ignore what the base class wants to keep."""


class _LateFormatter(logging.Formatter):
    """structlog's formatter, made for the first line: importing it takes a tenth of a second, and most commands log
    nothing."""

    def __init__(self, *, for_person: bool) -> None:
        super().__init__()
        self._for_person = for_person
        self._real: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        self._real = self._real or _formatter(self._for_person)
        return self._real.format(record)


def _formatter(for_person: bool) -> logging.Formatter:
    import structlog

    renderer: Any = structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    if for_person:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _redacted_in_order,
            renderer,
        ],
    )


def _redacted_in_order(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of every field, and put first what each line has."""
    order = ("time", "level", "logger", "event", *_CONTEXT)
    clean: dict[str, Any] = redact(line)
    return {name: clean[name] for name in order if name in clean} | clean


def _secrets_of(settings: Settings) -> Iterator[str]:
    for secret in (settings.robinhood_password, settings.robinhood_mfa_secret, settings.polygon_api_key):
        if secret is not None:
            yield secret.get_secret_value()
    for url in (settings.database_url, settings.dagster_database_url):
        if url is not None:
            yield from secrets_of_database_url(url.get_secret_value())
    for url in settings.alert_urls:
        yield from secrets_of_alert_url(url.get_secret_value())
