"""`optsync doctor`: looks at everything a sync stands on and says how to mend what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import OK, SOME_FAILED, ending_of
from optsync_pipeline.cli.output import Column, print_json, print_rows

if TYPE_CHECKING:
    from optsync_pipeline.cli.doctor_checks import Finding


@command("doctor", examples="optsync doctor\noptsync doctor --offline\noptsync doctor --json")
@click.option("--offline", is_flag=True, help="Don't ask the providers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_app
def doctor(app: App, offline: bool, as_json: bool) -> int:
    """Check everything and say how to mend what is wrong.

    Versions, settings, database, Dagster, and one light request to each provider. Ends with 1 when a check fails.
    """
    from optsync_pipeline.cli.doctor_checks import CHECKS

    app.settings  # noqa: B018 - a bad setting is wrong use, not a finding
    findings = [
        finding
        for subject, check in CHECKS
        if not (offline and subject == "providers")
        for finding in _examine(app, subject, check)
    ]
    rows = [asdict(finding) for finding in findings]
    if as_json:
        print_json(rows)
    else:
        print_rows(_COLUMNS, rows)
    return SOME_FAILED if any(finding.level == "fail" for finding in findings) else OK


def _examine(app: App, subject: str, check: Callable[[App], Iterator["Finding"]]) -> list["Finding"]:
    from optsync_pipeline.cli.doctor_checks import Finding

    found: list[Finding] = []
    try:
        found.extend(check(app))
    except Exception as error:  # noqa: BLE001 - whatever a check stumbles on is what the doctor was asked for
        found.append(Finding("fail", subject, ending_of(error).message, "see the message; `optsync doctor` again then"))
    return found


_COLUMNS = (
    Column("level", ""),
    Column("subject", "what"),
    Column("message", "how it is"),
    Column("mend", "how to mend it"),
)
