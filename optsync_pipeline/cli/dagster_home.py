"""DAGSTER_HOME and the environment that plain `dagster` commands, and those that we start, need.

DAGSTER_HOME must be an absolute folder that holds dagster.yaml: it is HOME/dagster, and the checkout's dagster.yaml is
laid there anew each time, so that a new version's takes effect.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from optsync_pipeline.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from optsync_pipeline.settings import Settings


def lay_dagster_home(settings: "Settings") -> Path:
    """Create DAGSTER_HOME with the checkout's dagster.yaml in it; return the folder."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (PROJECT_ROOT / "dagster.yaml").read_bytes()
    laid = folder / "dagster.yaml"
    if not laid.exists() or laid.read_bytes() != wanted:
        unfinished = folder / f"dagster.yaml.{os.getpid()}"  # a reader never sees half a file
        unfinished.write_bytes(wanted)
        unfinished.replace(laid)
    return folder


def dagster_environment(settings: "Settings") -> dict[str, str]:
    """Return the variables that Dagster needs here. Starts the embedded server where it serves Dagster."""
    from optsync_pipeline.storage.database import dagster_url

    return {
        "DAGSTER_HOME": str(lay_dagster_home(settings)),
        "OPTSYNC_HOME": str(settings.home),
        "OPTSYNC_DAGSTER_DATABASE_URL": dagster_url(settings),
    }


def programs_folder() -> Path:
    """Return the folder of this environment's programs: dagster, dagster-webserver, dagster-daemon."""
    return Path(sys.executable).parent
