"""The audit trail: one hash-chained row in the transaction of each change, protected read and refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from telemed.access.models import AuditRow
from telemed.access.relations import Principal, Subject
from telemed.clock import iso
from telemed.crypto.chain import chain_hash
from telemed.prepared import PreparedInsert, ask

ROOT = "0" * 64
_TABLE = AuditRow.metadata.tables[AuditRow.__tablename__]
_LOCK = text("SELECT pg_advisory_xact_lock(7231)")
_LAST = select(_TABLE.c.no, _TABLE.c.hash).order_by(_TABLE.c.no.desc()).limit(1)
_APPEND = PreparedInsert(_TABLE)


def record(
    tx: Session, at: datetime, who: Principal, action: str, subject: Subject, *, allowed: bool, reason: str
) -> None:
    """Append one row to the chain in the caller's transaction."""
    if tx.get_bind().dialect.name == "postgresql":
        # SQLite has one writer; PostgreSQL needs the chain's end to stand still until commit.
        tx.execute(_LOCK)
    last = ask(tx, _LAST, {}).first()
    row = {
        "no": last.no + 1 if last else 1, "at": at, "actor_id": who.id, "role": who.role or "nobody", "action": action,
        "subject": subject.pseudonyms(), "allowed": allowed, "reason": reason, "previous": last.hash if last else ROOT,
    }  # fmt: skip
    # Every change and protected read pays for this row: a prepared statement, not a mapped object.
    _APPEND.run(tx, [{**row, "hash": _hash(row)}])


def row_hash(row: AuditRow) -> str:
    """Return the hash that the row must carry."""
    return _hash({column.key: getattr(row, column.key) for column in _TABLE.columns})


def _hash(row: Mapping[str, Any]) -> str:
    subject = ",".join(f"{key}={row['subject'][key]}" for key in sorted(row["subject"]))
    return chain_hash(
        row["previous"],
        str(row["no"]),
        iso(row["at"]),
        str(row["actor_id"] or ""),
        row["role"],
        row["action"],
        subject,
        str(row["allowed"]),
        row["reason"],
    )


def first_broken(tx: Session) -> int | None:
    """Return the number of the first row that was edited, removed or moved; None when the chain is whole."""
    previous, expected = ROOT, 1
    for row in tx.scalars(select(AuditRow).order_by(AuditRow.no)).yield_per(1000):
        if row.no != expected or row.previous != previous or row.hash != row_hash(row):
            return expected
        previous, expected = row.hash, expected + 1
    return None
