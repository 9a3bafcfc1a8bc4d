"""`optsync env`: what a shell needs so that plain `dagster` commands work on this checkout's instance."""

import os
import shlex

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command


@command("env", examples='eval "$(optsync env)"')
@pass_app
def env(app: App) -> None:
    """Print the exports that `dagster` commands need.

    And nothing else, so that a shell can eval it. Starts the embedded server if need be.
    """
    from optsync_pipeline.cli.dagster_home import dagster_environment, programs_folder

    for name, value in dagster_environment(app.settings).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    programs = str(programs_folder())
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        click.echo(f'export PATH={shlex.quote(programs)}:"$PATH"')
