"""The click classes that every command of ours is made with: --help with examples, --debug wherever it is written."""

from collections.abc import Callable
from typing import Any

import click

from optsync_pipeline.cli.app import App


class WithExamples(click.Command):
    """A command whose help ends in examples. They are shell lines; a test parses every one."""

    def __init__(self, *args: Any, examples: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = [line.strip() for line in examples.strip().splitlines()]
        self.params.append(_debug_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the options, each on its line."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {line}\n")


class Group(WithExamples, click.Group):
    """A group whose commands are shown in the order in which a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they were added."""
        return list(self.commands)


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
    )


def _set_debug(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.ensure_object(App).debug = True


def command(name: str, *, examples: str) -> Callable[[Callable[..., Any]], WithExamples]:
    """Make a function a command with examples."""
    return click.command(name, cls=WithExamples, examples=examples)


def group(name: str, *, examples: str, **settings: Any) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a group of commands with examples."""
    return click.group(name, cls=Group, examples=examples, **settings)
