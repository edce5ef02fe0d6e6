"""The server reads the golden bytes of the wire exactly as the gateway wrote them, in every intermediate."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from telemed.crypto import signing, wire

GOLDEN = Path(__file__).parent.parent / "contract"


@pytest.mark.parametrize("name", ["wire-heartbeat.json", "wire-readings.json"])
def test_what_is_signed_of_a_request_and_its_answer_is_as_agreed(name: str) -> None:
    golden = json.loads((GOLDEN / name).read_text())
    request, response = golden["request_body"].encode(), golden["response_body"].encode()
    asked = wire.request_message(golden["method"], golden["path"], request)
    answered = wire.answer_message(golden["path"], request, response)

    assert asked.hex() == golden["request_signed_hex"]
    assert answered.hex() == golden["response_signed_hex"]
    for side, message, header in (
        ("gateway", asked, golden["request_headers"]["Telemed-Signature"]),
        ("server", answered, golden["response_headers"]["Telemed-Server-Signature"]),
    ):
        public = base64.b64decode(golden["keys"][side]["public"])
        assert signing.verify(public, base64.b64decode(header), message)
        assert not signing.verify(public, base64.b64decode(header), message + b"x")


def test_every_golden_item_has_the_agreed_hash_and_opens_with_the_agreed_context() -> None:
    golden = json.loads((GOLDEN / "wire-readings.json").read_text())
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(golden["keys"]["ingest"]["private"]))
    ids = (golden["gateway_id"], golden["branch_id"])

    for item, step in zip(json.loads(golden["request_body"])["items"], golden["steps"], strict=True):
        assert wire.chain_hash(*ids, item) == item["hash"] == step["hash"]
        if item["kind"] == "reading":
            info = wire.ingest_info(*ids, item)
            assert info.hex() == step["info_hex"]
            opened = signing.SUITE.decrypt(base64.b64decode(item["sealed"]), private, info=info)
            assert opened.decode() == step["plaintext"]
