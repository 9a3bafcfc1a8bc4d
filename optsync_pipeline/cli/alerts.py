"""`optsync alerts`: tries the alert services, shows what was told and what is open, and the rules."""

from typing import Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, CommandError
from optsync_pipeline.cli.output import Column, moment, print_json, print_rows


@group(
    "alerts",
    examples="""
    optsync alerts test
    optsync alerts list
    optsync alerts rules
    """,
)
def alerts() -> None:
    """Try the alert services; show what was told, and the rules."""


@command("test", examples="optsync alerts test")
@pass_app
def send_test(app: App) -> int:
    """Send a test message to each service of OPTSYNC_ALERT_URLS.

    Says of each whether it took it. Ends with 3 where one did not.
    """
    from optsync_pipeline.alerts import delivery
    from optsync_pipeline.alerts.messages import Message

    urls = app.settings.alert_urls
    if not urls:
        raise CommandError("there is nobody to alert: set OPTSYNC_ALERT_URLS, see docs/operations.md")
    message = Message("optsync: test", "This is a test: alerts of optsync arrive here.", "info")
    answers = delivery.send(urls, [[message]] * len(urls))
    for name, (error,) in zip(delivery.names_of(urls), answers, strict=True):
        click.echo(f"{name}: {'took it' if error is None else error}")
    return OK if all(error is None for (error,) in answers) else NOTHING_DONE


@command("list", examples="optsync alerts list\noptsync alerts list --limit 100 --json")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def list_alerts(app: App, limit: int, as_json: bool) -> None:
    """Show the latest incidents, the open ones first."""
    from optsync_pipeline.storage.alerts import latest

    with app.open_database() as database:
        rows = latest(database, limit)
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(_ALERT_COLUMNS, [row | {"told": _told(row)} for row in rows])
    else:
        click.echo("no incident yet: `optsync alerts rules` says what would be one", err=True)


@command("rules", examples="optsync alerts rules\noptsync alerts rules --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def rules(app: App, as_json: bool) -> None:
    """Show the rules: on or off, threshold, meaning, when it is over."""
    from optsync_pipeline.alerts.rules import RULES

    settings = app.settings
    rows = [
        {
            "rule": rule.name,
            "on": rule.is_on(settings),
            "threshold": rule.limit(settings),
            "setting": rule.setting,
            "fires": rule.fires,
            "over": rule.over,
        }
        for rule in RULES
    ]
    if as_json:
        print_json(rows)
        return
    print_rows(_RULE_COLUMNS, rows)
    if not settings.alert_urls:
        click.echo("\nnobody is told: OPTSYNC_ALERT_URLS is empty", err=True)


def _told(row: dict[str, Any]) -> str:
    if row["delivered_at"] is None or (row["resolution"] and row["resolution_delivered_at"] is None):
        return f"not yet: {row['delivery_error']}" if row["delivery_error"] else "not yet"
    return f"yes, but {row['delivery_error']}" if row["delivery_error"] else "yes"


_ALERT_COLUMNS = (
    Column("alert_id", "#", right=True),
    Column("rule", "rule"),
    Column("opened_at", "found", moment),
    Column("resolved_at", "over", moment),
    Column("title", "what"),
    Column("told", "told"),
)

_RULE_COLUMNS = (
    Column("rule", "rule"),
    Column("on", "", lambda is_on: "on" if is_on else "off"),
    Column("threshold", "threshold"),
    Column("fires", "fires when"),
    Column("over", "is over when", optional=True),
    Column("setting", "set by", optional=True),
)

for part in (send_test, list_alerts, rules):
    alerts.add_command(part)
