"""Writes tests/contract/wire-*.json anew. Run by hand only when the protocol itself changes:

    .venv/bin/python tests/devices/write_wire_golden.py

The keys in these files are for tests alone. Sealing is random, so `sealed` differs at each run and all after it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: E402

from devices import sealing, wire  # noqa: E402

CONTRACT = ROOT / "tests" / "contract"

GATEWAY_ID = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f1a01"
BRANCH_ID = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f1b01"
DEPLOYMENT_ID = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f1d01"
EPOCH = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f1e01"
VISIT_ID = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f1c01"
BP_METER = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f2001"
GLUCOSE_METER = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f2002"
CONNECTION_ID = "6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f3001"

GATEWAY_SECRET = bytes(range(32))
SERVER_SECRET = bytes(range(32, 64))
INGEST_SECRET = bytes(range(64, 96))
INGEST_KEY_ID = "ingest-2026-1"
SERVER_KEY_ID = "server-2026-1"

BP_RAW = bytes.fromhex("1e800052006100ea070b170a000a4800010000")
GLUCOSE_RAW = bytes.fromhex("0f0700ea070b170a001400003ac0110000")

BP_DECODED = {
    "unit": "mmHg",
    "systolic": 128,
    "diastolic": 82,
    "mean_arterial_pressure": 97,
    "systolic_mmhg": 128,
    "diastolic_mmhg": 82,
    "timestamp": "2026-11-23T10:00:10",
    "timestamp_fields": {"year": 2026, "month": 11, "day": 23, "hour": 10, "minute": 0, "second": 10},
    "pulse_rate": 72,
    "user_id": 1,
    "status_raw": 0,
    "status": {
        "body_movement": False,
        "cuff_too_loose": False,
        "irregular_pulse": False,
        "pulse_rate_range": "in_range",
        "improper_position": False,
    },
    "usable": True,
}
RULESET = {
    "id": "demo-1",
    "series": {
        "blood_pressure": {"rest_s": 5, "readings": 3, "interval_s": 3, "extra_when_differs_mmhg": 10},
        "glucose": {"readings": 1},
    },
    "triage": {"id": "triage-ru-2026.1"},
}


def keys() -> dict[str, Any]:
    """Return every key of the files, secret halves too."""
    gateway, server = sealing.SigningKey(GATEWAY_SECRET), sealing.SigningKey(SERVER_SECRET)
    ingest = X25519PrivateKey.from_private_bytes(INGEST_SECRET)
    return {
        "gateway": {"private": wire.b64(GATEWAY_SECRET), "public": wire.b64(gateway.public_bytes())},
        "server": {
            "id": SERVER_KEY_ID,
            "private": wire.b64(SERVER_SECRET),
            "public": wire.b64(server.public_bytes()),
        },
        "ingest": {
            "id": INGEST_KEY_ID,
            "private": wire.b64(INGEST_SECRET),
            "public": wire.b64(ingest.public_key().public_bytes_raw()),
        },
    }


def record(kind: str, raw: bytes, decoded: dict[str, Any], meter: dict[str, Any], ordinal: int) -> dict[str, Any]:
    """Return one plaintext record."""
    return {
        "v": 1,
        "kind": kind,
        "characteristic": {"blood_pressure": "2a35", "glucose": "2a18"}[kind],
        "raw": raw.hex(),
        "context_raw": None,
        "decoded": decoded,
        "meter": meter,
        "source": "simulated",
        "connection_id": CONNECTION_ID,
        "ordinal": ordinal,
        "received_at": "2026-11-23T10:00:11.250Z",
        "effective_at": "2026-11-23T10:00:11.250Z",
        "time_quality": "live",
        "meter_time": "2026-11-23T10:00:10",
        "offset_s": 1,
        "verdict": "usable",
        "reasons": [],
    }


class Chain:
    """Builds items one on the other and keeps every intermediate."""

    def __init__(self) -> None:
        self.prev = wire.CHAIN_START
        self.items: list[wire.Item] = []
        self.steps: list[dict[str, Any]] = []

    def add(self, kind: str, visit_id: str | None, received_at: str, plain: dict[str, Any] | None, key: str) -> None:
        seq = len(self.items) + 1
        step: dict[str, Any] = {"seq": seq}
        sealed, key_id = "", ""
        if plain is not None:
            key_id = INGEST_KEY_ID
            ingest = wire.from_b64(keys()["ingest"]["public"])
            info = wire.ingest_info(GATEWAY_ID, BRANCH_ID, key_id, seq, self.prev, visit_id, received_at)
            plaintext = wire.to_bytes(plain)
            sealed = wire.b64(sealing.seal(ingest, info, plaintext))
            step |= {"info_hex": info.hex(), "plaintext": plaintext.decode(), "record": plain}
        event_id = f"6a0d5c1e-3f52-4d3e-9d61-0f3f0a6f40{seq:02d}"
        item = wire.Item(seq, kind, event_id, visit_id, received_at, key, key_id, sealed, self.prev, "")
        digest = wire.chain_hash(GATEWAY_ID, BRANCH_ID, item)
        item = wire.Item(**{**vars(item), "hash": digest})
        self.steps.append(step | {"hash": digest})
        self.items.append(item)
        self.prev = digest


def chain() -> Chain:
    """Return visit opened, one pressure, one glucose outside any visit, visit closed."""
    built = Chain()
    bp_meter = {
        "enrolment_id": BP_METER,
        "manufacturer": "Simulated",
        "model": "SIM-BP",
        "serial": "SIM-0001",
        "firmware": "1.0",
    }
    glucose_meter = bp_meter | {"enrolment_id": GLUCOSE_METER, "model": "SIM-GL", "serial": "SIM-0002"}
    received_at = "2026-11-23T10:00:11.250Z"
    built.add(wire.VISIT_OPENED, VISIT_ID, "2026-11-23T10:00:00.000Z", None, "")
    key = wire.reading_key(BP_METER, "2a35", BP_RAW, VISIT_ID, 1, True)
    built.add(wire.READING, VISIT_ID, received_at, record("blood_pressure", BP_RAW, BP_DECODED, bp_meter, 1), key)
    key = wire.reading_key(GLUCOSE_METER, "2a18", GLUCOSE_RAW, None, 1, True)
    glucose = record("glucose", GLUCOSE_RAW, glucose_decoded(), glucose_meter, 1)
    built.add(wire.READING, None, received_at, glucose, key)
    built.add(wire.VISIT_CLOSED, VISIT_ID, "2026-11-23T10:05:00.000Z", None, "")
    return built


def glucose_decoded() -> dict[str, Any]:
    """Return 5.8 mmol/L, capillary whole blood from a finger, as the decode contract says it."""
    return {
        "sequence_number": 7,
        "base_time": "2026-11-23T10:00:20",
        "time_offset_min": 0,
        "measured_at": "2026-11-23T10:00:20",
        "concentration": 0.0058,
        "unit": "mol/L",
        "mmol_per_l": 5.8,
        "mg_per_dl": 104.5,
        "type": 1,
        "type_name": "capillary whole blood",
        "sample_location": 1,
        "sample_location_name": "finger",
        "control_solution": False,
        "status_raw": 0,
        "status_flags": [],
        "context_follows": False,
    }


def exchange(path: str, request: bytes, response: bytes) -> dict[str, Any]:
    """Return both bodies with the signatures and what was signed."""
    gateway, server = sealing.SigningKey(GATEWAY_SECRET), sealing.SigningKey(SERVER_SECRET)
    asked, answered = wire.request_message("POST", path, request), wire.response_message(path, request, response)
    return {
        "method": "POST",
        "path": path,
        "request_body": request.decode(),
        "request_body_sha256": hashlib.sha256(request).hexdigest(),
        "request_signed_hex": asked.hex(),
        "request_headers": {
            wire.GATEWAY_HEADER: GATEWAY_ID,
            wire.SIGNATURE_HEADER: wire.b64(gateway.sign(asked)),
        },
        "response_status": 200,
        "response_body": response.decode(),
        "response_body_sha256": hashlib.sha256(response).hexdigest(),
        "response_signed_hex": answered.hex(),
        "response_headers": {
            wire.SERVER_KEY_HEADER: SERVER_KEY_ID,
            wire.SERVER_SIGNATURE_HEADER: wire.b64(server.sign(answered)),
        },
    }


def join_file() -> dict[str, Any]:
    """Return the join exchange; it alone is not signed, the code is its proof."""
    gateway = sealing.SigningKey(GATEWAY_SECRET)
    known = keys()
    response = {
        "gateway_id": GATEWAY_ID,
        "branch_id": BRANCH_ID,
        "branch_name": "Отделение 100001",
        "deployment_id": DEPLOYMENT_ID,
        "epoch": EPOCH,
        "time": "2026-11-23T09:59:00.000Z",
        "ingest_key": {"id": INGEST_KEY_ID, "public_key": known["ingest"]["public"]},
        "server_key": {"id": SERVER_KEY_ID, "public_key": known["server"]["public"]},
        "ruleset": RULESET,
        "demo": True,
        "next_poll_s": 2,
    }
    request = wire.join_request("7KQ2-M4XA-9TPB", GATEWAY_ID, gateway.public_bytes(), "Corner 1")
    return {
        "keys": known,
        "method": "POST",
        "path": wire.JOIN_PATH,
        "request_body": request.decode(),
        "response_status": 200,
        "response_body": wire.to_bytes(response).decode(),
    }


def heartbeat_file() -> dict[str, Any]:
    """Return one heartbeat with every kind of order in its answer."""
    meter = {
        "enrolment_id": BP_METER,
        "kind": "blood_pressure",
        "manufacturer": "Simulated",
        "model": "SIM-BP",
        "serial": "SIM-0001",
        "battery_pct": 87,
        "drift_s": 1,
        "last_seen_at": "2026-11-23T10:00:11.250Z",
        "enrolment": "failed",
        "enrolment_code": "bond_lost",
    }
    request = {
        "protocol": wire.PROTOCOL,
        "gateway_id": GATEWAY_ID,
        "beat": 41,
        "last_order": 3,
        "queue": 2,
        "open_visit": VISIT_ID,
        "radio": "simulated",
        "status": "ok",
        "outage": {"code": "line_hijacked", "since": "2026-11-23T09:40:00.000Z", "until": "2026-11-23T09:58:00.000Z"},
        "version": "0.1.0",
        "meters": [meter],
        "journal": {"undecodable": 0, "undecodable_at": None, "stored": 4, "oldest_unsent_at": "2026-11-23T10:00:11.250Z"},
    }
    orders: list[dict[str, Any]] = [
        {"no": 4, "kind": "open_visit", "visit_id": VISIT_ID},
        {"no": 5, "kind": "take_series", "visit_id": VISIT_ID, "meter": "blood_pressure", "ordinal": 1},
        {"no": 6, "kind": "close_visit", "visit_id": VISIT_ID},
        {"no": 7, "kind": "enrol_meter", "enrolment_id": BP_METER, "meter": "blood_pressure", "name": "SIM-BP"},
        {"no": 8, "kind": "forget_meter", "enrolment_id": BP_METER},
        {"no": 9, "kind": "ruleset", "ruleset": RULESET},
        {"no": 10, "kind": "ingest_key", "id": INGEST_KEY_ID, "public_key": keys()["ingest"]["public"]},
        {"no": 11, "kind": "simulate", "meter": "blood_pressure", "values": {"systolic": 128}, "fault": None},
        {"no": 12, "kind": "passkey", "enrolment_id": BP_METER, "passkey": "123456"},
    ]
    response = {
        "epoch": EPOCH,
        "time": "2026-11-23T10:00:12.000Z",
        "watermark": 2,
        "next_poll_s": 2.0,
        "orders": orders,
    }
    return {"keys": keys()} | exchange(wire.HEARTBEAT_PATH, wire.to_bytes(request), wire.to_bytes(response))


def readings_file() -> dict[str, Any]:
    """Return one batch of four items with every intermediate."""
    built = chain()
    results = [
        {"seq": 1, "event_id": built.items[0].event_id, "status": "accepted", "code": None},
        {"seq": 2, "event_id": built.items[1].event_id, "status": "accepted", "code": None},
        {"seq": 3, "event_id": built.items[2].event_id, "status": "quarantined", "code": "no_visit"},
        {"seq": 4, "event_id": built.items[3].event_id, "status": "accepted", "code": None},
    ]
    response = {"epoch": EPOCH, "time": "2026-11-23T10:05:00.100Z", "watermark": 4, "results": results}
    request = wire.readings_request(GATEWAY_ID, EPOCH, built.items)
    return {
        "keys": keys(),
        "gateway_id": GATEWAY_ID,
        "branch_id": BRANCH_ID,
        "epoch": EPOCH,
        "steps": built.steps,
    } | exchange(wire.READINGS_PATH, request, wire.to_bytes(response))


def main() -> None:
    """Write the three files."""
    CONTRACT.mkdir(exist_ok=True)
    files = {"join": join_file(), "heartbeat": heartbeat_file(), "readings": readings_file()}
    for name, document in files.items():
        text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
        (CONTRACT / f"wire-{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
