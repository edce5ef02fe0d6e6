"""The bytes between gateway and server are those of tests/contract/wire-*.json."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import profiles, sealing, wire

CONTRACT = Path(__file__).resolve().parents[1] / "contract"


def golden(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CONTRACT / f"wire-{name}.json").read_text())
    return document


def test_length_prefixes_keep_two_lists_of_fields_apart() -> None:
    assert wire.fields("ab", "c") == b"\x00\x02ab\x00\x01c"
    assert wire.fields("ab", "c") != wire.fields("a", "bc")
    assert wire.lp(12) == b"\x00\x0212"
    assert wire.lp("Минск") == b"\x00\x0a" + "Минск".encode()


def test_canonical_json_keeps_the_digits_of_the_meter() -> None:
    document = {"b": Decimal("18.90"), "a": [None, True, "я", 1], "c": Decimal("1E+2")}

    assert wire.to_bytes(document) == '{"a":[null,true,"я",1],"b":18.90,"c":100}'.encode()


@pytest.mark.parametrize("name", ["heartbeat", "readings"])
def test_golden_signatures_hold_on_both_sides(name: str) -> None:
    file = golden(name)
    request, response = file["request_body"].encode(), file["response_body"].encode()
    asked = wire.request_message(file["method"], file["path"], request)
    answered = wire.response_message(file["path"], request, response)
    gateway = wire.from_b64(file["keys"]["gateway"]["public"])
    server = wire.from_b64(file["keys"]["server"]["public"])

    assert asked.hex() == file["request_signed_hex"]
    assert answered.hex() == file["response_signed_hex"]
    signature = wire.from_b64(file["request_headers"][wire.SIGNATURE_HEADER])
    assert sealing.is_signed_by(gateway, asked, signature)
    assert not sealing.is_signed_by(server, asked, signature)
    server_signature = wire.from_b64(file["response_headers"][wire.SERVER_SIGNATURE_HEADER])
    assert sealing.is_signed_by(server, answered, server_signature)
    assert not sealing.is_signed_by(server, wire.response_message(file["path"], request, b"{}"), server_signature)


def test_golden_chain_hashes_and_seals_hold() -> None:
    file = golden("readings")
    ingest = X25519PrivateKey.from_private_bytes(wire.from_b64(file["keys"]["ingest"]["private"]))
    items = [wire.Item(**entry) for entry in json.loads(file["request_body"])["items"]]
    prev = wire.CHAIN_START

    for item, step in zip(items, file["steps"], strict=True):
        assert item.prev == prev
        assert wire.chain_hash(file["gateway_id"], file["branch_id"], item) == item.hash == step["hash"]
        prev = item.hash
        if item.kind != wire.READING:
            assert item.sealed == ""
            continue
        info = wire.ingest_info(
            file["gateway_id"],
            file["branch_id"],
            item.key_id,
            item.seq,
            item.prev,
            item.visit_id,
            item.received_at,
        )
        assert info.hex() == step["info_hex"]
        opened = sealing.INGEST_SUITE.decrypt(wire.from_b64(item.sealed), ingest, info)
        assert opened.decode() == step["plaintext"]
        assert json.loads(opened) == step["record"]


def test_golden_reading_keys_hold() -> None:
    file = golden("readings")
    items = json.loads(file["request_body"])["items"]
    for item, step in zip(items, file["steps"], strict=True):
        if record := step.get("record"):
            raw = bytes.fromhex(record["raw"])
            key = wire.reading_key(
                record["meter"]["enrolment_id"],
                record["characteristic"],
                raw,
                item["visit_id"],
                record["ordinal"],
                has_time_stamp=record["meter_time"] is not None,
            )

            assert key == item["reading_key"]


def test_two_equal_packets_without_time_stamp_are_two_readings_of_a_visit() -> None:
    keys = {wire.reading_key("m", "2a35", b"\x00", "visit", ordinal, False) for ordinal in (1, 2)}

    assert len(keys) == 2
    assert wire.reading_key("m", "2a35", b"\x00", "visit", 1, True) == wire.reading_key(
        "m", "2a35", b"\x00", "", 2, True
    )


def test_golden_join_is_read_and_written() -> None:
    file = golden("join")
    joined = wire.parse_joined(file["response_body"].encode())
    request = json.loads(file["request_body"])
    written = wire.join_request(
        request["code"], request["gateway_id"], wire.from_b64(request["public_key"]), request["name"]
    )

    assert written.decode() == file["request_body"]
    assert wire.b64(joined.server_key.raw) == file["keys"]["server"]["public"]
    assert wire.b64(joined.ingest_key.raw) == file["keys"]["ingest"]["public"]
    assert joined.demo is True


def test_golden_orders_come_sorted_with_their_facts() -> None:
    answer = wire.parse_heartbeat(golden("heartbeat")["response_body"].encode())

    assert [order.no for order in answer.orders] == list(range(4, 13))
    assert answer.orders[1].facts["meter"] == "blood_pressure"
    assert answer.next_poll_s == 2.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hotel</html>",
        b"[]",
        b'{"epoch":1}',
        b'{"epoch":"e","time":"x","watermark":0}',
        b'{"epoch":"e","time":"2026-11-23T10:00:00","watermark":0,"orders":[],"next_poll_s":1}',
        b'{"epoch":"e","time":"2026-11-23T10:00:00Z","watermark":-1,"orders":[],"next_poll_s":1}',
        b'{"epoch":"e","time":"2026-11-23T10:00:00Z","watermark":true,"orders":[],"next_poll_s":1}',
        b'{"epoch":"e","time":"2026-11-23T10:00:00Z","watermark":0,"orders":[1],"next_poll_s":1}',
        b'{"epoch":"e","time":"2026-11-23T10:00:00Z","watermark":0,"orders":[],"next_poll_s":0}',
    ],
)
def test_an_answer_that_is_none_is_refused_by_a_typed_error(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_heartbeat(body)


def test_golden_records_are_what_the_decoders_say() -> None:
    for step in golden("readings")["steps"]:
        if record := step.get("record"):
            decoded = profiles.decode(record["characteristic"], bytes.fromhex(record["raw"]))

            assert json.loads(wire.to_bytes(decoded)) == record["decoded"]
