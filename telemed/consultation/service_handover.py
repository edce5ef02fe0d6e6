"""Handing a case to another doctor, never without words about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from telemed.access.relations import Principal, Subject
from telemed.booking.models import Doctor, Shift
from telemed.consultation import rules
from telemed.consultation.events import CaseQueued
from telemed.consultation.models import Consultation, Handover
from telemed.consultation.relations import subject_of
from telemed.consultation.service import doctor_of
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.rules_text import by_name, length
from telemed.services import Services


@dataclass(frozen=True)
class Colleague:
    """A doctor of the region who may get a case."""

    id: UUID
    name: str
    is_on_duty: bool


@dataclass(frozen=True)
class HandoverView:
    """What the doctor before wrote."""

    at: datetime
    from_name: str
    text: str


def colleagues(services: Services, who: Principal) -> list[Colleague]:
    """Return the region's other doctors, those on duty now first."""
    with services.look(who, "queue.read", Subject(region_id=who.region_id)) as tx:
        now = services.clock()
        on_duty = set(tx.scalars(select(Shift.doctor_id).where(Shift.starts_at <= now, Shift.ends_at > now)))
        doctors = tx.scalars(select(Doctor).where(Doctor.region_id == who.region_id, Doctor.id != who.id))
        found = [Colleague(row.id, row.display_name, row.id in on_duty) for row in doctors]
    return sorted(found, key=lambda colleague: (not colleague.is_on_duty, by_name(colleague.name, who.language)))


def hand_over(services: Services, who: Principal, case_id: UUID, to_id: UUID, text: str) -> None:
    """Put the case back at its old place for a named doctor, with words. Raises Invalid, or Conflict after the end."""
    text = text.strip()
    if not text or length(text) > rules.HANDOVER_MAX:
        raise Invalid(fields={"text": "too_long" if text else "required"})
    with services.act(who, "consultation.hand_over", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        if case is None or case.doctor_id != who.id:
            raise NotFound()
        to = tx.get(Doctor, to_id)
        if to is None or to.region_id != case.region_id or to.id == who.id:
            raise Invalid(fields={"to": "invalid"})
        if not rules.may_go(case.state, "waiting"):
            raise Conflict("case_ended")
        assert who.id is not None
        row = Handover(
            id=new_id(), consultation_id=case.id, patient_id=case.patient_id, from_id=who.id, to_id=to.id,
            at=services.clock(), words_rev=0,
        )  # fmt: skip
        services.vault.seal(tx, row, "words", {"text": text})
        tx.add(row)
        case.state, case.doctor_id, case.taken_at, case.handed_to_id = "waiting", None, None, to.id
        services.publish(tx, CaseQueued(case.id, case.visit_id, case.branch_id, case.region_id, case.level, row.at))


def handovers(services: Services, who: Principal, case_id: UUID) -> list[HandoverView]:
    """Return what earlier doctors of this case wrote for the next; audited."""
    with services.act(who, "consultation.read_note", subject_of(services, case_id)) as tx:
        rows = tx.scalars(select(Handover).where(Handover.consultation_id == case_id).order_by(Handover.at)).all()
        return [
            HandoverView(row.at, doctor_of(tx, row.from_id)[0], services.vault.open(tx, row, "words")["text"])
            for row in rows
        ]
