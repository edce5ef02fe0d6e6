"""What a stored reading and an opened item cost the server, against the bare primitives and a raw insert."""

from __future__ import annotations

import base64
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy.orm import Session

from bench.figure import Figure, against, median_cpu_s
from telemed.access.relations import Principal
from telemed.bootstrap import Application, build
from telemed.crypto import signing, wire
from telemed.crypto.signing import KeyPair
from telemed.ids import parse_id
from telemed.readings import service_ingest
from telemed.readings.wire import Batch
from tests.conftest import prepare, settings_for
from tests.make import Hands
from tests.readings.sender import SUITE, Sender

ROWS = 500
BATCHES = (199, 200, 101)  # with the item that opens the visit; a batch holds 200 items at most
OPENED = 300


def figures() -> list[Figure]:
    """Return `ingest_sqlite_batch500` and `envelope_open_us`."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(Path(folder) / "data")
        prepare(settings)
        application = build(settings)
        try:
            opening, bare = _opening(application)
            return [_ingest(application, opening / 1e6), _envelope(opening, bare)]
        finally:
            application.close()


def _envelope(opening: float, bare: float) -> Figure:
    return against("envelope_open_us", "us CPU an item", opening, bare, "at most 1.3 x one bare HPKE open + one verify")


def _ingest(application: Application, opening_s: float) -> Figure:
    sender = Sender(application)
    spent = []
    for _ in range(3):
        # Another visit each time: its own patient's key is opened, its own span is looked up.
        visit_id = Hands(application.services).visit(state="closed")
        items = [sender.opened(visit_id), *(sender.reading(visit_id) for _ in range(ROWS - 1))]
        spent.append(_cpu_of(application, sender, items))
    per_row = sorted(spent)[1] / ROWS - opening_s
    raw = _raw_insert([item["sealed"].encode() for item in sender.items[-ROWS + 1 :]]) / ROWS
    return against("ingest_sqlite_batch500", "s CPU a row after opening", per_row, raw, "at most 6 x a raw insert")


def _cpu_of(application: Application, sender: Sender, items: list[dict[str, Any]]) -> float:
    gateway = Principal(id=sender.id, role="gateway", branch_id=sender.branch_id)
    batches, at = [], 0
    for size in BATCHES:
        document = {
            "protocol": 1, "gateway_id": str(sender.id), "epoch": str(application.services.epoch),
            "items": items[at : at + size],
        }  # fmt: skip
        batches.append(Batch.model_validate(document))
        at += size

    def store() -> None:
        for batch in batches:
            answer = service_ingest.ingest(application.services, gateway, batch)
            assert {result.status for result in answer.results} == {"accepted"}, answer.results[:3]

    return median_cpu_s(store, runs=1)


def _raw_insert(blobs: list[bytes]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, sealed BLOB)")

        def insert() -> None:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO reading (sealed) VALUES (?)", [(blob,) for blob in blobs])
            database.execute("COMMIT")

        spent = median_cpu_s(insert)
        database.close()
        return spent


def _opening(application: Application) -> tuple[float, float]:
    """Return the microseconds of opening one item: ours, and the two primitives alone."""
    sender = Sender(application)
    item = sender.reading(Hands(application.services).visit())
    sealed = base64.b64decode(item["sealed"])
    info = wire.ingest_info(str(sender.id), str(sender.branch_id), item)
    signer, message = Ed25519PrivateKey.generate(), b"x" * 64
    signature, public = signer.sign(message), signer.public_key()
    with application.services.db.read() as tx:
        private = _private(application, tx, sender.key_id)

        def ours() -> None:
            for _ in range(OPENED):
                application.services.signer.open_item(tx, sender.key_id, sealed, info)
                signing.verify(public.public_bytes_raw(), signature, message)

        def bare() -> None:
            for _ in range(OPENED):
                SUITE.decrypt(sealed, private, info=info)
                public.verify(signature, message)

        return median_cpu_s(ours) / OPENED * 1e6, median_cpu_s(bare) / OPENED * 1e6


def _private(application: Application, tx: Session, key_id: str) -> X25519PrivateKey:
    row = tx.get(KeyPair, parse_id(key_id))
    raw = application.services.vault.open(tx, row, "private")["raw"]
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(raw))
