"""Seal the reasons of invitations that an older release stored in the clear: a job of the start, in portions."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Subject
from telemed.booking.events import PlainReasonsLeft
from telemed.booking.models import Invitation
from telemed.crypto.envelope import Unsealable
from telemed.services import Services

AT_ONCE = 200  # rows in one transaction: other writers wait for it
log = structlog.get_logger()


def seal_plain_reasons(services: Services, tx: Session, after: UUID | None = None) -> None:
    """Seal a portion of the plain reasons, those behind `after`, each with its audit row; ask for the next portion as a
    job of its own. A killed run has sealed whole portions only, and the next one goes on with what is left.
    """
    query = select(Invitation).where(Invitation.reason != "").order_by(Invitation.id).limit(AT_ONCE)
    if after is not None:
        query = query.where(Invitation.id > after)
    rows = tx.scalars(query.with_for_update()).all()
    if not rows:
        return
    sealed = sum(_seal(services, tx, row) for row in rows)
    tx.flush()
    left = count_plain_reasons(tx)
    log.info("booking.reasons_sealed", sealed=sealed, skipped=len(rows) - sealed, left=left)
    if len(rows) == AT_ONCE:
        services.publish(tx, PlainReasonsLeft(rows[-1].id, left, services.clock()))


def count_plain_reasons(tx: Session) -> int:
    """Return how many reasons still stand in the clear."""
    return tx.scalar(select(func.count()).select_from(Invitation).where(Invitation.reason != "")) or 0


def _seal(services: Services, tx: Session, row: Invitation) -> bool:
    """Tell whether a row could be sealed: where the patient's key is damaged it stays as it is."""
    if row.clinical is None:  # else a doctor gave a newer reason
        try:
            services.vault.seal(tx, row, "clinical", {"reason": row.reason})
        except Unsealable:
            log.warning("booking.reason_not_sealed", invitation_id=str(row.id))
            return False
    row.reason = ""
    subject = Subject(patient_id=row.patient_id, branch_id=row.branch_id)
    audit.record(tx, services.clock(), SYSTEM, "invitation.seal_reason", subject, allowed=True, reason="older_release")
    return True
