"""The golden bytes of an older commit hold on both sides: its gateway with today's server, and the other way round."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import sealing
from devices import wire as gateway_wire
from telemed.branches.api import Heartbeat, JoinBody
from telemed.crypto import signing
from telemed.crypto import wire as server_wire
from telemed.readings.wire import Batch, BatchAnswer, Record
from tests.carried.folders import COMMITS, HERE

each_commit = pytest.mark.parametrize("commit", COMMITS)


def golden(commit: str, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HERE / commit / "contract" / f"wire-{name}.json").read_text())
    return document


def public(file: dict[str, Any], side: str) -> bytes:
    return base64.b64decode(file["keys"][side]["public"])


@each_commit
@pytest.mark.parametrize("name", ["heartbeat", "readings"])
def test_each_side_checks_the_older_sides_signature(commit: str, name: str) -> None:
    file = golden(commit, name)
    request, response = file["request_body"].encode(), file["response_body"].encode()
    asked = server_wire.request_message(file["method"], file["path"], request)
    answered = gateway_wire.response_message(file["path"], request, response)
    by_gateway = base64.b64decode(file["request_headers"][gateway_wire.SIGNATURE_HEADER])
    by_server = base64.b64decode(file["response_headers"][gateway_wire.SERVER_SIGNATURE_HEADER])

    assert signing.verify(public(file, "gateway"), by_gateway, asked)
    assert sealing.is_signed_by(public(file, "server"), answered, by_server)


@each_commit
def test_todays_server_reads_what_the_older_gateway_sends(commit: str) -> None:
    JoinBody.model_validate_json(golden(commit, "join")["request_body"])
    beat = Heartbeat.model_validate_json(golden(commit, "heartbeat")["request_body"])
    file = golden(commit, "readings")
    batch = Batch.model_validate_json(file["request_body"])
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(file["keys"]["ingest"]["private"]))
    ids = (file["gateway_id"], file["branch_id"])

    assert beat.meters[0].serial == "SIM-0001"
    assert len(batch.items) == 4
    for item, step in zip(json.loads(file["request_body"])["items"], file["steps"], strict=True):
        assert server_wire.chain_hash(*ids, item) == item["hash"] == step["hash"]
        if item["sealed"]:
            info = server_wire.ingest_info(*ids, item)
            opened = signing.SUITE.decrypt(base64.b64decode(item["sealed"]), private, info=info)
            assert Record.model_validate_json(opened).verdict == "usable"


@each_commit
def test_todays_server_answers_what_the_older_gateway_reads(commit: str) -> None:
    old = json.loads(golden(commit, "readings")["response_body"])
    answer = BatchAnswer.model_validate(old).model_dump(mode="json")

    assert old.keys() <= answer.keys()
    assert [result.keys() for result in answer["results"]] >= [result.keys() for result in old["results"]]


@each_commit
def test_todays_gateway_reads_what_the_older_server_answers(commit: str) -> None:
    joined = gateway_wire.parse_joined(golden(commit, "join")["response_body"].encode())
    answer = gateway_wire.parse_heartbeat(golden(commit, "heartbeat")["response_body"].encode())
    judged = gateway_wire.parse_readings_answer(golden(commit, "readings")["response_body"].encode())

    assert joined.demo is True
    assert [order.no for order in answer.orders] == list(range(4, 13))
    assert [result.status for result in judged.results] == ["accepted", "accepted", "quarantined", "accepted"]


@each_commit
def test_todays_gateway_sends_what_the_older_server_reads(commit: str) -> None:
    """The older server refuses a batch with a field it does not know, so these are the same bytes."""
    file, join = golden(commit, "readings"), json.loads(golden(commit, "join")["request_body"])
    items = [gateway_wire.Item(**item) for item in json.loads(file["request_body"])["items"]]
    batch = gateway_wire.readings_request(file["gateway_id"], file["epoch"], items)
    key = base64.b64decode(join["public_key"])

    assert batch.decode() == file["request_body"]
    request = gateway_wire.join_request(join["code"], join["gateway_id"], key, join["name"])
    assert json.loads(request) == join
