"""What stored readings cost the server, against a raw driver insert of the very same rows in the same run.

The yardstick is the least that any server must do for an item: its durable rows (`reading`, `transmission`), with the
same columns, indexes, foreign keys and commit, put in by the bare driver. Our side is the whole request: signature,
JSON, chain, judgement, sealing, rows, audit, urgency, signed answer. Opening is taken off: it has its own figure.
"""

from __future__ import annotations

import base64
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy.orm import Session

from bench.figure import Figure, against, median_cpu_s
from telemed.bootstrap import Application, build
from telemed.crypto import signing, wire
from telemed.crypto.signing import KeyPair
from telemed.ids import parse_id
from tests import postgres
from tests.conftest import prepare, settings_for
from tests.make import Hands
from tests.readings.sender import SUITE, Sender

ROWS = 500
SQLITE_BATCHES = (200, 200, 100)  # a batch holds 200 items at most
POSTGRES_BATCHES = (50,) * 10
RUNS = 3
OPENED = 300
TABLES = ("reading", "transmission")
Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]  # table -> columns, rows


def figures() -> list[Figure]:
    """Return `ingest_sqlite_batch500`, `ingest_postgres_batch50` where PostgreSQL is found, and `envelope_open_us`."""
    # As in production: an answered request is logged, but nobody's terminal is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with _application() as application:
        opening, bare = _opening(application)
        found = [_sqlite(application, opening / 1e6), _envelope(opening, bare)]
    try:
        with postgres.server() as address:
            url = postgres.make(address, "bench")
            with _application(database_url=url) as application:
                found.append(_postgres(application, url, opening / 1e6))
    except postgres.NoServer as missing:
        print(f"ingest_postgres_batch50 is not measured: {missing}")
    return found


@contextmanager
def _application(**more: object) -> Iterator[Application]:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(Path(folder) / "data", **more)
        prepare(settings)
        application = build(settings)
        application.app.config.update(WTF_CSRF_ENABLED=False)
        try:
            yield application
        finally:
            application.close()


def _envelope(opening: float, bare: float) -> Figure:
    return against("envelope_open_us", "us CPU an item", opening, bare, "at most 1.3 x one bare HPKE open + one verify")


# --- our side -----------------------------------------------------------------------------------------------------


def _cpu_a_row(application: Application, batches: Sequence[int], opening_s: float) -> float:
    """Return the CPU seconds of a stored item. Another visit each time: its patient's key and its span are looked up
    anew.
    """
    sender, spent = Sender(application), []
    for _ in range(RUNS):
        visit_id, begun = Hands(application.services).visit(state="closed"), len(sender.items)
        sender.opened(visit_id)
        for _ in range(ROWS - 1):
            sender.reading(visit_id)
        spent.append(median_cpu_s(_sending(sender, begun, batches), runs=1) / ROWS)
    return sorted(spent)[RUNS // 2] - opening_s


def _sending(sender: Sender, begun: int, batches: Sequence[int]) -> Callable[[], None]:
    requests, at = [], begun
    for size in batches:
        requests.append(sender.signed(sender.items[at : at + size]))
        at += size

    def send() -> None:
        for body, headers in requests:
            response = sender.client.post("/api/v1/readings", data=body, headers=headers)
            assert response.status_code == 200, response.text
            assert response.data.count(b'"accepted"') == body.count(b'"event_id"'), response.text[:300]

    return send


# --- SQLite -------------------------------------------------------------------------------------------------------


def _sqlite(application: Application, opening_s: float) -> Figure:
    per_row = _cpu_a_row(application, SQLITE_BATCHES, opening_s)
    raw = _raw_sqlite(application.services.settings.server_dir / "telemed.db")
    return against("ingest_sqlite_batch500", "s CPU a row after opening", per_row, raw, "at most 6 x a raw insert")


def _raw_sqlite(path: Path) -> float:
    """Put the product's own rows into a copy of its database again, with the driver alone; one transaction."""
    copy = path.with_name("raw.db")
    source, database = sqlite3.connect(path), sqlite3.connect(copy, isolation_level=None)
    source.backup(database)
    source.close()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=0"):
        database.execute(f"PRAGMA {pragma}")
    rows: Rows = {}
    for table in TABLES:
        read = database.execute(f"SELECT * FROM {table} WHERE kind != 'visit_opened' ORDER BY rowid DESC LIMIT {ROWS}")
        rows[table] = [column[0] for column in read.description], read.fetchall()

    def clear() -> None:
        for table in TABLES:
            database.execute(f"DELETE FROM {table}")

    def insert() -> None:
        database.execute("BEGIN IMMEDIATE")
        for table, (columns, values) in rows.items():
            marks = ",".join("?" * len(columns))
            database.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", values)
        database.execute("COMMIT")

    spent = _median_after(clear, insert) / ROWS
    database.close()
    return spent


def _median_after(clear: Callable[[], None], insert: Callable[[], None]) -> float:
    spent = []
    for _ in range(5):
        clear()
        spent.append(median_cpu_s(insert, runs=1))
    return sorted(spent)[2]


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def _postgres(application: Application, url: str, opening_s: float) -> Figure:
    per_row = _cpu_a_row(application, POSTGRES_BATCHES, opening_s)
    raw = _raw_postgres(url)
    return against("ingest_postgres_batch50", "s CPU a row after opening", per_row, raw, "at most 3 x a raw insert")


def _raw_postgres(url: str) -> float:
    """Put the product's own rows in again, 50 a transaction, with the driver alone."""
    size = POSTGRES_BATCHES[0]
    with psycopg.connect(url, autocommit=True) as database:
        rows: Rows = {}
        for table in TABLES:
            read = database.execute(f"SELECT * FROM {table} WHERE kind != 'visit_opened' LIMIT {ROWS}")  # type: ignore[arg-type]
            rows[table] = [column.name for column in read.description or ()], read.fetchall()

        def clear() -> None:
            for table in TABLES:
                database.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]

        def insert() -> None:
            for at in range(0, ROWS, size):
                with database.transaction(), database.cursor() as cursor:
                    for table, (columns, values) in rows.items():
                        marks = ",".join(["%s"] * len(columns))
                        statement = f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"
                        cursor.executemany(statement, values[at : at + size])  # type: ignore[arg-type]

        return _median_after(clear, insert) / ROWS


# --- opening ------------------------------------------------------------------------------------------------------


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
