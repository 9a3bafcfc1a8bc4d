"""How a person gets this device approved at Robinhood, within a deadline: the interactive login's part.

    the login is answered with a workflow
      → POST user_machine                    which inquiry it is
      → GET user_view, again and again       which challenge: prompt (in the app), sms or email
      → prompt: wait until it is approved;   sms, email: the code that the person types
      → POST user_view, again and again      until the workflow is approved, and the login may be repeated

What is asked again and again may fail by a fault that heals: that is "not yet". 403 and 404 are an approval that is no
longer known, which is to be begun anew.

The library's own way polls a prompt without end and uses another device id than the login. What a person sees and types
is the command's (cli/robinhood.py); the login itself is robinhood_login.py's.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

import requests

from optsync_pipeline.providers.base import AuthError, FetchError, InvalidReply, RateLimited
from optsync_pipeline.providers.robinhood_http import RobinhoodHttp
from optsync_pipeline.providers.robinhood_tokens import REAL_URL
from optsync_pipeline.providers.transport import read_json, status_error

POLL_SECONDS = 5.0  # as the library does
_APPROVED = "workflow_status_approved"
_REFUSED = ("denied", "rejected", "expired", "failed", "cancelled")
_CODE_TRIES = 3
_ASKED = "the approval of this device"


class Person(Protocol):
    """The one at the terminal."""

    def tell(self, text: str) -> None:
        """Show a line."""
        ...

    def wait(self, seconds: float, seconds_left: float) -> None:
        """Let so many seconds pass; seconds_left: until the deadline, for all to see."""
        ...

    def enter_code(self, question: str) -> str:
        """Ask for a code."""
        ...


class Approval:
    """One verification. http: a session towards Robinhood. patience_seconds: from now to the deadline."""

    def __init__(
        self,
        http: RobinhoodHttp,
        person: Person,
        *,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._person = person
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._deadline = clock() + patience_seconds
        self._fault: FetchError | None = None  # of the latest poll

    def obtain(self, device_token: str, workflow_id: str) -> None:
        """Return when this device is approved. Raises a FetchError: refused, too late, or a fault of the wire."""
        machine = self._ask(
            "POST",
            "/pathfinder/user_machine/",
            json={"device_id": device_token, "flow": "suv", "input": {"workflow_id": workflow_id}},
        )
        view = f"/pathfinder/inquiries/{_text(machine, 'id')}/user_view/"
        challenge = self._challenge(view)
        kind, challenge_id = _text(challenge, "type"), _text(challenge, "id")
        if challenge.get("status") != "validated":
            if kind == "prompt":
                self._await_prompt(challenge_id)
            elif kind in ("sms", "email"):
                self._answer_code(challenge_id, "SMS" if kind == "sms" else "e-mail")
            else:
                raise AuthError(
                    f"Robinhood wants a verification that is not known here ({kind[:40]}): log in in its app"
                )
        self._await_workflow(view)

    def _challenge(self, view: str) -> dict[str, Any]:
        while True:
            context = self._poll("GET", view).get("context")
            challenge = context.get("sheriff_challenge") if isinstance(context, dict) else None
            if isinstance(challenge, dict):
                return challenge
            self._wait()

    def _await_prompt(self, challenge_id: str) -> None:
        self._person.tell("Open the Robinhood app and approve the request of a new device.")
        while (status := self._poll("GET", f"/push/{challenge_id}/get_prompts_status/").get("challenge_status")) != (
            "validated"
        ):
            if status in _REFUSED:
                raise AuthError(f"the request in the Robinhood app was not approved ({status})")
            self._wait()

    def _answer_code(self, challenge_id: str, sent_as: str) -> None:
        for _ in range(_CODE_TRIES):
            code = self._person.enter_code(f"Code that Robinhood sent as {sent_as}").strip()
            reply = self._send("POST", f"/challenge/{challenge_id}/respond/", data={"response": code})
            if reply.status_code == 200 and self._read(reply).get("status") == "validated":
                return
            if reply.status_code not in (200, 400, 403):
                raise _error(reply, "the code")
            self._person.tell("Robinhood does not accept this code.")
        raise AuthError(f"Robinhood did not accept the code, {_CODE_TRIES} times: begin anew for another one")

    def _await_workflow(self, view: str) -> None:
        while True:
            told = self._poll("POST", view, json={"sequence": 0, "user_input": {"status": "continue"}})
            context, workflow = told.get("type_context"), told.get("verification_workflow")
            if isinstance(context, dict) and context.get("result") == _APPROVED:
                return
            if isinstance(workflow, dict) and workflow.get("workflow_status") == _APPROVED:
                return
            self._wait()

    def _wait(self) -> None:
        left = self._deadline - self._clock()
        if left <= 0:
            why = f" ({self._fault})" if self._fault is not None else ""
            raise AuthError(f"this device was not approved within {self._patience_seconds:g} s{why}; run it again")
        self._person.wait(min(POLL_SECONDS, left), left)

    def _poll(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Ask whether it is so by now; a fault that may heal tells nothing. A 429 is no reason to go on asking."""
        self._fault = None
        try:
            return self._ask(method, path, **body)
        except FetchError as error:
            if not error.retryable or isinstance(error, RateLimited):
                raise
            self._fault = error
            return {}

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        reply = self._send(method, path, **body)
        if reply.status_code >= 300:
            raise _error(reply, _ASKED)
        return self._read(reply)

    def _send(self, method: str, path: str, **body: Any) -> requests.Response:
        # The library's session says that every body is a form.
        headers = {"Content-Type": "application/json"} if "json" in body else {}
        try:
            return self._http.request(method, REAL_URL + path, headers=headers, **body)
        except OSError as error:
            raise self._http.fault(error) from None

    def _read(self, reply: requests.Response) -> dict[str, Any]:
        return read_json("Robinhood", _ASKED, reply.content)


def _error(reply: requests.Response, asked: str) -> FetchError:
    if reply.status_code in (403, 404):
        return AuthError(
            f"Robinhood answered {asked} with status {reply.status_code}: it does not know this approval any more;"
            " begin anew with `optsync robinhood login`"
        )
    return status_error("Robinhood", asked, reply.status_code, reply.headers)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.replace("-", "").replace("_", "").isalnum():
        raise InvalidReply(f"Robinhood answered {_ASKED} without its {name}")
    return value
