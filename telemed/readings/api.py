"""JSON for gateways: POST /api/v1/readings."""

from __future__ import annotations

import json

from flask import Blueprint, Response, g, make_response, request
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from telemed.branches import service as branches
from telemed.errors import Invalid, TelemedError
from telemed.readings import service_ingest
from telemed.readings.wire import Batch, BatchAnswer
from telemed.web.errors import as_document
from telemed.web.guard import guard, services

api = Blueprint("readings_api", __name__)
MAX_BATCH = 512_000


@api.post("/api/v1/readings")
@guard("reading.submit", machine=True, body=Batch, answer=BatchAnswer)
def submit() -> ResponseReturnValue:
    """Take a gateway's batch; answer per item. Refusals are signed too: the gateway acts on nothing unsigned."""
    body = request.get_data()
    gateway = branches.gateway_principal(services(), request.headers, request.method, request.path, body)
    try:
        answer = service_ingest.ingest(services(), gateway, _batch(body))
    except TelemedError as error:
        document = {**as_document(error), "request_id": g.get("request_id")}
        return signed(json.dumps(document).encode(), body, error.status)
    return signed(answer.model_dump_json().encode(), body)


def _batch(body: bytes) -> Batch:
    if len(body) > MAX_BATCH:
        raise Invalid("batch_invalid")
    try:
        return Batch.model_validate_json(body)
    except ValidationError:
        raise Invalid("batch_invalid") from None


def signed(answer: bytes, body: bytes, status: int = 200) -> Response:
    """Return a JSON answer with the server's signature over it and the request."""
    response = make_response(answer, status)
    response.headers["Content-Type"] = "application/json"
    response.headers.update(branches.sign_answer(services(), request.path, body, answer))
    return response
