"""Robinhood's doorkeeping: password, one-time code, tokens, and the verification of a device it has not seen before."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from optsync_pipeline.sandbox.accounts import (
    ROBINHOOD_PASSWORD,
    ROBINHOOD_SMS_CODE,
    ROBINHOOD_USERNAME,
    is_mfa_code,
)
from optsync_pipeline.sandbox.faults import FaultOrderError, told
from optsync_pipeline.sandbox.refusals import robinhood_refusal
from optsync_pipeline.sandbox.replies import Reply

Verification = Literal["device_approval", "sms"]


class AccountOrder(BaseModel):
    """How the account is to behave; what is left out stays as it is. approve: the owner taps "yes" in the app."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verification: Verification | None = None
    mfa_required: bool = True
    approve: bool = False


@dataclass(slots=True)
class _Workflow:
    """A device's verification under way, under three ids as the real one has."""

    device: str
    kind: Verification
    machine_id: str
    challenge_id: str
    is_approved: bool = False


class RobinhoodLogin:
    """The account of one sandbox."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._verification: Verification | None = None
        self._mfa_required = True
        self._approves_at_once = False
        self._tokens: set[str] = set()
        self._devices: set[str] = set()
        self._workflows: dict[str, _Workflow] = {}
        self._logins = 0

    def order(self, wish: dict[str, Any]) -> None:
        """Change how the account behaves. Raise FaultOrderError naming what is allowed."""
        try:
            order = AccountOrder.model_validate(wish)
        except ValidationError as error:
            raise FaultOrderError(told(error)) from None
        if "verification" in order.model_fields_set:
            self._verification, self._approves_at_once = order.verification, False
            self._devices.clear()
            self._workflows.clear()
        if "mfa_required" in order.model_fields_set:
            self._mfa_required = order.mfa_required
        if order.approve:
            self._approves_at_once = True
            for workflow in self._workflows.values():
                self._approve(workflow)

    def expire_tokens(self) -> None:
        """Make every token void that was given so far."""
        self._tokens.clear()

    def refusal(self, authorization: str | None) -> Reply | None:
        """Return what a request without a good token gets, or None where it is good."""
        if authorization is None:
            return robinhood_refusal(401, "Authentication credentials were not provided.")
        return None if authorization.removeprefix("Bearer ") in self._tokens else robinhood_refusal(401)

    def token(self, form: Mapping[str, str]) -> Reply:
        """Answer a login: tokens, a demand for a one-time code, a verification to go through, or a refusal."""
        if form.get("grant_type") != "password" or not form.get("device_token"):
            return robinhood_refusal(400, "grant_type and device_token are needed.")
        if (form.get("username"), form.get("password")) != (ROBINHOOD_USERNAME, ROBINHOOD_PASSWORD):
            return robinhood_refusal(400, "Unable to log in with provided credentials.")
        code, device = form.get("mfa_code"), form["device_token"]
        if self._mfa_required and not code:
            return Reply(200, orjson.dumps({"mfa_required": True, "mfa_type": "app"}))
        if self._mfa_required and not is_mfa_code(code or "", self._clock()):
            return robinhood_refusal(400, "Please enter a valid code.")
        if self._verification and device not in self._devices:
            return self._begin_verification(device, self._verification)
        return self._new_tokens(form)

    def machine(self, wish: Mapping[str, Any]) -> Reply:
        """Name the inquiry of a verification."""
        asked = wish.get("input")
        workflow = self._workflows.get(str(asked.get("workflow_id"))) if isinstance(asked, dict) else None
        return Reply(200, orjson.dumps({"id": workflow.machine_id})) if workflow else robinhood_refusal(404)

    def inquiry(self, machine_id: str) -> Reply:
        """Tell which challenge a verification consists of, and how it stands."""
        workflow = self._find("machine_id", machine_id)
        if workflow is None:
            return robinhood_refusal(404)
        kind = "prompt" if workflow.kind == "device_approval" else workflow.kind
        challenge = {"id": workflow.challenge_id, "type": kind, "status": _status(workflow)}
        return Reply(200, orjson.dumps({"context": {"sheriff_challenge": challenge}}))

    def go_on(self, machine_id: str) -> Reply:
        """Tell whether a verification is through."""
        workflow = self._find("machine_id", machine_id)
        if workflow is None:
            return robinhood_refusal(404)
        if workflow.is_approved:
            return Reply(200, orjson.dumps({"type_context": {"result": "workflow_status_approved"}}))
        pending = {"workflow_status": "workflow_status_internal_pending"}
        return Reply(200, orjson.dumps({"verification_workflow": pending}))

    def prompt(self, challenge_id: str) -> Reply:
        """Tell whether the owner has approved the device in the app."""
        workflow = self._find("challenge_id", challenge_id)
        if workflow is None:
            return robinhood_refusal(404)
        return Reply(200, orjson.dumps({"challenge_status": _status(workflow)}))

    def respond(self, challenge_id: str, form: Mapping[str, str]) -> Reply:
        """Take the code of a text message."""
        workflow = self._find("challenge_id", challenge_id)
        if workflow is None:
            return robinhood_refusal(404)
        if form.get("response") != ROBINHOOD_SMS_CODE:
            return robinhood_refusal(400, "The code is not valid.")
        self._approve(workflow)
        return Reply(200, orjson.dumps({"id": challenge_id, "status": "validated"}))

    def told(self) -> dict[str, Any]:
        """Return how the account behaves, and its counts of logins, good tokens, known devices and open prompts."""
        return {
            "verification": self._verification,
            "mfa_required": self._mfa_required,
            "logins": self._logins,
            "tokens": len(self._tokens),
            "devices": len(self._devices),
            "pending": sum(not workflow.is_approved for workflow in self._workflows.values()),
        }

    def _begin_verification(self, device: str, kind: Verification) -> Reply:
        workflow_id = _new_id()
        self._workflows[workflow_id] = workflow = _Workflow(device, kind, _new_id(), _new_id())
        if self._approves_at_once:
            self._approve(workflow)
        pending = {"id": workflow_id, "workflow_status": "workflow_status_internal_pending"}
        return Reply(403, orjson.dumps({"verification_workflow": pending}))

    def _approve(self, workflow: _Workflow) -> None:
        # Known is the device that asked to log in: robin_stocks verifies under a device token of the moment.
        workflow.is_approved = True
        self._devices.add(workflow.device)

    def _new_tokens(self, form: Mapping[str, str]) -> Reply:
        self._logins += 1
        token = secrets.token_hex(32)
        self._tokens.add(token)
        given = {"access_token": token, "refresh_token": secrets.token_hex(32), "token_type": "Bearer"}
        lasts = int(form["expires_in"]) if form.get("expires_in", "").isdigit() else 86_400
        rest = {"expires_in": lasts, "scope": form.get("scope", "internal"), "mfa_code": None, "backup_code": None}
        return Reply(200, orjson.dumps({**given, **rest}))

    def _find(self, name: str, wanted: str) -> _Workflow | None:
        return next((found for found in self._workflows.values() if getattr(found, name) == wanted), None)


def _status(workflow: _Workflow) -> str:
    return "validated" if workflow.is_approved else "issued"


def _new_id() -> str:
    return secrets.token_hex(16)
