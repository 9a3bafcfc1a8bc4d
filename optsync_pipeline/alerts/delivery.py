"""Brings messages to the alert services, within a deadline, and says of each whether it was taken.

No text of this module holds a URL or a part of one but its scheme: URLs hold tokens. Which incidents are told, and what
becomes of those that were not taken, is evaluation.py's.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import SecretStr

from optsync_pipeline.alerts.messages import Message
from optsync_pipeline.settings import PROJECT_ROOT

DEADLINE_SECONDS = 10.0
"""For each message."""

START_SECONDS = 20.0
"""For the child to start and read Apprise's plugins, on a machine that is busy."""

Errors = list[str | None]


def names_of(urls: Sequence[SecretStr]) -> list[str]:
    """Name the services: place in OPTSYNC_ALERT_URLS and scheme."""
    return [f"{place} {url.get_secret_value().partition('://')[0].lower()}" for place, url in enumerate(urls, 1)]


def send(
    urls: Sequence[SecretStr],
    messages: Sequence[Sequence[Message]],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> list[Errors]:
    """Send each service its messages; return for each of them None where it was taken, else why not.

    messages: for each URL. After one that was not taken a service is asked no further.
    """
    services = [
        {"url": url.get_secret_value(), "messages": [asdict(message) for message in of_service]}
        for url, of_service in zip(urls, messages, strict=True)
    ]
    longest = max((len(of_service) for of_service in messages), default=0)
    found, silence = _ask(services, deadline_seconds, START_SECONDS + deadline_seconds * max(1, longest))
    return [
        [found.get((place, index), silence) for index in range(len(of_service))]
        for place, of_service in enumerate(messages)
    ]


def understood(urls: Sequence[SecretStr]) -> list[bool]:
    """Say of each URL whether Apprise understands it; sends nothing."""
    services = [{"url": url.get_secret_value(), "messages": []} for url in urls]
    found, silence = _ask(services, DEADLINE_SECONDS, START_SECONDS + DEADLINE_SECONDS)
    return [found.get((place, 0), silence) is None for place in range(len(urls))]


def _ask(
    services: Sequence[Mapping[str, object]], deadline_seconds: float, patience_seconds: float
) -> tuple[dict[tuple[int, int], str | None], str]:
    """Have the child do an errand; return its answers by service and message, and what the others' silence means."""
    errand = json.dumps({"services": services, "deadline_seconds": deadline_seconds})
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "optsync_pipeline.alerts.sender"],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C ends us, and the message that is under way goes out
        )
    except OSError as error:
        return {}, f"the process that sends could not be started: {error.strerror}"
    try:
        out, _ = child.communicate(errand, timeout=patience_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        out, _ = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    # What was cut off in the middle of a line is no answer.
    answers = [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]
    silence = f"no answer within {deadline_seconds:g} s"
    if child.returncode > 0:
        silence = f"the process that sends ended with {child.returncode}"
    return {(answer["service"], answer["message"]): answer["error"] for answer in answers}, silence
