"""Use cases of consultation: the queue, taking a case, the note, the chat, the end; who is in the call."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.booking.models import Booking, Doctor
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.checkup.models import Visit
from telemed.clock import Clock
from telemed.consultation import rules
from telemed.consultation.events import (
    CallStarted,
    CaseQueued,
    CaseRaised,
    CaseTaken,
    ConsultationEnded,
    MessageWritten,
)
from telemed.consultation.models import CallStep, ChatMessage, Consultation
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.readings import service as readings
from telemed.services import Services

TURN_LIFE_S = 3600
MINE = ("taken", "in_call")


# --- the care relation --------------------------------------------------------------------------------------------


def relations(clock: Clock) -> tuple[Relation, ...]:
    """Return `care`: the doctor's own case of that patient, open or ended within 30 days, or a booking around now."""

    def patients_of(who: Principal) -> Select[Any]:
        now = clock()
        cases = select(Consultation.patient_id).where(
            Consultation.doctor_id == who.id,
            or_(Consultation.ended_at.is_(None), Consultation.ended_at >= now - rules.CARE_AFTER),
        )
        booked = select(Booking.patient_id).where(
            Booking.doctor_id == who.id,
            Booking.status.in_(("booked", "arrived", "done")),
            Booking.starts_at.between(now - rules.CARE_AFTER, now + rules.CARE_BEFORE),
        )
        return select(cases.union(booked).subquery().c.patient_id)

    def holds(tx: Session, who: Principal, subject: Subject) -> bool:
        if who.role != "doctor" or subject.patient_id is None:
            return False
        cared_for = patients_of(who).subquery()
        return tx.scalar(select(cared_for).where(cared_for.c.patient_id == subject.patient_id).limit(1)) is not None

    return (Relation("care", holds, patients_of),)


# --- the queue ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaseView:
    """A case in the queue. `patient_name` is empty unless the case is this doctor's."""

    id: UUID
    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    place: str
    zone: str
    level: str
    state: str
    queued_at: datetime
    waiting_min: int
    is_mine: bool
    is_booked_with_me: bool
    patient_name: str
    line_class: str | None


def queue_case(services: Services, tx: Session, visit_id: UUID, level: str | None = None) -> UUID | None:
    """Put a visit's case into the queue once; return the case. Called by jobs, inside their transaction."""
    known = consultation_of_visit(tx, visit_id)
    visit = tx.get(Visit, visit_id)
    if known is not None or visit is None:
        return known.id if known else None
    branch = branches.branch_of(tx, visit.branch_id)
    booking = tx.get(Booking, visit.booking_id) if visit.booking_id else None
    now = services.clock()
    case = Consultation(
        id=new_id(), visit_id=visit.id, patient_id=visit.patient_id, branch_id=visit.branch_id,
        region_id=branch.region_id, booked_doctor_id=booking.doctor_id if booking else None, state="waiting",
        level=level or readings.triage_of(tx, visit.id), mode="video", queued_at=now, note_rev=0,
    )  # fmt: skip
    tx.add(case)
    subject = Subject(patient_id=visit.patient_id, visit_id=visit.id, consultation_id=case.id)
    audit.record(tx, now, SYSTEM, "consultation.queue", subject, allowed=True, reason="job")
    services.publish(tx, CaseQueued(case.id, visit.id, case.branch_id, case.region_id, case.level, now))
    return case.id


def raise_case(services: Services, tx: Session, visit_id: UUID, level: str) -> None:
    """Follow a new triage level: a RED case is queued at once, a known one changes its place."""
    case = consultation_of_visit(tx, visit_id)
    if case is None:
        if rules.needs_the_doctor_now(level):
            queue_case(services, tx, visit_id, level)
        return
    if case.level != level and case.state not in ("ended", "abandoned"):
        case.level = level
        services.publish(
            tx, CaseRaised(case.id, case.visit_id, case.branch_id, case.region_id, level, services.clock())
        )


def queue(services: Services, who: Principal) -> list[CaseView]:
    """Return the region's waiting cases and this doctor's own open ones, most urgent first; audited."""
    with services.act(who, "queue.read", Subject(region_id=who.region_id)) as tx:
        rows = tx.execute(
            select(Consultation, Branch)
            .join(Branch, Branch.id == Consultation.branch_id)
            .where(
                Consultation.region_id == who.region_id,
                or_(
                    Consultation.state == "waiting",
                    Consultation.state.in_(MINE) & (Consultation.doctor_id == who.id),
                ),
            )
        ).all()
        views = [_case_view(services, tx, who, case, branch) for case, branch in rows]
    return sorted(views, key=lambda view: (not view.is_mine, *rules.queue_key(view.level, view.queued_at)))


def _case_view(services: Services, tx: Session, who: Principal, case: Consultation, branch: Branch) -> CaseView:
    mine, booked = case.doctor_id == who.id, case.booked_doctor_id == who.id
    waited = services.clock() - case.queued_at
    return CaseView(
        id=case.id, visit_id=case.visit_id, patient_id=case.patient_id, branch_id=branch.id, place=branch.place,
        zone=branch.zone, level=case.level, state=case.state, queued_at=case.queued_at,
        waiting_min=int(waited.total_seconds() // 60), is_mine=mine, is_booked_with_me=booked,
        patient_name=patients.name_of(services, tx, case.patient_id) if mine or booked else "",
        line_class=branch.line_class,
    )  # fmt: skip


def case_for_doctor(services: Services, who: Principal, case_id: UUID) -> CaseView:
    """Return one case of this doctor's care; audited. A case of another doctor looks missing."""
    with services.act(who, "consultation.write_note", _subject(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        if case is None or case.doctor_id != who.id:
            raise NotFound()
        return _case_view(services, tx, who, case, branches.branch_of(tx, case.branch_id))


@dataclass(frozen=True)
class EarlierCase:
    """A consultation of the same patient that is over."""

    ended_at: datetime
    outcome: str
    doctor_name: str
    assessment: str
    plan: str


def earlier_cases(services: Services, who: Principal, patient_id: UUID, but: UUID) -> list[EarlierCase]:
    """Return the patient's five newest ended consultations; audited."""
    with services.act(who, "consultation.read_note", Subject(patient_id=patient_id)) as tx:
        rows = tx.scalars(
            select(Consultation)
            .where(Consultation.patient_id == patient_id, Consultation.state == "ended", Consultation.id != but)
            .order_by(Consultation.ended_at.desc())
            .limit(5)
        ).all()
        notes = [services.vault.open(tx, row, "note") for row in rows]
        return [
            EarlierCase(
                ended_at=row.ended_at or row.queued_at, outcome=row.outcome or "",
                doctor_name=doctor_of(tx, row.doctor_id)[0], assessment=note.get("assessment", ""),
                plan=note.get("plan", ""),
            )
            for row, note in zip(rows, notes, strict=True)
        ]  # fmt: skip


def take(services: Services, who: Principal, case_id: UUID) -> None:
    """Make a waiting case this doctor's. Raises Conflict("case_taken") when another doctor was first."""
    subject = _subject(services, case_id)
    with services.act(who, "consultation.take", subject) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        assert case is not None
        if case.doctor_id == who.id and case.state in MINE:
            return
        _step(case, "taken", "case_taken")
        case.doctor_id, case.taken_at = who.id, services.clock()
        services.publish(
            tx, CaseTaken(case.id, case.visit_id, case.branch_id, case.region_id, case.doctor_id, case.taken_at)
        )


def give_back(services: Services, who: Principal, case_id: UUID) -> None:
    """Return a taken case to the queue, at its old place."""
    subject = _subject(services, case_id)
    with services.act(who, "consultation.end", subject) as tx:
        case = _mine(tx, who, case_id)
        _step(case, "waiting", "case_ended")
        case.doctor_id, case.taken_at = None, None
        services.publish(
            tx, CaseQueued(case.id, case.visit_id, case.branch_id, case.region_id, case.level, services.clock())
        )


def _step(case: Consultation, to: str, code: str) -> None:
    if not rules.may_go(case.state, to):
        raise Conflict(code)
    case.state = to


def _mine(tx: Session, who: Principal, case_id: UUID) -> Consultation:
    case = tx.get(Consultation, case_id, with_for_update=True)
    if case is None or case.doctor_id != who.id:
        raise NotFound()
    return case


def consultation_of(tx: Session, case_id: UUID) -> Consultation | None:
    """Return a case, or None."""
    return tx.get(Consultation, case_id)


def consultation_of_visit(tx: Session, visit_id: UUID) -> Consultation | None:
    """Return the case of a visit, or None."""
    return tx.scalar(select(Consultation).where(Consultation.visit_id == visit_id))


def find_subject(tx: Session, case_id: UUID) -> Subject:
    """Return what a decision about this case looks at. Raises NotFound."""
    case = tx.get(Consultation, case_id)
    if case is None:
        raise NotFound()
    return Subject(
        patient_id=case.patient_id, branch_id=case.branch_id, region_id=case.region_id, visit_id=case.visit_id,
        consultation_id=case.id,
    )  # fmt: skip


def _subject(services: Services, case_id: UUID) -> Subject:
    with services.db.read() as tx:
        return find_subject(tx, case_id)


@dataclass(frozen=True)
class CaseState:
    """Where a case stands, as the counter may know it: no clinical word."""

    id: UUID
    state: str
    level: str
    mode: str
    place_in_queue: int
    doctor_name: str
    doctor_phone: str


def case_state(services: Services, who: Principal, visit_id: UUID) -> CaseState | None:
    """Return where the visit's case stands; None before it is queued."""
    with services.db.read() as tx:
        case = consultation_of_visit(tx, visit_id)
    if case is None:
        return None
    with services.look(who, "consultation.read", _subject(services, case.id)) as tx:
        ahead = tx.scalars(
            select(Consultation).where(Consultation.region_id == case.region_id, Consultation.state == "waiting")
        ).all()
        mine = rules.queue_key(case.level, case.queued_at)
        name, phone = doctor_of(tx, case.doctor_id)
        return CaseState(
            id=case.id, state=case.state, level=case.level, mode=case.mode,
            place_in_queue=1 + sum(rules.queue_key(other.level, other.queued_at) < mine for other in ahead),
            doctor_name=name, doctor_phone=phone,
        )  # fmt: skip


def doctor_of(tx: Session, doctor_id: UUID | None) -> tuple[str, str]:
    """Return name and telephone number of a doctor; empty before a case is taken."""
    doctor = tx.get(Doctor, doctor_id) if doctor_id else None
    return (doctor.display_name, doctor.phone) if doctor else ("", "")


# --- the call -----------------------------------------------------------------------------------------------------


def ice_servers(services: Services, case_id: UUID) -> list[dict[str, Any]]:
    """Return the relay for one call: coturn's time-limited credentials, one hour. Empty without a relay."""
    settings = services.settings
    if not settings.turn_url:
        return []
    name = f"{int(services.clock().timestamp()) + TURN_LIFE_S}:{case_id}"
    digest = hmac.new(settings.turn_secret.encode(), name.encode(), hashlib.sha1).digest()
    return [{"urls": [settings.turn_url], "username": name, "credential": base64.b64encode(digest).decode()}]


def join_call(services: Services, who: Principal, case_id: UUID) -> str:
    """Check on every event that `who` belongs to the call, and return the role in it. Raises Conflict after the end."""
    with services.look(who, "consultation.join_call", _subject(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        if case.state not in MINE:
            raise Conflict("no_call_now")
        if who.role == "doctor" and case.doctor_id != who.id:
            raise NotFound()
        return str(who.role)


def note_call_step(services: Services, who: Principal, case_id: UUID, kind: str, reason: str | None = None) -> None:
    """Record what happened in the call; the first `heard` on either side starts it."""
    with services.act(who, "consultation.join_call", _subject(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        now = services.clock()
        tx.add(CallStep(id=new_id(), consultation_id=case_id, role=str(who.role), kind=kind, reason=reason, at=now))
        if kind in rules.MODES:
            case.mode = kind
        if kind == "heard" and case.state == "taken":
            case.state, case.call_started_at = "in_call", now
            services.publish(tx, CallStarted(case.id, case.visit_id, case.branch_id, now))


def note_first_heard(services: Services, who: Principal, case_id: UUID) -> None:
    """Record once per side that it hears or sees the other: the sign of a call that really runs."""
    known = select(CallStep.id).where(
        CallStep.consultation_id == case_id, CallStep.role == who.role, CallStep.kind == "heard"
    )
    with services.db.read() as tx:
        if tx.scalar(known.limit(1)) is not None:
            return
    note_call_step(services, who, case_id, "heard")


# --- note, chat, end ----------------------------------------------------------------------------------------------


def read_note(services: Services, who: Principal, case_id: UUID) -> tuple[dict[str, Any], int]:
    """Return the note and its revision; audited."""
    with services.act(who, "consultation.read_note", _subject(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        return services.vault.open(tx, case, "note"), case.note_rev


def save_note(services: Services, who: Principal, case_id: UUID, note: dict[str, str], base_revision: int) -> int:
    """Store the note and return its new revision. Raises Conflict("note_changed") when it was saved elsewhere
    meanwhile, so that nothing typed is overwritten unseen.
    """
    wrong = {name: "too_long" for name, text in note.items() if len(text) > rules.NOTE_FIELD_MAX}
    wrong |= {name: "unknown_field" for name in note if name not in rules.NOTE_FIELDS}
    if wrong:
        raise Invalid(fields=wrong)
    with services.act(who, "consultation.write_note", _subject(services, case_id)) as tx:
        case = _mine(tx, who, case_id)
        if case.state not in MINE:
            raise Conflict("case_ended")
        if case.note_rev != base_revision:
            raise Conflict("note_changed", revision=case.note_rev)
        services.vault.seal(tx, case, "note", note)
        case.note_saved_at = services.clock()
        return case.note_rev


def write_message(services: Services, who: Principal, case_id: UUID, text: str, message_id: UUID | None = None) -> UUID:
    """Store a line of chat once and return its id."""
    text = text.strip()
    if not text or len(text) > rules.MESSAGE_MAX:
        raise Invalid(fields={"text": "too_long" if text else "required"})
    with services.act(who, "consultation.chat", _subject(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        assert who.id is not None
        if case.state not in MINE:
            raise Conflict("no_call_now")
        if message_id is not None and tx.get(ChatMessage, message_id) is not None:
            return message_id
        row = ChatMessage(
            id=message_id or new_id(), consultation_id=case.id, patient_id=case.patient_id, author_id=who.id,
            author_role=str(who.role), at=services.clock(), words_rev=0,
        )  # fmt: skip
        services.vault.seal(tx, row, "words", {"text": text})
        tx.add(row)
        services.publish(tx, MessageWritten(case.id, row.id, row.at))
        return row.id


@dataclass(frozen=True)
class MessageView:
    id: UUID
    author_role: str
    at: datetime
    text: str


def messages(services: Services, who: Principal, case_id: UUID) -> list[MessageView]:
    """Return the chat of a case in order; audited."""
    with services.act(who, "consultation.chat", _subject(services, case_id)) as tx:
        rows = tx.scalars(
            select(ChatMessage).where(ChatMessage.consultation_id == case_id).order_by(ChatMessage.at, ChatMessage.id)
        )
        return [
            MessageView(row.id, row.author_role, row.at, services.vault.open(tx, row, "words")["text"]) for row in rows
        ]


def end(services: Services, who: Principal, case_id: UUID, outcome: str) -> None:
    """End the consultation with an outcome. A treated or advised case needs an assessment in its note."""
    if outcome not in rules.OUTCOMES:
        raise Invalid(fields={"outcome": "required"})
    with services.act(who, "consultation.end", _subject(services, case_id)) as tx:
        case = _mine(tx, who, case_id)
        if case.state == "ended" and case.outcome == outcome:
            return
        note = services.vault.open(tx, case, "note")
        if outcome != "not_reached" and not (note.get("assessment") or "").strip():
            raise Invalid("note_needed", fields={"assessment": "note_needed"})
        _step(case, "ended", "case_ended")
        case.outcome, case.ended_at = outcome, services.clock()
        services.publish(
            tx,
            ConsultationEnded(
                case.id, case.visit_id, case.patient_id, case.branch_id, case.region_id, outcome, case.ended_at
            ),
        )


# --- the line -----------------------------------------------------------------------------------------------------


def record_line_check(services: Services, who: Principal, branch_id: UUID, result: dict[str, Any]) -> str:
    """Keep a branch's line measurement; return its class."""
    with services.act(who, "branch.check_line", Subject(branch_id=branch_id)) as tx:
        branches.record_line_check(services, tx, branch_id, result)
        return str(result["line_class"])
