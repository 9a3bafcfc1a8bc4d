"""The child process that talks to the alert services: reads an errand on stdin, prints a line of JSON for each answer.

A process of its own, because a service that hangs cannot be stopped within ours, and because Apprise's log lines and
tracebacks hold URLs with tokens: nothing that it says leaves this process but "taken", a status, or "no connection".
Started by delivery.py alone. URLs come on stdin: a command line can be read by everybody on the machine.
"""

import json
import logging
import os
import queue
import re
import sys
import threading
import time
from typing import Any, TextIO

NOT_UNDERSTOOD = "Apprise does not understand this URL"


class _Reasons(logging.Handler):
    """Keeps of Apprise's log lines what holds no secret: the status, or that there was no connection."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_thread: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Note the reason of the thread's latest failure."""
        text = record.getMessage()
        if status := re.search(r"error=(\d{3})\b", text):
            self.by_thread[threading.get_ident()] = f"refused with status {status[1]}"
        elif "connection error" in text.lower():
            self.by_thread[threading.get_ident()] = "no connection"


def main() -> None:
    """Do the errand: {"services": [{"url", "messages": [{"title", "body", "kind"}]}], "deadline_seconds"}."""
    errand = json.load(sys.stdin)
    # Whatever a plugin prints must not be taken for an answer, nor be seen.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    reasons = _Reasons()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [reasons], False
    logger.setLevel(logging.WARNING)
    _serve(errand, answers, reasons)
    # Threads that hang in a service's reply are not waited for.
    os._exit(0)


def _serve(errand: dict[str, Any], answers: TextIO, reasons: _Reasons) -> None:
    services = errand["services"]
    done: queue.Queue[tuple[int, int, str | None]] = queue.Queue()
    # All URLs first: reading Apprise's plugins takes a second or more, which is not the services' fault.
    apprises = [_read_url(service["url"]) for service in services]
    waiting: dict[int, float] = {}
    for number, (service, apprise_service) in enumerate(zip(services, apprises, strict=True)):
        waiting[number] = time.monotonic()
        if apprise_service is None or not service["messages"]:
            done.put((number, 0, NOT_UNDERSTOOD if apprise_service is None else None))
            continue
        arguments = (number, service["messages"], apprise_service, done, reasons)
        threading.Thread(target=_tell, args=arguments, daemon=True).start()
    while waiting:
        try:
            number, message, error = done.get(timeout=0.1)
        except queue.Empty:
            pass
        else:
            if number not in waiting:
                continue  # its deadline was over: its answer is told already
            answers.write(json.dumps({"service": number, "message": message, "error": error}) + "\n")
            answers.flush()
            waiting[number] = time.monotonic()
            if error is not None or message + 1 >= len(services[number]["messages"]):
                waiting.pop(number)
        overdue = time.monotonic() - errand["deadline_seconds"]
        for number in [number for number, since in waiting.items() if since < overdue]:
            waiting.pop(number)


def _read_url(url: str) -> Any | None:
    """Return what talks to the service, or None where Apprise does not understand the URL."""
    import apprise

    # Without Apprise's own timeout it works in our thread, by which log lines are told apart; our deadline is above.
    asset = apprise.AppriseAsset(app_id="optsync", app_desc="optsync alerts", service_timeout=0)
    service = apprise.Apprise(asset=asset)
    return service if service.add(url) else None


def _tell(
    number: int,
    messages: list[dict[str, str]],
    apprise_service: Any,
    done: "queue.Queue[tuple[int, int, str | None]]",
    reasons: _Reasons,
) -> None:
    """Send a service its messages, one after the other, until one is not taken."""
    for index, message in enumerate(messages):
        reasons.by_thread.pop(threading.get_ident(), None)
        taken = apprise_service.notify(
            title=message["title"], body=message["body"], notify_type=message["kind"], body_format="text"
        )
        error = None if taken else reasons.by_thread.get(threading.get_ident(), "the service did not take it")
        done.put((number, index, error))
        if error is not None:
            return


if __name__ == "__main__":
    main()
