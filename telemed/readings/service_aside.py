"""Visits that were opened for the wrong person: their readings leave the record at once, nobody sees them, and they are
erased only after two persons have said whose they are. Taken back, they are in the record again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from telemed.access.models import Account
from telemed.access.relations import Principal, Subject
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.checkup.models import Visit
from telemed.errors import Conflict, Invalid, NotFound
from telemed.readings import rules
from telemed.readings.events import VisitGivenBack
from telemed.readings.models import Reading, Triage, VisitSetAside
from telemed.readings.service import triage_visit
from telemed.services import Services


@dataclass(frozen=True)
class SetAside:
    """A visit of the wrong person as the second person sees it: where, when, who says it, how many results of a kind.
    Never a value, never a name.
    """

    visit_id: UUID
    place: str
    branch_phone: str
    zone: str
    opened_at: datetime
    said_at: datetime
    said_by: str
    whose: str
    results: dict[str, int]
    is_cancel_asked: bool


def set_aside(services: Services, tx: Session, who: Principal, visit: Visit, whose: str, booking_id: UUID | None) -> None:
    """Take the visit's readings and its urgency out of the record, inside the caller's transaction. Raises Invalid."""
    if whose not in rules.WHOSE:
        raise Invalid(fields={"whose": "required"})
    now = services.clock()
    assert who.id is not None
    tx.add(
        VisitSetAside(
            visit_id=visit.id, patient_id=visit.patient_id, branch_id=visit.branch_id,
            region_id=branches.branch_of(tx, visit.branch_id).region_id, whose=whose, said_by=who.id, said_at=now,
            booking_id=booking_id,
        )
    )  # fmt: skip
    tx.execute(update(Reading).where(Reading.visit_id == visit.id).values(aside_at=now))
    triage = tx.get(Triage, visit.id)
    if triage is not None:
        tx.delete(triage)


def booking_given_back(tx: Session, visit_id: UUID) -> UUID | None:
    """Return the booking that a visit of the wrong person gave back, or None."""
    row = tx.get(VisitSetAside, visit_id)
    return row.booking_id if row else None


def bring_back(services: Services, tx: Session, visit: Visit) -> None:
    """Put the visit's readings back into the record, inside the caller's transaction; without any it changes nothing."""
    row = tx.get(VisitSetAside, visit.id, with_for_update=True)
    if row is None:
        return
    tx.delete(row)
    tx.execute(update(Reading).where(Reading.visit_id == visit.id).values(aside_at=None))
    triage_visit(services, tx, visit)


def waiting(services: Services, who: Principal) -> list[SetAside]:
    """Return what waits for a second person's word: of the own branch for a clerk, of the region for the others."""
    own = VisitSetAside.branch_id == who.branch_id if who.role == "clerk" else VisitSetAside.region_id == who.region_id
    with services.look(who, "aside.list", Subject(branch_id=who.branch_id, region_id=who.region_id)) as tx:
        rows = tx.execute(
            select(VisitSetAside, Visit, Branch, Account)
            .join(Visit, Visit.id == VisitSetAside.visit_id)
            .join(Branch, Branch.id == VisitSetAside.branch_id)
            .join(Account, Account.id == VisitSetAside.said_by)
            .where(own, VisitSetAside.decision.is_(None))
            .order_by(VisitSetAside.said_at)
        ).all()
        counts = _results(tx, [visit.id for _row, visit, _branch, _said_by in rows])
    return [
        SetAside(
            row.visit_id, branch.place, branch.phone, branch.zone, visit.opened_at, row.said_at, said_by.display_name,
            row.whose, dict(counts[row.visit_id]), row.cancel_asked_at is not None,
        )
        for row, visit, branch, said_by in rows
    ]  # fmt: skip


def _results(tx: Session, visit_ids: list[UUID]) -> dict[UUID, Counter[str]]:
    found: dict[UUID, Counter[str]] = {visit_id: Counter() for visit_id in visit_ids}
    grouped = select(Reading.visit_id, Reading.kind, func.count()).where(Reading.visit_id.in_(visit_ids))
    for visit_id, kind, count in tx.execute(grouped.group_by(Reading.visit_id, Reading.kind)):
        found[visit_id][kind] = count
    return found


def ask_to_cancel(services: Services, who: Principal, visit_id: UUID) -> None:
    """Say that it was the right person after all; the coordinator decides. Raises Conflict("aside_decided")."""
    with services.act(who, "aside.ask_cancel", _subject(services, visit_id)) as tx:
        row = _undecided(tx, visit_id)
        row.cancel_asked_at = row.cancel_asked_at or services.clock()


def erase_aside(services: Services, who: Principal, visit_id: UUID) -> None:
    """Confirm as the second person whose the readings are, which erases them and the answers for good. Raises
    Conflict("aside_decided"), or ("aside_cancel_asked") while the clerk says that it was the right person.
    """
    with services.act(who, "aside.erase", _subject(services, visit_id)) as tx:
        row = _undecided(tx, visit_id)
        if row.cancel_asked_at is not None:
            raise Conflict("aside_cancel_asked")
        row.decision, row.decided_by, row.decided_at = "erased", who.id, services.clock()
        tx.execute(update(Reading).where(Reading.visit_id == visit_id).values(clinical=None))
        tx.get_one(Visit, visit_id).answers = None


def give_back(services: Services, who: Principal, visit_id: UUID) -> None:
    """Say that the readings are the patient's after all: they are in the record again, and who needs a doctor is called
    back. Raises Conflict("aside_decided").
    """
    with services.act(who, "aside.give_back", _subject(services, visit_id)) as tx:
        row = _undecided(tx, visit_id)
        row.decision, row.decided_by, row.decided_at = "given_back", who.id, services.clock()
        visit = tx.get_one(Visit, visit_id)
        visit.ending = "left"
        tx.execute(update(Reading).where(Reading.visit_id == visit_id).values(aside_at=None))
        triage_visit(services, tx, visit)
        services.publish(tx, VisitGivenBack(visit.id, visit.patient_id, visit.branch_id, services.clock()))


def _undecided(tx: Session, visit_id: UUID) -> VisitSetAside:
    row = tx.get(VisitSetAside, visit_id, with_for_update=True)
    if row is None:
        raise NotFound()
    if row.decision is not None:
        raise Conflict("aside_decided")
    return row


def _subject(services: Services, visit_id: UUID) -> Subject:
    with services.db.read() as tx:
        row = tx.get(VisitSetAside, visit_id)
        if row is None:
            raise NotFound()
        return Subject(patient_id=row.patient_id, branch_id=row.branch_id, region_id=row.region_id, visit_id=visit_id)
