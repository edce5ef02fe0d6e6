"""A consent that was taken back: what it forbids, and the half minute in which a wrong press can be undone."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal
from telemed.errors import Conflict
from telemed.patients import rules
from telemed.patients.events import ConsentGiven
from telemed.patients.models import Consent
from telemed.patients.service_records import is_withdrawn, subject_of
from telemed.services import Services


def undo_withdrawal(services: Services, who: Principal, patient_id: UUID, purpose: str) -> None:
    """Let a consent stand again that was taken back by mistake, within half a minute: as if nobody had pressed. Raises
    Conflict("consent_undo_late").
    """
    with services.act(who, "consent.give", subject_of(services, patient_id)) as tx:
        now = services.clock()
        row = tx.scalar(
            select(Consent)
            .where(Consent.patient_id == patient_id, Consent.purpose == purpose)
            .order_by(Consent.given_at.desc(), Consent.withdrawn_at.is_not(None))
            .limit(1)
        )
        if row is None or not rules.may_undo(row.withdrawn_at, now):
            raise Conflict("consent_undo_late")
        row.withdrawn_at = None
        services.publish(tx, ConsentGiven(patient_id, purpose, now))


def refuse_withdrawn(tx: Session, patient_id: UUID, *purposes: str) -> None:
    """Raise Conflict("consent_withdrawn") where the patient does not agree any more."""
    if any(is_withdrawn(tx, patient_id, purpose) for purpose in purposes):
        raise Conflict("consent_withdrawn")
