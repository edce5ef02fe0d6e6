"""Use cases of ended cases: find them again, read the note, add to it. What was written stays; an addendum is a line more.

Today's cases and a doctor's own of 30 days are open whole, as long as the `care` relation holds. Of an older one the
doctor who ended it still has the own note, the prescriptions and the addenda.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Branch
from telemed.clock import iso, parse_iso
from telemed.consultation import rules
from telemed.consultation.models import Consultation
from telemed.consultation.relations import subject_of
from telemed.consultation.service import doctor_of
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import rules as patient_rules
from telemed.patients import service as patients
from telemed.patients.rules_birth import Birth
from telemed.rules_text import length
from telemed.services import Services

PAGE = 50


@dataclass(frozen=True)
class EndedCase:
    """An own case that is over. `is_whole`: it opens with values and answers, not only with what the doctor wrote."""

    id: UUID
    patient_id: UUID
    patient_name: str
    birth_date: Birth | None
    sex: str
    place: str
    zone: str
    level: str
    outcome: str
    ended_at: datetime
    is_whole: bool


@dataclass(frozen=True)
class Addendum:
    """A line that was added to a note after the end."""

    id: UUID
    at: datetime
    author_name: str
    text: str


def ended_cases(services: Services, who: Principal, before: datetime | None = None) -> list[EndedCase]:
    """Return a page of this doctor's own ended cases, the newest first, those that ended before a moment; audited."""
    with services.act(who, "consultation.list_ended", Subject(region_id=who.region_id)) as tx:
        query = select(Consultation, Branch).join(Branch, Branch.id == Consultation.branch_id)
        query = query.where(Consultation.doctor_id == who.id, Consultation.state == "ended")
        if before is not None:
            query = query.where(Consultation.ended_at < before)
        rows = tx.execute(query.order_by(Consultation.ended_at.desc(), Consultation.id).limit(PAGE)).all()
        return [_ended(services, tx, case, branch) for case, branch in rows]


def _ended(services: Services, tx: Session, case: Consultation, branch: Branch) -> EndedCase:
    identity, ended_at = patients.identity_of(services, tx, case.patient_id), case.ended_at or case.queued_at
    return EndedCase(
        id=case.id, patient_id=case.patient_id, patient_name=patient_rules.full_name(identity),
        birth_date=Birth.of(identity["birth_date"]) if identity.get("birth_date") else None,
        sex=identity.get("sex", ""), place=branch.place, zone=branch.zone, level=case.level, outcome=case.outcome or "",
        ended_at=ended_at, is_whole=services.clock() - ended_at <= rules.CARE_AFTER,
    )  # fmt: skip


def own_record(services: Services, who: Principal, case_id: UUID) -> EndedCase:
    """Return one own ended case, however old; audited. Raises NotFound for another's, and for one that is not over."""
    with services.act(who, "consultation.add_addendum", subject_of(services, case_id)) as tx:
        case = tx.get_one(Consultation, case_id)
        if case.state != "ended":
            raise NotFound()
        return _ended(services, tx, case, tx.get_one(Branch, case.branch_id))


def has_care(services: Services, who: Principal, case_id: UUID) -> bool:
    """Tell whether the case is this doctor's to open whole: its own, and not older than the care lasts."""
    subject = subject_of(services, case_id)
    with services.db.read() as tx:
        return services.may(tx, who, "consultation.write_note", subject)


def add_addendum(
    services: Services, who: Principal, case_id: UUID, text: str, addendum_id: UUID | None = None
) -> UUID:
    """Add a line to the note of an own ended case, once for an id. Raises Invalid, or Conflict("case_not_ended") while the
    note itself can still be written.
    """
    text = text.strip()
    if not text or length(text) > rules.ADDENDUM_MAX:
        raise Invalid(fields={"text": "too_long" if text else "required"})
    with services.act(who, "consultation.add_addendum", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        assert case is not None
        if case.state != "ended":
            raise Conflict("case_not_ended")
        line = {"id": str(addendum_id or new_id()), "at": iso(services.clock()), "author_id": str(who.id), "text": text}
        lines = services.vault.open(tx, case, "addenda").get("lines", [])
        known = next((old for old in lines if old["id"] == line["id"]), None)
        if known is not None and known["text"] != text:
            raise Conflict("addendum_id_used")
        if known is None:
            services.vault.seal(tx, case, "addenda", {"lines": [*lines, line]})
        return UUID(line["id"])


def addenda(services: Services, who: Principal, case_id: UUID) -> list[Addendum]:
    """Return what was added to a note, in order; audited."""
    with services.act(who, "consultation.read_note", subject_of(services, case_id)) as tx:
        return read_addenda(services, tx, tx.get_one(Consultation, case_id))


def read_addenda(services: Services, tx: Session, case: Consultation) -> list[Addendum]:
    """Return the same inside the caller's audited transaction."""
    lines: Sequence[dict[str, str]] = services.vault.open(tx, case, "addenda").get("lines", [])
    return [
        Addendum(UUID(line["id"]), parse_iso(line["at"]), doctor_of(tx, UUID(line["author_id"]))[0], line["text"])
        for line in lines
    ]
