"""Use cases of consultation: the queue, taking a case, the note, the end. The call itself is service_call.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.booking.models import Booking, Doctor
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.checkup.models import Visit
from telemed.checkup.rules import WRONG_PERSON
from telemed.checkup.service_series import awaits_clear_strip
from telemed.consultation import rules
from telemed.consultation.events import (
    CaseQueued,
    CaseRaised,
    CaseTaken,
    ConsultationEnded,
)
from telemed.consultation.models import CallStep, CaseGap, Consultation, Handover
from telemed.consultation.note_templates import field_with_blank
from telemed.consultation.relations import relations as relations  # bootstrap registers them from here
from telemed.consultation.relations import subject_of
from telemed.consultation.service_asked_in import is_asked_in
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import rules as patient_rules
from telemed.patients import service as patients
from telemed.patients.rules_birth import Birth
from telemed.readings import service as readings
from telemed.rules_text import length
from telemed.services import Services

# --- the queue ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaseView:
    """A case in the queue. `patient_name`, `birth_date` and `sex` are empty unless the case is this doctor's. `handed_to`
    names another doctor to whom it was given; `is_kept` while it waits for that one alone.
    """

    id: UUID
    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    place: str
    zone: str
    phone: str
    level: str
    state: str
    queued_at: datetime
    waiting_min: int
    is_mine: bool
    is_booked_with_me: bool
    patient_name: str
    birth_date: Birth | None
    sex: str
    line_class: str | None
    is_handed_to_me: bool
    handed_to: str
    is_kept: bool
    stored_at: datetime | None
    answer_by: datetime | None
    missing: tuple[str, ...]
    despite: str
    start_line: str | None
    phone_asked_at: datetime | None
    outcome: str | None
    ended_at: datetime | None
    is_strip_unclear: bool

    @property
    def cannot_wait(self) -> bool:
        """Whether the corner called at once, mostly before everything was asked and measured."""
        return self.despite == rules.CANNOT_WAIT

    @property
    def needs_a_doctor_now(self) -> bool:
        """Whether it goes before all that wait, whoever is to take it. Who was called for at once and went home waits."""
        is_called = (self.cannot_wait or self.is_strip_unclear) and self.stored_at is None
        return is_called or rules.needs_the_doctor_now(self.level)


def queue_case(services: Services, tx: Session, visit_id: UUID, level: str | None = None) -> UUID | None:
    """Put a visit's case into the queue once; return the case. Called by jobs, inside their transaction."""
    known = consultation_of_visit(tx, visit_id)
    visit = tx.get(Visit, visit_id)
    if known is not None or visit is None or visit.ending == WRONG_PERSON:
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


def call_for_strip(services: Services, tx: Session, visit_id: UUID) -> None:
    """Bring a visit whose strip is not clear before the doctors at once; its case says so until the strip is repeated."""
    case = consultation_of_visit(tx, visit_id)
    if case is None:
        queue_case(services, tx, visit_id)
    elif case.state not in ("ended", "abandoned"):
        services.publish(
            tx, CaseRaised(case.id, case.visit_id, case.branch_id, case.region_id, case.level, services.clock())
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
                    Consultation.state.in_(rules.WITH_DOCTOR) & (Consultation.doctor_id == who.id),
                ),
            )
        ).all()
        views = [_case_view(services, tx, who, case, branch) for case, branch in rows]
    return sorted(
        views,
        key=lambda view: (
            not view.is_mine, not view.is_handed_to_me, not view.needs_a_doctor_now, view.is_kept,
            view.stored_at is not None, *rules.queue_key(view.level, view.queued_at),
        ),
    )


def _case_view(services: Services, tx: Session, who: Principal, case: Consultation, branch: Branch) -> CaseView:
    mine = case.doctor_id == who.id
    handed = case.handed_to_id == who.id and case.state == "waiting"
    handed_to = "" if handed else doctor_of(tx, case.handed_to_id)[0]
    is_kept = bool(handed_to) and rules.is_kept_for(_handed_at(tx, case.id), case.stored_at, services.clock())
    booked = case.booked_doctor_id == who.id and not handed_to
    waited = services.clock() - case.queued_at
    gap = tx.get(CaseGap, case.visit_id)
    identity = patients.identity_of(services, tx, case.patient_id) if mine or booked or handed else {}
    return CaseView(
        id=case.id, visit_id=case.visit_id, patient_id=case.patient_id, branch_id=branch.id, place=branch.place,
        zone=branch.zone, phone=branch.phone, level=case.level, state=case.state, queued_at=case.queued_at,
        waiting_min=int(waited.total_seconds() // 60), is_mine=mine, is_booked_with_me=booked,
        patient_name=patient_rules.full_name(identity), sex=identity.get("sex", ""),
        birth_date=Birth.of(identity["birth_date"]) if identity.get("birth_date") else None,
        line_class=branch.line_class, is_handed_to_me=handed, handed_to=handed_to,
        is_kept=is_kept and not rules.needs_the_doctor_now(case.level),
        stored_at=case.stored_at, answer_by=case.stored_at + rules.STORED_ANSWER_WITHIN if case.stored_at else None,
        missing=tuple(gap.missing.split()) if gap else (), despite=gap.despite if gap else "",
        start_line=_start_line(branch, services.clock()), phone_asked_at=case.phone_asked_at,
        outcome=case.outcome, ended_at=case.ended_at, is_strip_unclear=awaits_clear_strip(tx, case.visit_id),
    )  # fmt: skip


def _handed_at(tx: Session, case_id: UUID) -> datetime:
    handed_at = select(Handover.at).where(Handover.consultation_id == case_id).order_by(Handover.at.desc()).limit(1)
    return tx.scalars(handed_at).one()


def case_for_doctor(services: Services, who: Principal, case_id: UUID) -> CaseView:
    """Return one case of this doctor's care; audited. A case of another doctor looks missing."""
    with services.act(who, "consultation.write_note", subject_of(services, case_id)) as tx:
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
    addenda: tuple[str, ...]


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
        added = [services.vault.open(tx, row, "addenda").get("lines", ()) for row in rows]
        return [
            EarlierCase(
                ended_at=row.ended_at or row.queued_at, outcome=row.outcome or "",
                doctor_name=doctor_of(tx, row.doctor_id)[0], assessment=note.get("assessment", ""),
                plan=note.get("plan", ""), addenda=tuple(line["text"] for line in lines),
            )
            for row, note, lines in zip(rows, notes, added, strict=True)
        ]  # fmt: skip


def take(services: Services, who: Principal, case_id: UUID) -> None:
    """Make a waiting case this doctor's. Raises Conflict("case_taken") when another doctor was first."""
    subject = subject_of(services, case_id)
    with services.act(who, "consultation.take", subject) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        assert case is not None
        if case.doctor_id == who.id and case.state in rules.WITH_DOCTOR:
            return
        _step(case, "taken", "case_taken")
        case.doctor_id, case.taken_at, case.handed_to_id = who.id, services.clock(), None
        case.mode = rules.MODES[0]  # each doctor's talk begins at the top, whatever the one before came down to
        services.publish(
            tx, CaseTaken(case.id, case.visit_id, case.branch_id, case.region_id, case.doctor_id, case.taken_at)
        )


def give_back(services: Services, who: Principal, case_id: UUID) -> None:
    """Return a taken case to the queue, at its old place unless the corner has been away for more than ten minutes."""
    subject = subject_of(services, case_id)
    with services.act(who, "consultation.end", subject) as tx:
        case = _mine(tx, who, case_id)
        _step(case, "waiting", "case_ended")
        if not rules.keeps_place(case.level, corner_left_at(tx, case.id), services.clock()):
            case.queued_at = services.clock()
        case.doctor_id, case.taken_at = None, None
        services.publish(
            tx, CaseQueued(case.id, case.visit_id, case.branch_id, case.region_id, case.level, services.clock())
        )


def corner_left_at(tx: Session, case_id: UUID) -> datetime | None:
    """Return since when the corner is gone from the call; None while it is there or was never there."""
    last = tx.scalar(
        select(CallStep)
        .where(CallStep.consultation_id == case_id, CallStep.role == "clerk", CallStep.kind.in_(("joined", "left")))
        .order_by(CallStep.at.desc(), (CallStep.kind == "joined").desc())
        .limit(1)
    )
    return last.at if last is not None and last.kind == "left" else None


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
    start_line: str | None
    phone_asked_at: datetime | None
    branch_phone: str
    is_asked_in: bool = False

    @property
    def is_by_telephone(self) -> bool:
        """Whether the doctor calls the corner by telephone: it asked for that, or the talk came down to it."""
        return self.phone_asked_at is not None or (self.state in rules.WITH_DOCTOR and self.mode == "telephone")


def case_state(services: Services, who: Principal, visit_id: UUID) -> CaseState | None:
    """Return where the visit's case stands; None before it is queued."""
    with services.db.read() as tx:
        case = consultation_of_visit(tx, visit_id)
    if case is None:
        return None
    with services.look(who, "consultation.read", subject_of(services, case.id)) as tx:
        ahead = tx.scalars(
            select(Consultation).where(
                Consultation.region_id == case.region_id,
                Consultation.state == "waiting",
                Consultation.stored_at.is_(None),
            )
        ).all()
        mine = rules.queue_key(case.level, case.queued_at)
        name, phone = doctor_of(tx, case.doctor_id)
        branch = branches.branch_of(tx, case.branch_id)
        return CaseState(
            id=case.id, state=case.state, level=case.level, mode=case.mode,
            place_in_queue=1 + sum(rules.queue_key(other.level, other.queued_at) < mine for other in ahead),
            doctor_name=name, doctor_phone=phone,
            start_line=_start_line(branch, services.clock()), phone_asked_at=case.phone_asked_at,
            branch_phone=branch.phone, is_asked_in=is_asked_in(tx, case),
        )  # fmt: skip


def _start_line(branch: Branch, now: datetime) -> str | None:
    """Return the class at which a talk begins: the line's of today, else None and the talk finds out by itself."""
    is_fresh = branch.line_checked_at is not None and now - branch.line_checked_at <= rules.LINE_FRESH
    return branch.line_class if is_fresh else None


def doctor_of(tx: Session, doctor_id: UUID | None) -> tuple[str, str]:
    """Return name and telephone number of a doctor; empty before a case is taken."""
    doctor = tx.get(Doctor, doctor_id) if doctor_id else None
    return (doctor.display_name, doctor.phone) if doctor else ("", "")


# --- note, end ----------------------------------------------------------------------------------------------------


def read_note(services: Services, who: Principal, case_id: UUID) -> tuple[dict[str, Any], int]:
    """Return the note and its revision; audited."""
    with services.act(who, "consultation.read_note", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        return services.vault.open(tx, case, "note"), case.note_rev


def save_note(services: Services, who: Principal, case_id: UUID, note: dict[str, str], base_revision: int) -> int:
    """Store the note and return its new revision. Raises Conflict("note_changed") when it was saved elsewhere
    meanwhile, so that nothing typed is overwritten unseen. The same words again are the same save: the answer to the
    first may have been lost.
    """
    wrong = {name: "too_long" for name, text in note.items() if length(text) > rules.NOTE_FIELD_MAX}
    wrong |= {name: "unknown_field" for name in note if name not in rules.NOTE_FIELDS}
    if wrong:
        raise Invalid(fields=wrong)
    with services.act(who, "consultation.write_note", subject_of(services, case_id)) as tx:
        case = _mine(tx, who, case_id)
        if case.state not in rules.WITH_DOCTOR:
            raise Conflict("case_ended")
        if case.note_rev == base_revision + 1 and services.vault.open(tx, case, "note") == note:
            return case.note_rev
        if case.note_rev != base_revision:
            raise Conflict("note_changed", revision=case.note_rev)
        services.vault.seal(tx, case, "note", note)
        case.note_saved_at = services.clock()
        return case.note_rev


def _check_note(note: dict[str, str]) -> None:
    if not (note.get("assessment") or "").strip():
        raise Invalid("note_needed", fields={"assessment": "note_needed"})
    if (field := field_with_blank(note)) is not None:
        raise Invalid("note_blank", fields={field: "note_blank"})


def end(services: Services, who: Principal, case_id: UUID, outcome: str) -> None:
    """End the consultation with an outcome. Unless the patient was not reached, the note needs an assessment, and no
    template's blank may be left in it.
    """
    if outcome not in rules.OUTCOMES:
        raise Invalid(fields={"outcome": "required"})
    with services.act(who, "consultation.end", subject_of(services, case_id)) as tx:
        case = _mine(tx, who, case_id)
        if case.state == "ended" and case.outcome == outcome:
            return
        note = services.vault.open(tx, case, "note")
        if outcome != "not_reached":
            _check_note(note)
        _step(case, "ended", "case_ended")
        case.outcome, case.ended_at = outcome, services.clock()
        services.publish(
            tx,
            ConsultationEnded(
                case.id, case.visit_id, case.patient_id, case.branch_id, case.region_id, outcome, case.ended_at
            ),
        )
