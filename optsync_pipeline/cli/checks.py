"""`optsync checks`: the latest report of every data check, read from the Dagster instance."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import NOTHING_DONE, OK, SOME_FAILED, CommandError
from optsync_pipeline.cli.output import Column, moment, print_json, print_rows

if TYPE_CHECKING:
    import dagster as dg

SOUND = frozenset({"passed", "running"})


@command(
    "checks",
    examples="""
    optsync checks
    optsync checks --failed
    optsync checks --json
    """,
)
@click.option("--failed", is_flag=True, help="Only those that did not pass.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def checks(app: App, failed: bool, as_json: bool) -> int:
    """Show the latest report of every data check.

    Warnings are told and end with 0; a check that failed as an error ends with 1.
    """
    with app.open_instance() as instance:
        reports = read_reports(instance)
    if all(report["state"] == "never ran" for report in reports):
        raise CommandError(
            "no check has run yet: `optsync sync` runs those of the sync, then those of the tables",
            exit_code=NOTHING_DONE,
        )
    shown = [report for report in reports if not (failed and report["state"] in SOUND)]
    if as_json:
        print_json(shown)
    elif shown:
        print_rows(_COLUMNS, shown)
    else:
        click.echo("every check passed", err=True)
    return SOME_FAILED if any(report["state"] == "failed" for report in reports) else OK


def read_reports(instance: "dg.DagsterInstance") -> list[dict[str, Any]]:
    """Return the latest report of each check, by asset in the order of the data's way.

    state: passed, warning, failed, running, `no result` (its run ended before it), or `never ran`.
    """
    from optsync_pipeline.definitions import build_definitions
    from optsync_pipeline.settings import load_settings

    graph = build_definitions(load_settings()).resolve_asset_graph()
    order = {key: place for place, key in enumerate(graph.toposorted_asset_keys)}
    keys = sorted(graph.asset_check_keys, key=lambda key: (order[key.asset_key], key.name))
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [
        {
            "check": key.name,
            "asset": key.asset_key.to_user_string(),
            "meaning": graph.get_check_spec(key).description,
            **_report(instance, latest.get(key)),
        }
        for key in keys
    ]


def _report(instance: "dg.DagsterInstance", record: Any) -> Mapping[str, Any]:
    """Read what a check last came to. record: Dagster's AssetCheckExecutionRecord, None where it never ran."""
    if record is None:
        return {"state": "never ran", "severity": None, "at": None, "description": None}
    from dagster import AssetCheckEvaluation

    event = record.event.dagster_event
    evaluation = event.event_specific_data if event is not None else None
    if not isinstance(evaluation, AssetCheckEvaluation):  # what was planned, and did not come to its evaluation
        run = instance.get_run_by_id(record.run_id)
        state = "running" if run is not None and not run.is_finished else "no result"
        at, severity, description = record.create_timestamp, None, None
    else:
        severity, description = evaluation.severity.value, evaluation.description
        state = "passed" if evaluation.passed else "warning" if severity == "WARN" else "failed"
        at = record.event.timestamp
    return {
        "state": state,
        "severity": severity,
        "at": datetime.fromtimestamp(at, UTC),
        "description": description,
    }


_COLUMNS = (
    Column("asset", "asset"),
    Column("check", "check"),
    Column("state", "state"),
    Column("at", "when", moment, optional=True),
    Column("description", "what it found"),
)
