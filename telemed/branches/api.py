"""JSON for gateways: join and heartbeat."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint, Response, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from telemed.branches import service
from telemed.errors import Invalid, TelemedError
from telemed.web.body import read_json
from telemed.web.errors import as_document
from telemed.web.guard import guard, services

api = Blueprint("branches_api", __name__)


class _Lenient(BaseModel):
    """Newer gateways may say more than we know."""

    model_config = ConfigDict(extra="ignore")


class JoinBody(_Lenient):
    protocol: Literal[1]
    code: str = Field(max_length=40)
    gateway_id: UUID
    public_key: str = Field(max_length=64)
    name: str = Field(default="", max_length=120)


class MeterReport(_Lenient):
    enrolment_id: UUID
    manufacturer: str | None = Field(default=None, max_length=80)
    model: str | None = Field(default=None, max_length=80)
    serial: str | None = Field(default=None, max_length=80)
    battery_pct: int | None = Field(default=None, ge=0, le=100)
    drift_s: int | None = Field(default=None, ge=-(2**31), lt=2**31)
    last_seen_at: AwareDatetime | None = None
    enrolment: Literal["looking", "found", "passkey_needed", "enrolled", "failed"] | None = None
    enrolment_code: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")
    trouble: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")


class JournalReport(_Lenient):
    undecodable: int = Field(default=0, ge=0, lt=2**31)
    undecodable_at: AwareDatetime | None = None
    oldest_unsent_at: AwareDatetime | None = None


class Outage(_Lenient):
    code: str = Field(max_length=32, pattern=r"^[a-z_]+$")
    since: AwareDatetime
    until: AwareDatetime


class Heartbeat(_Lenient):
    protocol: Literal[1]
    gateway_id: UUID
    beat: int = Field(ge=1, lt=2**31)
    last_order: int = Field(ge=0, lt=2**31)
    queue: int = Field(ge=0, lt=2**31)
    open_visit: UUID | None = None
    radio: Literal["system", "simulated"]
    status: str = Field(max_length=32, pattern=r"^[a-z_]+$")
    version: str = Field(default="", max_length=32)
    meters: list[MeterReport] = Field(default=[], max_length=50)
    journal: JournalReport = JournalReport()
    outage: Outage | None = None


@api.post("/api/v1/gateway/join")
@guard("gateway.join", machine=True, body=JoinBody)
def join() -> ResponseReturnValue:
    """Register a gateway by its one-time code."""
    body = read_json(JoinBody)
    try:
        public_key = base64.b64decode(body.public_key, validate=True)
    except binascii.Error:
        raise Invalid("body_invalid", fields={"public_key": "invalid"}) from None
    return jsonify(service.join(services(), body.code, body.gateway_id, public_key, body.name))


@api.post("/api/v1/gateway/heartbeat")
@guard("gateway.heartbeat", machine=True, body=Heartbeat)
def heartbeat() -> ResponseReturnValue:
    """Take a gateway's state and give it its orders. Refusals are signed too: the gateway acts on nothing unsigned."""
    raw = request.get_data()
    gateway = service.gateway_principal(services(), request.headers, request.method, request.path, raw)
    try:
        document = service.heartbeat(services(), gateway, read_json(Heartbeat).model_dump())
    except TelemedError as error:
        return signed({**as_document(error), "request_id": g.get("request_id")}, raw, error.status)
    return signed(document, raw)


def signed(document: dict[str, Any], request_body: bytes, status: int = 200) -> Response:
    """Return a JSON answer with the server's signature over it and the request."""
    answer = json.dumps(document, separators=(",", ":")).encode()
    response = make_response(answer, status)
    response.headers["Content-Type"] = "application/json"
    response.headers.update(service.sign_answer(services(), request.path, request_body, answer))
    return response
