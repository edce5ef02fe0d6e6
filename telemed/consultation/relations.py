"""Who belongs to a case: the `care` relation, and what a decision about a case looks at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, or_, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.booking.models import Booking
from telemed.clock import Clock
from telemed.consultation import rules
from telemed.consultation.models import Consultation
from telemed.db import Reads
from telemed.errors import NotFound
from telemed.prepared import ask
from telemed.services import Services

CARED_FOR = ("booked", "arrived", "done")
# The two halves of `care` for one patient, prepared once: they are asked at every message of a call.
_case, _booking = Consultation.__table__.c, Booking.__table__.c
_OWN_CASE = (
    select(_case.id)
    .where(
        _case.doctor_id == bindparam("doctor"), _case.patient_id == bindparam("patient"),
        or_(_case.ended_at.is_(None), _case.ended_at >= bindparam("since")),
    )
    .limit(1)
)  # fmt: skip
_BOOKED = (
    select(_booking.id)
    .where(
        _booking.doctor_id == bindparam("doctor"), _booking.patient_id == bindparam("patient"),
        _booking.status.in_(CARED_FOR), _booking.starts_at.between(bindparam("since"), bindparam("until")),
    )
    .limit(1)
)  # fmt: skip


_OWN = (
    select(_case.id).where(_case.id == bindparam("case"), _case.doctor_id == bindparam("doctor")).limit(1)
)  # fmt: skip


def relations(clock: Clock) -> tuple[Relation, ...]:
    """Return `own_case`: the doctor's own case, however long ago it ended; and `care`: the doctor's own case of that
    patient, open or ended within 30 days, or a booking around now.
    """

    def patients_of(who: Principal) -> Select[Any]:
        now = clock()
        cases = select(Consultation.patient_id).where(
            Consultation.doctor_id == who.id,
            or_(Consultation.ended_at.is_(None), Consultation.ended_at >= now - rules.CARE_AFTER),
        )
        booked = select(Booking.patient_id).where(
            Booking.doctor_id == who.id,
            Booking.status.in_(CARED_FOR),
            Booking.starts_at.between(now - rules.CARE_AFTER, now + rules.CARE_BEFORE),
        )
        return select(cases.union(booked).subquery().c.patient_id)

    def holds(tx: Reads, who: Principal, subject: Subject) -> bool:
        if who.role != "doctor" or subject.patient_id is None:
            return False
        now, about = clock(), {"doctor": who.id, "patient": subject.patient_id}
        span = {"since": now - rules.CARE_AFTER, "until": now + rules.CARE_BEFORE}
        if ask(tx, _OWN_CASE, {**about, "since": span["since"]}).first() is not None:
            return True
        return ask(tx, _BOOKED, about | span).first() is not None

    return (Relation("care", holds, patients_of), Relation("own_case", _is_own, _cases_of))


def _is_own(tx: Reads, who: Principal, subject: Subject) -> bool:
    if who.role != "doctor" or subject.consultation_id is None:
        return False
    return ask(tx, _OWN, {"case": subject.consultation_id, "doctor": who.id}).first() is not None


def _cases_of(who: Principal) -> Select[Any]:
    return select(Consultation.id).where(Consultation.doctor_id == who.id)


def find_subject(tx: Session, case_id: UUID) -> Subject:
    """Return what a decision about this case looks at. Raises NotFound."""
    case = tx.get(Consultation, case_id)
    if case is None:
        raise NotFound()
    return Subject(
        patient_id=case.patient_id, branch_id=case.branch_id, region_id=case.region_id, visit_id=case.visit_id,
        consultation_id=case.id,
    )  # fmt: skip


def subject_of(services: Services, case_id: UUID) -> Subject:
    """Return what a decision about this case looks at, before a use case begins. Raises NotFound."""
    with services.db.read() as tx:
        return find_subject(tx, case_id)
