"""Who belongs to a case: the `care` relation, and what a decision about a case looks at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, or_, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.booking.models import Booking
from telemed.booking.rules import LIVING
from telemed.checkup.models import Visit
from telemed.clock import Clock
from telemed.consultation import rules
from telemed.consultation.models import Consultation
from telemed.db import Reads
from telemed.errors import NotFound
from telemed.prepared import ask
from telemed.services import Services

VISIT_SHOWN = timedelta(days=1)  # so long the counter shows a visit that has ended
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


# What a branch has under way with a person whose home is another branch by now: bookings, visits of the last day,
# written answers that the person has not heard.
_visit = Visit.__table__.c
_UNDER_WAY = tuple(
    query.where(columns.branch_id == bindparam("branch"), columns.patient_id == bindparam("patient")).limit(1)
    for columns, query in (
        (_booking, select(_booking.id).where(_booking.status.in_(LIVING))),
        (_visit, select(_visit.id).where(or_(_visit.closed_at.is_(None), _visit.closed_at >= bindparam("since")))),
        (_case, select(_case.id).where(_case.stored_at.is_not(None), _case.told_at.is_(None))),
    )
)


def relations(clock: Clock) -> tuple[Relation, ...]:
    """Return `own_case`: the doctor's own case, however long ago it ended; `care`: the doctor's own case of that patient,
    open or ended within 30 days, or a booking around now; `under_way`: what the clerk's branch still has to do with a
    person whose record another branch took over.
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

    def is_under_way(tx: Reads, who: Principal, subject: Subject) -> bool:
        if who.branch_id is None or subject.patient_id is None:
            return False
        about = {"branch": who.branch_id, "patient": subject.patient_id}
        spans: tuple[dict[str, Any], ...] = ({}, {"since": clock() - VISIT_SHOWN}, {})
        asked = zip(_UNDER_WAY, spans, strict=True)
        return any(ask(tx, query, {**about, **span}).first() is not None for query, span in asked)

    def people_of(who: Principal) -> Select[Any]:
        return select(Booking.patient_id).where(Booking.branch_id == who.branch_id, Booking.status.in_(LIVING))

    return (
        Relation("care", holds, patients_of),
        Relation("own_case", _is_own, _cases_of),
        Relation("under_way", is_under_way, people_of),
    )


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
