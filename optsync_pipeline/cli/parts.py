"""What `optsync up` runs beside the database: the command line of each part, and how it shows that it works.

Only what is asked of them over HTTP on this machine; starting and stopping them is supervisor.py's.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optsync_pipeline.cli.app import App

HOST = "127.0.0.1"
ANSWER_SECONDS = 5.0
HEARTBEATS = "{instance {daemonHealth {allDaemonStatuses {required lastHeartbeatTime}}}}"


@dataclass(frozen=True, slots=True)
class Part:
    """A program of `optsync up`. where: its address for a person; answers: whether one that began at a time works."""

    name: str
    title: str
    where: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    answers: Callable[[float], bool]


def build_parts(app: App, port: int) -> list[Part]:
    """Return the parts for these settings. Starts the embedded server where that serves Dagster."""
    from optsync_pipeline.cli.dagster_home import dagster_environment, programs_folder
    from optsync_pipeline.settings import PROJECT_ROOT

    environment = {**os.environ, **dagster_environment(app.settings)}
    workspace = ("-w", str(PROJECT_ROOT / "workspace.yaml"))
    programs = programs_folder()
    url, figures = web_url(port), f"http://{HOST}:{app.settings.metrics_port}"

    def part(name: str, title: str, where: str, command: tuple[str, ...], answers: Callable[[float], bool]) -> Part:
        return Part(name, title, where, (str(programs / command[0]), *command[1:]), PROJECT_ROOT, environment, answers)

    return [
        part(
            "webserver",
            "web UI",
            url,
            ("dagster-webserver", "-h", HOST, "-p", str(port), *workspace),
            lambda _began: _get(f"{url}/server_info") is not None,
        ),
        part(
            "daemon",
            "daemon",
            "schedules and sensors run",
            ("dagster-daemon", "run", *workspace),
            lambda began: _daemon_beats(url, began),
        ),
        part(
            "metrics",
            "metrics",
            f"{figures}/metrics, {figures}/health",
            ("optsync", "metrics"),
            lambda _began: _get(f"{figures}/metrics") is not None,
        ),
    ]


def web_url(port: int) -> str:
    """Return where the web UI is."""
    return f"http://{HOST}:{port}"


def _daemon_beats(url: str, began: float) -> bool:
    """Whether each part of the daemon that is needed has shown life since then, as the web UI knows."""
    told = _get(f"{url}/graphql", {"query": HEARTBEATS})
    try:
        statuses = json.loads(told or b"")["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (ValueError, KeyError, TypeError):  # the web UI itself has trouble, which it tells in another shape
        return False
    needed = [status for status in statuses if status["required"]]
    return bool(needed) and all((status["lastHeartbeatTime"] or 0) >= began for status in needed)


def _get(url: str, wish: Mapping[str, Any] | None = None) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is no business of a proxy
    body = None if wish is None else json.dumps(wish).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as reply:
            content: bytes = reply.read()
            return content
    except (urllib.error.URLError, OSError):
        return None
