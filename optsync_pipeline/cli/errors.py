"""How a command ends: its exit code, and the one line on stderr that says what is wrong and how to mend it.

0    all well; skipped symbols are well
1    some symbols failed, or a check of `optsync doctor` did
2    wrong use or configuration
3    nothing could be done
130  stopped by Ctrl-C, SIGTERM or `optsync cancel`: what was fetched is kept, the job is `cancelled`
"""

from dataclasses import dataclass

import click

OK = 0
SOME_FAILED = 1
WRONG_USE = 2
NOTHING_DONE = 3
STOPPED = 130


class CommandError(Exception):
    """A command cannot do what was asked. The text is one line: what is wrong and how to mend it."""

    def __init__(self, message: str, *, exit_code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Ending:
    """What a person is told of an exception, and the exit code."""

    message: str
    exit_code: int


def ending_of(error: BaseException) -> Ending:
    """Return what an exception means to a person. Secrets are kept out by whoever raised it."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "optsync"
        return Ending(f"{_one_line(error.format_message()).rstrip('.')}; see `{command} --help`", WRONG_USE)
    if isinstance(error, CommandError):
        return Ending(_one_line(error.message), error.exit_code)
    if isinstance(error, click.ClickException):
        return Ending(_one_line(error.format_message()), error.exit_code)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Ending("stopped", STOPPED)
    for known, exit_code in _known_errors():
        if isinstance(error, known):
            return Ending(_one_line(str(error)), exit_code)
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        return Ending(f"the system refuses{where}: {error.strerror}; mend that and run it again", NOTHING_DONE)
    return Ending(
        f"unexpected {type(error).__name__}: {_one_line(str(error))}; this is a fault of optsync: "
        "run it again with `optsync --debug ...` and report what it prints",
        NOTHING_DONE,
    )


def _known_errors() -> list[tuple[type[BaseException], int]]:
    """Import the error types late: a command that ends well never needs them all."""
    from optsync_pipeline.providers.build import ProviderSetupError
    from optsync_pipeline.sandbox.server import SandboxError
    from optsync_pipeline.settings import SettingsError
    from optsync_pipeline.storage.errors import StorageError
    from optsync_pipeline.storage.watchlists import WatchlistError
    from optsync_pipeline.sync.engine import SyncError
    from optsync_pipeline.sync.selection import SelectionError

    return [
        (SettingsError, WRONG_USE),
        (ProviderSetupError, WRONG_USE),
        (SandboxError, WRONG_USE),
        (SelectionError, WRONG_USE),
        (WatchlistError, WRONG_USE),
        (SyncError, NOTHING_DONE),
        (StorageError, NOTHING_DONE),
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
