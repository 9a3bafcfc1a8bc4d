"""What commands share while they run: the settings, read once, and the database, started and migrated where needed."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from optsync_pipeline.settings import Settings
    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.embedded import EmbeddedPostgres


class App:
    """One invocation of optsync."""

    def __init__(self, *, debug: bool = False, settings: "Settings | None" = None) -> None:
        self.debug = debug
        self._settings = settings
        self._is_logging = False

    @property
    def settings(self) -> "Settings":
        """The settings of the environment and .env, unless others were given. Raises SettingsError."""
        if self._settings is None:
            from optsync_pipeline.settings import load_settings

            self._settings = load_settings()
        if not self._is_logging:
            from optsync_pipeline.logs import configure_logging

            self._is_logging = True
            configure_logging(self._settings, terminal=True)
        return self._settings

    def close(self) -> None:
        """End what the settings began: log lines go nowhere any more."""
        if self._is_logging:
            from optsync_pipeline.logs import stop_logging

            stop_logging()

    @cached_property
    def embedded(self) -> "EmbeddedPostgres":
        """The embedded server of this HOME, running or not."""
        from optsync_pipeline.storage.embedded import EmbeddedPostgres

        return EmbeddedPostgres(self.settings.home)

    @contextlib.contextmanager
    def open_database(self) -> Iterator["Database"]:
        """Open the database for the length of the block: embedded server started, missing migrations applied."""
        from optsync_pipeline.storage.database import open_database

        with contextlib.closing(open_database(self.settings)) as database:
            yield database

    @contextlib.contextmanager
    def open_instance(self) -> Iterator["DagsterInstance"]:
        """Open the Dagster instance of this HOME for the length of the block."""
        from optsync_pipeline.cli.dagster_home import lay_dagster_home
        from optsync_pipeline.local_runs import open_instance
        from optsync_pipeline.storage.database import dagster_url

        with open_instance(lay_dagster_home(self.settings), dagster_url(self.settings)) as instance:
            yield instance


pass_app = click.make_pass_decorator(App)
