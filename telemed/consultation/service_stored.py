"""Stored cases: the patient went home, a doctor answers in an empty minute, a clerk tells the patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.consultation.events import CaseStored
from telemed.consultation.models import Consultation
from telemed.consultation.relations import find_subject, subject_of
from telemed.consultation.service import consultation_of_visit
from telemed.errors import NotFound
from telemed.patients import service as patients
from telemed.services import Services


@dataclass(frozen=True)
class Answered:
    """A written answer that the patient does not know of yet, with the number to dial."""

    case_id: UUID
    patient_id: UUID
    answered_at: datetime
    phone: str


def store(services: Services, tx: Session, visit_id: UUID) -> None:
    """Keep a case that nobody took before its visit closed, for a call back or a written answer."""
    case = consultation_of_visit(tx, visit_id)
    if case is None or case.state != "waiting" or case.stored_at is not None:
        return
    case.stored_at = now = services.clock()
    subject = Subject(patient_id=case.patient_id, visit_id=visit_id, consultation_id=case.id)
    audit.record(tx, now, SYSTEM, "consultation.store", subject, allowed=True, reason="job")
    services.publish(tx, CaseStored(case.id, visit_id, case.branch_id, case.region_id, now))


def answers_to_tell(services: Services, who: Principal) -> list[Answered]:
    """Return the branch's written answers whose patients have not been told, the oldest first, with the numbers to dial:
    the clerk is to call. Each number is audited. No clinical word.
    """
    with services.act(who, "consultation.tell", Subject(branch_id=who.branch_id)) as tx:
        rows = tx.scalars(
            select(Consultation)
            .where(
                Consultation.branch_id == who.branch_id,
                Consultation.state == "ended",
                Consultation.stored_at.is_not(None),
                Consultation.told_at.is_(None),
            )
            .order_by(Consultation.ended_at)
        ).all()
        return [_answered(services, tx, who, row) for row in rows]


def _answered(services: Services, tx: Session, who: Principal, case: Consultation) -> Answered:
    services.allow(tx, who, "consultation.tell", find_subject(tx, case.id))
    phone = str(patients.contact_of(services, tx, case.patient_id).get("phone", ""))
    return Answered(case.id, case.patient_id, case.ended_at or case.queued_at, phone)


def note_told(services: Services, who: Principal, case_id: UUID) -> None:
    """Record that the patient knows of the answer. A second time changes nothing."""
    with services.act(who, "consultation.tell", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        if case is None or case.stored_at is None or case.state != "ended":
            raise NotFound()
        if case.told_at is None:
            case.told_at, case.told_by = services.clock(), who.id


def patient_phone(services: Services, who: Principal, case_id: UUID) -> str:
    """Return the telephone number of a patient who went home, for the case's doctor; audited. Empty without one."""
    subject = subject_of(services, case_id)
    with services.act(who, "patient.read", subject) as tx:
        case = tx.get(Consultation, case_id)
        if case is None or case.stored_at is None or case.doctor_id != who.id:
            raise NotFound()
        return str(patients.contact_of(services, tx, case.patient_id).get("phone", ""))
