"""The audit trail: one hash-chained row in the transaction of each change, protected read and refusal."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from telemed.access.models import AuditRow
from telemed.access.relations import Principal, Subject
from telemed.clock import iso
from telemed.crypto.chain import chain_hash

ROOT = "0" * 64


def record(
    tx: Session, at: datetime, who: Principal, action: str, subject: Subject, *, allowed: bool, reason: str
) -> AuditRow:
    """Append one row to the chain in the caller's transaction."""
    if tx.get_bind().dialect.name == "postgresql":
        # SQLite has one writer; PostgreSQL needs the chain's end to stand still until commit.
        tx.execute(text("SELECT pg_advisory_xact_lock(7231)"))
    last = tx.execute(select(AuditRow.no, AuditRow.hash).order_by(AuditRow.no.desc()).limit(1)).first()
    row = AuditRow(
        no=last.no + 1 if last else 1,
        at=at,
        actor_id=who.id,
        role=who.role or "nobody",
        action=action,
        subject=subject.pseudonyms(),
        allowed=allowed,
        reason=reason,
        previous=last.hash if last else ROOT,
        hash="",
    )
    row.hash = row_hash(row)
    tx.add(row)
    tx.flush()
    return row


def row_hash(row: AuditRow) -> str:
    """Return the hash that the row must carry."""
    subject = ",".join(f"{key}={row.subject[key]}" for key in sorted(row.subject))
    return chain_hash(
        row.previous,
        str(row.no),
        iso(row.at),
        str(row.actor_id or ""),
        row.role,
        row.action,
        subject,
        str(row.allowed),
        row.reason,
    )


def first_broken(tx: Session) -> int | None:
    """Return the number of the first row that was edited, removed or moved; None when the chain is whole."""
    previous, expected = ROOT, 1
    for row in tx.scalars(select(AuditRow).order_by(AuditRow.no)).yield_per(1000):
        if row.no != expected or row.previous != previous or row.hash != row_hash(row):
            return expected
        previous, expected = row.hash, expected + 1
    return None
