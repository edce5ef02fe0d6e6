"""JSON for gateways: POST /api/v1/readings."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, request
from flask.typing import ResponseReturnValue

from telemed.branches import service as branches
from telemed.errors import Invalid
from telemed.readings import service
from telemed.readings.wire import Batch, BatchAnswer
from telemed.web.body import read_json
from telemed.web.guard import guard, services

api = Blueprint("readings_api", __name__)
MAX_BATCH = 512_000


@api.post("/api/v1/readings")
@guard("reading.submit", machine=True, body=Batch, answer=BatchAnswer)
def submit() -> ResponseReturnValue:
    """Take a gateway's batch; answer per item, signed."""
    body = request.get_data()
    if len(body) > MAX_BATCH:
        raise Invalid("batch_invalid")
    gateway = branches.gateway_principal(services(), request.headers, request.method, request.path, body)
    answer = service.ingest(services(), gateway, read_json(Batch))
    return signed(answer.model_dump_json().encode(), body)


def signed(answer: bytes, body: bytes) -> Response:
    """Return a JSON answer with the server's signature over it and the request."""
    response = make_response(answer)
    response.headers["Content-Type"] = "application/json"
    response.headers.update(branches.sign_answer(services(), request.path, body, answer))
    return response
