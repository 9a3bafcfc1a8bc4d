"""`optsync db`: the embedded PostgreSQL of this HOME, and the tables of whichever database the settings name."""

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import CommandError
from optsync_pipeline.cli.output import Column, print_rows


@group("db", examples="optsync db status\noptsync db stop")
def db() -> None:
    """Start, stop, look at, migrate the database.

    Commands that need the embedded server start it, and it stays up until `optsync db stop` or `optsync down`.
    """


@command("start", examples="optsync db start")
@pass_app
def start(app: App) -> None:
    """Start the embedded PostgreSQL, setting it up the first time."""
    _require_embedded(app, "there is nothing to start")
    app.embedded.ensure_running()
    status = app.embedded.status()
    click.echo(f"PostgreSQL {status.version} runs on port {status.port}; its data is in {status.data_folder}")


@command("stop", examples="optsync db stop")
@pass_app
def stop(app: App) -> None:
    """Stop the embedded PostgreSQL. Whatever uses it loses its connection."""
    _require_embedded(app, "it is not ours to stop")
    click.echo("PostgreSQL is stopped" if app.embedded.stop() else "PostgreSQL was not running")


@command("status", examples="optsync db status")
@pass_app
def status(app: App) -> None:
    """Tell where the database is and whether it answers.

    Also which migrations it lacks. Starts nothing.
    """
    facts = _embedded_facts(app) if app.settings.uses_embedded_database else _server_facts(app)
    print_rows([Column("name", "what"), Column("value", "is")], [{"name": n, "value": v} for n, v in facts])


@command("migrate", examples="optsync db migrate")
@pass_app
def migrate(app: App) -> None:
    """Bring the tables to what this version needs. Other commands do it too; any number may at once."""
    from contextlib import closing

    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.migrations import apply_migrations

    with closing(Database(_url(app))) as database:
        applied = apply_migrations(database)
    for migration in applied:
        click.echo(f"applied {migration.name}")
    if not applied:
        click.echo("the database is up to date")


@command("url", examples='optsync db url\npsql "$(optsync db url)"')
@pass_app
def url(app: App) -> None:
    """Print the database's URL, with its password.

    For psql and other clients; one line. Starts the embedded server if need be.
    """
    click.echo(_url(app))


for part in (start, stop, status, migrate, url):
    db.add_command(part)


def _url(app: App) -> str:
    if app.settings.database_url is not None:
        return app.settings.database_url.get_secret_value()
    return app.embedded.ensure_running()


def _require_embedded(app: App, consequence: str) -> None:
    if not app.settings.uses_embedded_database:
        raise CommandError(f"OPTSYNC_DATABASE_URL names another PostgreSQL server: {consequence} (`optsync db status`)")


def _embedded_facts(app: App) -> list[tuple[str, str]]:
    found = app.embedded.status()
    facts = [("server", f"embedded, {f'running (PostgreSQL {found.version})' if found.running else 'stopped'}")]
    if found.running:
        facts += [("process", str(found.process_id)), ("port", str(found.port))]
    facts += [("user", found.account), ("data", str(found.data_folder)), ("log", str(found.log_file))]
    return facts + (_migration_facts(app.embedded.url()) if found.running else [])


def _server_facts(app: App) -> list[tuple[str, str]]:
    assert app.settings.database_url is not None
    return [("server", "OPTSYNC_DATABASE_URL"), *_migration_facts(app.settings.database_url.get_secret_value())]


def _migration_facts(url: str) -> list[tuple[str, str]]:
    from contextlib import closing

    from optsync_pipeline.storage.database import Database
    from optsync_pipeline.storage.migrations import pending

    with closing(Database(url)) as database:
        missing = [migration.name for migration in pending(database)]
        version = database.fetch_one("SELECT current_setting('server_version') AS version")
    wanting = f"{len(missing)} to apply: {', '.join(missing)} (`optsync db migrate`)"
    return [
        ("address", database.address),
        ("version", version["version"] if version else "unknown"),
        ("migrations", wanting if missing else "all applied"),
    ]
