"""A branch gateway of the test: it seals, chains and signs as the wire contract says, with the primitives alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from telemed.bootstrap import Application
from telemed.clock import iso
from telemed.crypto import wire
from telemed.ids import new_id
from tests import cast
from tests.make import Hands, meter_of

PATH = "/api/v1/readings"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
Item = dict[str, Any]


class Sender:
    """The gateway of one branch. `items` is its journal; `post` sends what it is given."""

    def __init__(self, application: Application, branch_id: UUID = cast.OZERKI) -> None:
        self.services, self.branch_id = application.services, branch_id
        self.client: FlaskClient = application.app.test_client()
        self.private = Ed25519PrivateKey.generate()
        public = self.private.public_key().public_bytes_raw()
        self.id = Hands(self.services).gateway(public, branch_id)
        with self.services.db.write() as tx:
            key = self.services.signer.key_for(tx, "ingest")
            self.key_id, self.ingest_key = str(key.id), X25519PublicKey.from_public_bytes(key.public_key)
        self.items: list[Item] = []
        self.body = b""  # what was sent last

    def opened(self, visit_id: UUID) -> Item:
        """Write into the journal that a visit was opened."""
        return self.add("visit_opened", visit_id)

    def closed(self, visit_id: UUID) -> Item:
        return self.add("visit_closed", visit_id)

    def reading(self, visit_id: UUID | None, **record: Any) -> Item:
        """Write a measurement into the journal; `record` changes the sealed document."""
        return self.add("reading", visit_id, record={**self.record(), **record})

    def record(self, kind: str = "blood_pressure", decoded: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a RECORD of a usable measurement taken now."""
        now = iso(self.services.clock())
        return {
            "v": 1, "kind": kind, "characteristic": "2a35" if kind == "blood_pressure" else "2a18",
            "raw": new_id().hex, "context_raw": None, "decoded": decoded or pressure(128, 82, 72),
            "meter": {"enrolment_id": str(meter_of(self.branch_id, kind)), "manufacturer": "Simulated",
                      "model": "SIM", "serial": "1", "firmware": "1.0"},
            "source": "gateway", "connection_id": str(new_id()), "ordinal": 1, "received_at": now,
            "effective_at": now, "time_quality": "live", "meter_time": None, "offset_s": 0, "verdict": "usable",
            "reasons": [],
        }  # fmt: skip

    def glucose(self, mmol_per_l: float | None, **record: Any) -> dict[str, Any]:
        """Return what makes a record one of glucose."""
        decoded = {"mmol_per_l": mmol_per_l, "unit": "mol/L", "status_flags": []}
        return {**self.record("glucose", decoded), **record}

    def add(
        self, kind: str, visit_id: UUID | None, *, record: dict[str, Any] | bytes | None = None,
        received_at: datetime | str | None = None, **change: Any,
    ) -> Item:  # fmt: skip
        """Append an item to the journal, chained to the one before."""
        at = received_at or self.services.clock()
        item: Item = {
            "seq": len(self.items) + 1, "kind": kind, "event_id": str(new_id()),
            "visit_id": str(visit_id) if visit_id else None, "received_at": at if isinstance(at, str) else iso(at),
            "reading_key": "", "key_id": "", "sealed": "", "prev": self.items[-1]["hash"] if self.items else "0" * 64,
        }  # fmt: skip
        if record is not None:
            plaintext = record if isinstance(record, bytes) else json.dumps(record).encode()
            item["key_id"] = self.key_id
            item["reading_key"] = hashlib.sha256(plaintext).hexdigest()
            info = wire.ingest_info(str(self.id), str(self.branch_id), {**item, **change})
            item["sealed"] = base64.b64encode(SUITE.encrypt(plaintext, self.ingest_key, info=info)).decode()
        item.update(change)
        item["hash"] = wire.chain_hash(str(self.id), str(self.branch_id), item)
        self.items.append(item)
        return item

    def post(self, items: list[Item] | None = None, **change: Any) -> TestResponse:
        """Send a signed batch of `items`, by default the whole journal."""
        return self.post_raw(self._document(self.items if items is None else items, **change))

    def signed(self, items: list[Item]) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a batch, to be sent by whatever client."""
        body = self._document(items)
        return body, {"Content-Type": "application/json", **self._signature(body)}

    def _document(self, items: list[Item], **change: Any) -> bytes:
        document = {
            "protocol": 1, "gateway_id": str(self.id), "epoch": str(self.services.epoch), "items": items, **change,
        }  # fmt: skip
        return json.dumps(document).encode()

    def _signature(self, body: bytes) -> dict[str, str]:
        signature = self.private.sign(wire.request_message("POST", PATH, body))
        return {"Telemed-Gateway": str(self.id), "Telemed-Signature": base64.b64encode(signature).decode()}

    def post_raw(self, body: bytes, **headers: str) -> TestResponse:
        """Send bytes with a right signature; `headers` replace it."""
        self.body = body
        signed = {**self._signature(body), **headers}
        return self.client.post(PATH, data=body, content_type="application/json", headers=signed)

    def judged(self, items: list[Item] | None = None) -> list[tuple[str, str | None]]:
        """Send items and return status and code of each."""
        response = self.post(items)
        assert response.status_code == 200, response.text
        return [(result["status"], result["code"]) for result in response.get_json()["results"]]


def pressure(systolic: float, diastolic: float, pulse: float, *, irregular: bool = False) -> dict[str, Any]:
    """Return decoded values of a blood pressure."""
    return {
        "systolic_mmhg": systolic, "diastolic_mmhg": diastolic, "pulse_rate": pulse, "unit": "mmHg",
        "status": {"irregular_pulse": irregular},
    }  # fmt: skip


def later(clock: Callable[[], datetime], **delta: float) -> str:
    """Return the wire time of a moment after now."""
    return iso(clock() + timedelta(**delta))
