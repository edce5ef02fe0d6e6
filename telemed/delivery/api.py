"""JSON of delivery: the postman's phone.

A proof is the 32 hex characters of the slip's secret; `proof_hash` is the SHA-256 of that text in lower case.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from pydantic import Field

from telemed.clock import iso
from telemed.delivery import service
from telemed.errors import Invalid
from telemed.ids import parse_id
from telemed.web.body import Body, read_json
from telemed.web.guard import guard, services, who

api = Blueprint("delivery_api", __name__)
MAX_EVENTS = 200


class PhoneBody(Body):
    device_id: UUID


class PhoneAnswer(Body):
    """`time`: the server's word, because a phone's clock proves nothing."""

    device_id: UUID
    watermark: int
    time: str


class SyncBody(Body):
    """`events`: each {event_id, device_seq, kind, parcel_id, happened_at, proof, reason}. One that cannot be read is
    answered by itself, so that it never holds up the others.
    """

    device_id: UUID
    epoch: UUID | None
    events: list[dict[str, Any]] = Field(max_length=MAX_EVENTS)


class ResultAnswer(Body):
    event_id: UUID | None
    device_seq: int | None
    status: str
    code: str | None
    was: str | None


class SyncAnswer(Body):
    epoch: UUID
    watermark: int
    time: str
    results: list[ResultAnswer]


class ParcelAnswer(Body):
    parcel_id: UUID
    number: str
    state: str
    name: str
    address: str
    place: str
    flags: list[str]
    weight_g: int | None
    proof_hash: str


class RoundAnswer(Body):
    """`csrf`: a fresh form token, because the page may come from the phone's own store."""

    postman_id: UUID
    epoch: UUID
    watermark: int
    time: str
    csrf: str
    parcels: list[ParcelAnswer]


@api.post("/api/v1/delivery/phones")
@guard("phone.register", body=PhoneBody, answer=PhoneAnswer)
def register_phone() -> ResponseReturnValue:
    """Register the phone under the id it chose."""
    body = read_json(PhoneBody)
    watermark = service.register_phone(services(), who(), body.device_id)
    return jsonify(
        {"device_id": str(body.device_id), "watermark": watermark, "time": iso(services().clock())}
    )


@api.get("/api/v1/delivery/round")
@guard("round.read", answer=RoundAnswer)
def read_round() -> ResponseReturnValue:
    """Give the phone the parcels that its postman has in hands."""
    device_id = parse_id(request.args.get("device_id", ""))
    if device_id is None:
        raise Invalid("body_invalid", fields={"device_id": "not_an_id"})
    shown = service.open_round(services(), who(), device_id)
    return jsonify(
        {
            "postman_id": str(shown.postman_id),
            "epoch": str(shown.epoch),
            "watermark": shown.watermark,
            "time": iso(shown.time),
            "csrf": generate_csrf(),
            "parcels": [vars(stop) for stop in shown.stops],
        }
    )


@api.post("/api/v1/delivery/sync")
@guard("round.sync", body=SyncBody, answer=SyncAnswer)
def sync() -> ResponseReturnValue:
    """Take what the phone recorded; each event by its own id, so a repeat is harmless whatever its key."""
    body = read_json(SyncBody)
    answer = service.sync(services(), who(), body.device_id, body.events)
    return jsonify(
        {
            "epoch": str(answer.epoch),
            "watermark": answer.watermark,
            "time": iso(answer.time),
            "results": [vars(result) for result in answer.results],
        }
    )
