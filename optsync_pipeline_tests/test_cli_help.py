"""Every command's --help: there, with an example that the command line itself accepts, and quick."""

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from optsync_pipeline.cli import optsync
from optsync_pipeline.cli.app import App
from optsync_pipeline.cli.command import WithExamples
from optsync_pipeline_tests.commands import Run, run

__all__ = ["run"]


def all_commands(command: click.Command = optsync, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from all_commands(part, (*path, name))


COMMANDS = list(all_commands())


def does_nothing_alone(path: tuple[str, ...]) -> bool:
    """Whether this is a group that needs one of its commands."""
    command = find(path)
    return isinstance(command, click.Group) and not command.invoke_without_command


def find(path: tuple[str, ...]) -> WithExamples:
    command: click.Command = optsync
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert isinstance(command, WithExamples)
    return command


def parse(words: list[str]) -> None:
    """Parse a command line without running it. Raises click's errors."""
    command: click.Command = optsync
    while isinstance(command, click.Group):
        if command.invoke_without_command and not (words and words[0] in command.commands):
            break
        command.make_context(command.name, [words[0]] if words else [], obj=App())
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words, obj=App())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_in_examples(path: tuple[str, ...], run: Run) -> None:
    ended = run(*path, "--help")
    assert ended.exit_code == 0
    assert "\nExamples:\n  " in ended.out
    assert ended.err == ""


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_are_command_lines_that_exist(path: tuple[str, ...]) -> None:
    for line in find(path).examples:
        words = [word.strip("$()\"'") for word in shlex.split(line.replace('"$(', " ").replace(')"', " "))]
        first = words.index("optsync")
        parse(words[first + 1 :])


@pytest.mark.parametrize("path", COMMANDS[1:], ids=" ".join)
def test_short_help_fits_on_its_line(path: tuple[str, ...]) -> None:
    assert not find(path).get_short_help_str(limit=68).endswith("...")


@pytest.mark.parametrize("arguments", [(), ("db",), ("stocks",)])
def test_a_group_without_a_command_shows_its_help_and_is_wrong_use(arguments: tuple[str, ...], run: Run) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert "Examples:" in ended.err


def test_starting_imports_nothing_heavy() -> None:
    heavy = ["dagster", "pandas", "numpy", "pydantic", "psycopg2", "sqlalchemy", "yfinance", "rich", "aiohttp"]
    program = f"import sys, optsync_pipeline.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
