"""The tray: readings that belong to nobody for certain. They are erased after 24 h, unless one person of the branch
says for which visit each was taken and a doctor of that patient confirms. Nobody sees a value before that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from telemed.access.models import Account
from telemed.access.relations import Principal, Subject
from telemed.checkup.models import Visit
from telemed.checkup.rules import WRONG_PERSON
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.patients import service as patients
from telemed.readings import rules
from telemed.readings.events import ReadingClaimed
from telemed.readings.models import QuarantinedItem, Reading
from telemed.readings.service import tell_stored, triage_visit
from telemed.readings.service_judge import open_record
from telemed.readings.service_store import new_reading, reading_row
from telemed.readings.wire import Item, Record
from telemed.services import Services

CHOICES = 10  # visits that a clerk chooses among


@dataclass(frozen=True)
class TrayItem:
    """A reading in the tray as its clerk sees it: when and why, never what. `state`: waiting, asked, refused."""

    id: UUID
    reason: str
    received_at: datetime
    erase_at: datetime
    state: str
    may_be_claimed: bool
    source: str


@dataclass(frozen=True)
class VisitChoice:
    """A visit for which a reading may have been taken."""

    id: UUID
    opened_at: datetime
    patient_name: str


@dataclass(frozen=True)
class Claim:
    """A claim as the second person sees it."""

    item_id: UUID
    visit_id: UUID
    reason: str
    claim_reason: str
    received_at: datetime
    erase_at: datetime
    claimed_by: str
    claimed_at: datetime
    source: str


def tray_of_branch(services: Services, who: Principal) -> list[TrayItem]:
    """Return the branch's readings that wait, newest first."""
    with services.look(who, "quarantine.list", Subject(branch_id=who.branch_id)) as tx:
        rows = tx.scalars(
            select(QuarantinedItem)
            .where(
                QuarantinedItem.branch_id == who.branch_id,
                QuarantinedItem.item.is_not(None),
                QuarantinedItem.erase_at > services.clock(),
            )
            .order_by(QuarantinedItem.received_at.desc())
        ).all()
        return [
            TrayItem(
                row.id, row.reason, row.received_at, row.erase_at, _state(row),
                _state(row) != "asked" and any(True for _ in _visits_for(tx, row)), row.source,
            )
            for row in rows
        ]  # fmt: skip


def newest_put_aside(services: Services, who: Principal, branch_id: UUID) -> tuple[datetime | None, str]:
    """Return when the newest reading still in the branch's tray came in, and why it is there; (None, "") when the tray is
    empty.
    """
    newest = (
        select(QuarantinedItem.received_at, QuarantinedItem.reason)
        .where(QuarantinedItem.branch_id == branch_id, QuarantinedItem.item.is_not(None))
        .order_by(QuarantinedItem.received_at.desc())
        .limit(1)
    )
    with services.look(who, "quarantine.list", Subject(branch_id=branch_id)) as tx:
        row = tx.execute(newest).first()
        return (row.received_at, row.reason) if row else (None, "")


def _state(row: QuarantinedItem) -> str:
    if row.decision is not None:
        return row.decision
    return "asked" if row.claimed_by is not None else "waiting"


def _visits_for(tx: Session, row: QuarantinedItem) -> Iterable[Visit]:
    """Return the visits of the branch that the reading may be of, nearest first."""
    opened = Visit.opened_at.between(row.received_at - rules.CLAIM_REACH, row.received_at + rules.CLAIM_WINDOW)
    visits = tx.scalars(
        select(Visit).where(Visit.branch_id == row.branch_id, opened).order_by(Visit.opened_at.desc()).limit(CHOICES)
    )
    return [
        visit
        for visit in visits
        if visit.ending != WRONG_PERSON
        and rules.may_be_of_visit(row.reason, row.received_at, visit.opened_at, visit.closed_at)
    ]


def choices(services: Services, who: Principal, item_id: UUID) -> tuple[TrayItem, list[VisitChoice]]:
    """Return an item and the visits it may be of, with the patients' names; audited."""
    branch_id = _branch_of(services, item_id)
    with services.act(who, "quarantine.claim", Subject(branch_id=branch_id, item_id=item_id)) as tx:
        row = _waiting(services, tx, item_id)
        found = []
        for visit in _visits_for(tx, row):
            subject = Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id)
            services.allow(tx, who, "patient.read", subject)
            found.append(VisitChoice(visit.id, visit.opened_at, patients.name_of(services, tx, visit.patient_id)))
        item = TrayItem(
            row.id, row.reason, row.received_at, row.erase_at, _state(row), bool(found), row.source
        )  # fmt: skip
        return item, found


def claim(services: Services, who: Principal, item_id: UUID, visit_id: UUID, reason: str) -> None:
    """Ask that a reading be given to a visit. Raises Invalid for another reason or visit than the page offers, and
    Conflict(claim_gone | claim_asked | measured_elsewhen).
    """
    if reason not in rules.CLAIM_REASONS:
        raise Invalid(fields={"reason": "required"})
    branch_id = _branch_of(services, item_id)
    with services.db.read() as tx:
        visit = tx.get(Visit, visit_id)
    if visit is None or visit.branch_id != branch_id or visit.ending == WRONG_PERSON:
        raise Invalid(fields={"visit_id": "required"})
    subject = Subject(patient_id=visit.patient_id, branch_id=branch_id, visit_id=visit_id, item_id=item_id)
    with services.act(who, "quarantine.claim", subject) as tx:
        row = _waiting(services, tx, item_id)
        if not rules.may_be_of_visit(row.reason, row.received_at, visit.opened_at, visit.closed_at):
            raise Invalid(fields={"visit_id": "required"})
        _record_of(services, tx, row, visit)
        row.visit_id, row.claim_reason, row.claimed_by, row.claimed_at = visit_id, reason, who.id, services.clock()
        row.decision = row.decided_by = row.decided_at = None
        _tell(services, tx, row, visit, "asked")


def claims_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[Claim]:
    """Return what waits for the second person's word."""
    with services.db.read() as tx:
        subject = _subject(tx, visit_id, None)
    with services.look(who, "quarantine.confirm", subject) as tx:
        rows = tx.scalars(
            select(QuarantinedItem).where(
                QuarantinedItem.visit_id == visit_id,
                QuarantinedItem.decision.is_(None),
                QuarantinedItem.item.is_not(None),
                QuarantinedItem.erase_at > services.clock(),
            )
        )
        return [
            Claim(
                row.id, visit_id, row.reason, row.claim_reason or "", row.received_at, row.erase_at,
                _name_of(tx, row.claimed_by), row.claimed_at or row.received_at, row.source,
            )
            for row in rows
        ]  # fmt: skip


def confirm(services: Services, who: Principal, item_id: UUID) -> UUID:
    """Give a claimed reading to its visit, marked as claimed; return the visit. Raises Conflict(claim_gone |
    measured_elsewhen | reading_known) and Forbidden(claim_second_person).
    """
    with services.act(who, "quarantine.confirm", _subject_of_item(services, item_id)) as tx:
        row, visit = _asked(services, tx, who, item_id)
        if visit.ending == WRONG_PERSON:  # said after the claim: nothing of this visit enters a record any more
            raise Conflict("claim_gone")
        record, item = _record_of(services, tx, row, visit)
        if tx.scalar(select(Reading.id).where(Reading.reading_key == item.reading_key)) is not None:
            raise Conflict("reading_known")
        reading, now = new_reading(record, visit), services.clock()
        tx.execute(
            insert(Reading), reading_row(services, tx, reading, record, row.event_id, item.reading_key, now)
        )  # fmt: skip
        row.decision, row.decided_by, row.decided_at, row.reading_id = "confirmed", who.id, now, reading.id
        row.item = None  # it is in the record now
        tx.flush()
        tell_stored(services, tx, reading)
        triage_visit(services, tx, visit)
        _tell(services, tx, row, visit, "confirmed")
        return visit.id


def refuse(services: Services, who: Principal, item_id: UUID) -> UUID:
    """Say that a claimed reading is not this patient's; it stays in the tray until it is erased. Return the visit."""
    with services.act(who, "quarantine.confirm", _subject_of_item(services, item_id)) as tx:
        row, visit = _asked(services, tx, who, item_id)
        row.decision, row.decided_by, row.decided_at = "refused", who.id, services.clock()
        _tell(services, tx, row, visit, "refused")
        return visit.id


def erase(services: Services, tx: Session) -> None:
    """Erase the payload of quarantined items after 24 h; that they were there stays known."""
    tx.execute(
        update(QuarantinedItem)
        .where(QuarantinedItem.erase_at <= services.clock(), QuarantinedItem.item.is_not(None))
        .values(item=None)
    )


# --- the way there ------------------------------------------------------------------------------------------------


def _name_of(tx: Session, account_id: UUID | None) -> str:
    account = tx.get(Account, account_id) if account_id else None
    return account.display_name if account else ""


def _branch_of(services: Services, item_id: UUID) -> UUID:
    with services.db.read() as tx:
        row = tx.get(QuarantinedItem, item_id)
        if row is None:
            raise NotFound()
        return row.branch_id


def _subject(tx: Session, visit_id: UUID | None, item_id: UUID | None) -> Subject:
    visit = tx.get(Visit, visit_id) if visit_id else None
    if visit is None:
        raise NotFound()
    return Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id, item_id=item_id)


def _subject_of_item(services: Services, item_id: UUID) -> Subject:
    with services.db.read() as tx:
        row = tx.get(QuarantinedItem, item_id)
        return _subject(tx, row.visit_id if row else None, item_id)


def _waiting(services: Services, tx: Session, item_id: UUID) -> QuarantinedItem:
    """Return an item that may be claimed now, locked."""
    row = tx.get(QuarantinedItem, item_id, with_for_update=True)
    if row is None or row.item is None or row.erase_at <= services.clock():
        raise Conflict("claim_gone")
    if _state(row) == "asked":
        raise Conflict("claim_asked")
    return row


def _asked(services: Services, tx: Session, who: Principal, item_id: UUID) -> tuple[QuarantinedItem, Visit]:
    """Return an item that waits for the second person's word, locked, and its visit."""
    row = tx.get(QuarantinedItem, item_id, with_for_update=True)
    if row is None or row.item is None or row.erase_at <= services.clock() or _state(row) != "asked":
        raise Conflict("claim_gone")
    if row.claimed_by == who.id:
        raise Forbidden("claim_second_person")
    visit = tx.get(Visit, row.visit_id)
    assert visit is not None
    return row, visit


def _record_of(services: Services, tx: Session, row: QuarantinedItem, visit: Visit) -> tuple[Record, Item]:
    """Open an item for a visit. A meter's user id is a key of the meter's memory, not of a person: it is not looked at.
    Raises Conflict(claim_gone | measured_elsewhen).
    """
    item = Item.model_validate_json(row.item or b"")
    record = open_record(services, tx, str(row.gateway_id), str(row.branch_id), item)
    if isinstance(record, str):
        raise Conflict("claim_gone")
    if rules.is_measured_elsewhen(record.effective_at, record.time_quality, visit.opened_at, row.received_at):
        raise Conflict("measured_elsewhen")
    changed: dict[str, object] = {"reasons": [*record.reasons, "claimed"]}
    if record.time_quality not in rules.TRUSTED_TIMES:
        # The meter's own time is kept in `meter_time`; what stands in the record is when the bytes came.
        changed |= {"effective_at": None, "time_quality": "unknown"}
    return record.model_copy(update=changed), item


def _tell(services: Services, tx: Session, row: QuarantinedItem, visit: Visit, decision: str) -> None:
    services.publish(
        tx, ReadingClaimed(row.id, visit.id, visit.patient_id, visit.branch_id, decision, services.clock())
    )  # fmt: skip
