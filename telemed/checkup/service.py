"""Use cases of the check-up: open a visit, ask before measuring, the series step by step, hand over to the doctor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.booking import service as booking
from telemed.booking.models import Booking
from telemed.branches import service as branches
from telemed.branches.models import Corner, Gateway, Kit
from telemed.checkup import rules
from telemed.checkup.events import MeasurementAsked, SymptomsAnswered, VisitClosed, VisitOpened, VisitReady
from telemed.checkup.models import SeriesStep, Visit
from telemed.checkup.service_series import OPEN_STEPS, choose_arms, last_arm, protocols, steps_of
from telemed.clock import iso, parse_iso
from telemed.db import Reads
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.patients.models import Patient
from telemed.prepared import ask
from telemed.rules_text import length
from telemed.services import Services

METER_KINDS = ("glucose", "blood_pressure")


# --- the open_visit relation --------------------------------------------------------------------------------------


# Prepared once: asked at every message of a call.
_visit = Visit.__table__.c
_LIVING = (
    select(_visit.id).where(_visit.branch_id == bindparam("branch"), _visit.state.in_(rules.LIVING)).limit(1)
)  # fmt: skip
_LIVING_VISIT = _LIVING.where(_visit.id == bindparam("about"))
_LIVING_OF_PATIENT = _LIVING.where(_visit.patient_id == bindparam("about"))


def _has_open_visit(tx: Reads, who: Principal, subject: Subject) -> bool:
    if who.branch_id is None or (subject.patient_id is None and subject.visit_id is None):
        return False
    asked = _LIVING_VISIT if subject.visit_id else _LIVING_OF_PATIENT
    about = {"branch": who.branch_id, "about": subject.visit_id or subject.patient_id}
    return ask(tx, asked, about).scalar() is not None


def _living_visits(who: Principal) -> Select[Any]:
    return select(Visit.patient_id).where(Visit.branch_id == who.branch_id, Visit.state.in_(rules.LIVING))


RELATIONS = (Relation("open_visit", _has_open_visit, _living_visits),)


# --- open ---------------------------------------------------------------------------------------------------------


def _protocol_of(services: Services, tx: Session, branch_id: UUID) -> str:
    """Return the protocol for a new visit: the branch's rule, else the deployment's; in a demo its form in seconds."""
    name = branches.branch_of(tx, branch_id).series_rule or services.settings.series_rule
    return rules.demo_of(name) if services.demo else name


def open_visit(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, identified_by: str,
    booking_id: UUID | None = None, visit_id: UUID | None = None,
) -> UUID:  # fmt: skip
    """Open a visit for an identified patient, plan its series, tell the gateway. The same `visit_id` twice is one
    visit. Raises Conflict("corner_busy") while another visit is open at the corner, or "patient_has_visit"
    for this patient, ("consent_withdrawn") who does not agree any more.
    """
    if identified_by not in rules.IDENTIFIED_BY:
        raise Invalid(fields={"identified_by": "required"})
    patients.subject_of(services, patient_id)
    with services.act(who, "visit.open", Subject(patient_id=patient_id, branch_id=branch_id)) as tx:
        known = tx.get(Visit, visit_id) if visit_id else None
        if known is not None:
            if (known.patient_id, known.branch_id, known.booking_id) != (patient_id, branch_id, booking_id):
                raise Conflict("visit_id_used")
            return known.id
        patients.refuse_withdrawn(tx, patient_id, "care")
        visit = _new_visit(services, tx, who, patient_id, branch_id, identified_by, booking_id, visit_id)
        tx.add(visit)
        tx.flush()
        for kind, ordinal, not_before in rules.planned(protocols()[visit.protocol], visit.opened_at):
            tx.add(
                SeriesStep(
                    id=new_id(), visit_id=visit.id, kind=kind, ordinal=ordinal, state="waiting", not_before=not_before
                )
            )  # fmt: skip
        if booking_id is not None:
            booking.mark_arrived(services, tx, booking_id)
        branches.order_gateway(services, tx, branch_id, "open_visit", {"visit_id": str(visit.id)}, visit.gateway_id)
        services.publish(tx, VisitOpened(visit.id, patient_id, branch_id, booking_id, visit.opened_at))
        return visit.id


def _new_visit(
    services: Services, tx: Session, who: Principal, patient_id: UUID, branch_id: UUID, identified_by: str,
    booking_id: UUID | None, visit_id: UUID | None,
) -> Visit:  # fmt: skip
    booked = booking.booking_of(tx, booking_id) if booking_id else None
    if booking_id and (booked is None or booked.patient_id != patient_id or booked.branch_id != branch_id):
        raise NotFound()
    corner_id = booked.corner_id if booked else _free_corner(tx, branch_id)
    # Two clerks' screens may open at once: the second waits for the first at the corner's and the patient's row.
    if corner_id is not None:
        tx.get(Corner, corner_id, with_for_update=True)
    tx.get(Patient, patient_id, with_for_update=True)
    busy = tx.scalar(
        select(Visit).where(
            Visit.state.in_(rules.LIVING), or_(Visit.corner_id == corner_id, Visit.patient_id == patient_id)
        )
    )
    if busy is not None:
        here = {"visit_id": str(busy.id)} if busy.branch_id == branch_id else {}  # no way leads into another branch
        raise Conflict("patient_has_visit" if busy.patient_id == patient_id else "corner_busy", **here)
    assert who.id is not None
    return Visit(
        id=visit_id or new_id(), kind="branch", state="open", booking_id=booking_id, patient_id=patient_id,
        branch_id=branch_id, corner_id=corner_id, gateway_id=_free_gateway(tx, branch_id),
        kit_id=_free_kit(tx, branch_id, booked.kit_id if booked else None), protocol=_protocol_of(services, tx, branch_id),
        identified_by=identified_by, opened_by=who.id,
        opened_at=services.clock(), answers_rev=0,
    )  # fmt: skip


def _free_corner(tx: Session, branch_id: UUID) -> UUID | None:
    """Return a corner where nobody sits, else the first, which is then refused as busy; None without corners."""
    corners = tx.scalars(select(Corner.id).where(Corner.branch_id == branch_id).order_by(Corner.name)).all()
    taken = _held(tx, branch_id)
    return next((one for one in corners if one not in {visit.corner_id for visit in taken}), next(iter(corners), None))


def _free_kit(tx: Session, branch_id: UUID, booked: UUID | None) -> UUID | None:
    """Return the booked kit, else one that nobody uses; None without kits. Raises Conflict("corner_busy")."""
    found = select(Kit.id).where(Kit.branch_id == branch_id).order_by(Kit.name)
    return _first_free(list(tx.scalars(found)) if booked is None else [booked], _held(tx, branch_id), "kit_id")


def _free_gateway(tx: Session, branch_id: UUID) -> UUID | None:
    """Return the newest gateway that holds no visit: it stamps readings with one visit only, so a second one would end
    the first and get its readings. None without gateways. Raises Conflict("corner_busy").
    """
    living = (
        select(Gateway.id)
        .where(Gateway.branch_id == branch_id, Gateway.revoked_at.is_(None))
        .order_by(Gateway.joined_at.desc())
        .with_for_update()
    )
    return _first_free(list(tx.scalars(living)), _held(tx, branch_id), "gateway_id")


def _first_free(wanted: list[UUID], visits: list[Visit], name: str) -> UUID | None:
    holders = {getattr(visit, name): visit for visit in visits}
    free = next((one for one in wanted if one not in holders), None)
    if wanted and free is None:
        raise Conflict("corner_busy", visit_id=str(holders[wanted[0]].id))
    return free


def _held(tx: Session, branch_id: UUID) -> list[Visit]:
    return list(tx.scalars(select(Visit).where(Visit.branch_id == branch_id, Visit.state.in_(rules.LIVING))))


# --- questions ----------------------------------------------------------------------------------------------------


def answer_questions(services: Services, who: Principal, visit_id: UUID, answers: dict[str, Any]) -> bool:
    """Store the answers before the numbers; tell whether one of them alone is an emergency. A text that was given before
    and is empty now stays: who asks again has not heard that there is none. Raises Invalid.
    """
    faults = rules.answer_faults(answers)
    if faults:
        raise Invalid(fields=faults)
    with services.act(who, "visit.answer", subject_of(services, visit_id)) as tx:
        visit = _living(tx, visit_id)
        before = read_answers(services, tx, visit)
        given = {name: before[name] for name in rules.TEXTS if before.get(name) and not answers.get(name)}
        _keep_answers(services, tx, visit, {**answers, **given})
    return rules.is_red_flag(answers.get("symptoms", ()))


def correct_answers(services: Services, who: Principal, visit_id: UUID, changes: dict[str, Any]) -> bool:
    """Store what is said anew beside what was said before; tell whether an emergency is among it. The other answers stay,
    and nobody sees them. Raises Invalid, or Conflict("questions_first").
    """
    with services.act(who, "visit.answer", subject_of(services, visit_id)) as tx:
        visit = _living(tx, visit_id)
        if visit.answered_at is None:
            raise Conflict("questions_first")
        answers = rules.corrected(read_answers(services, tx, visit), changes)
        faults = {name: code for name, code in rules.answer_faults(answers).items() if name in changes}
        if faults:
            raise Invalid(fields=faults)
        _keep_answers(services, tx, visit, answers)
    return rules.is_red_flag([code for code, is_yes in changes.get("symptoms", {}).items() if is_yes])


def _keep_answers(services: Services, tx: Session, visit: Visit, answers: dict[str, Any]) -> None:
    now = services.clock()
    services.vault.seal(tx, visit, "answers", rules.with_earlier(read_answers(services, tx, visit), answers, iso(now)))
    visit.answered_at = now
    choose_arms(tx, visit, answers.get("arm") or None)
    services.publish(tx, SymptomsAnswered(visit.id, visit.patient_id, visit.branch_id, now))


def complete_answers(services: Services, who: Principal, visit_id: UUID, more: dict[str, str]) -> None:
    """Add texts to answers that were left empty; one that is there already stays. Raises Invalid, or
    Conflict("questions_first").
    """
    too_long = {name: "too_long" for name, text in more.items() if length(text) > rules.TEXT_MAX}
    faults = {name: "unknown_field" for name in more if name not in rules.TEXTS}
    with services.act(who, "visit.answer", subject_of(services, visit_id)) as tx:
        visit = _living(tx, visit_id)
        if visit.answered_at is None:
            raise Conflict("questions_first")
        answers = read_answers(services, tx, visit)
        if faults or (too_long and not rules.is_red_flag(answers.get("symptoms", ()))):
            raise Invalid(fields=too_long | faults)
        given = {name: text for name, text in answers.items() if name in rules.TEXTS and text}
        services.vault.seal(tx, visit, "answers", {**answers, **more, **given})
        services.publish(tx, SymptomsAnswered(visit.id, visit.patient_id, visit.branch_id, services.clock()))


def read_answers(services: Services, tx: Session, visit: Visit) -> dict[str, Any]:
    """Return the answers, inside the caller's audited transaction; {} before the questions, and when it turned out that
    another person gave them.
    """
    if visit.ending == rules.WRONG_PERSON:
        return {}
    return services.vault.open(tx, visit, "answers")


def answers_of(services: Services, who: Principal, visit_id: UUID) -> dict[str, Any]:
    """Return the answers for doctor or patient; audited."""
    with services.act(who, "visit.read_answers", subject_of(services, visit_id)) as tx:
        visit = tx.get(Visit, visit_id)
        assert visit is not None
        answers = read_answers(services, tx, visit)
        earlier = [{**old, "at": parse_iso(old["at"])} for old in answers.get("earlier", ())]
        return {**answers, "earlier": earlier} if earlier else answers


# --- the series ---------------------------------------------------------------------------------------------------


def ask_measurement(services: Services, who: Principal, visit_id: UUID, kind: str) -> int:
    """Ask for the next measurement of a kind; return its ordinal. Raises Conflict("questions_first"), ("rest_first",
    wait_s=...), ("series_over") or ("consent_withdrawn").
    """
    with services.act(who, "visit.ask_measurement", subject_of(services, visit_id)) as tx:
        return _ask(services, tx, visit_id, kind)[1].ordinal


def ask_next(services: Services, tx: Session, visit_id: UUID, kind: str) -> Visit:
    """Ask for the next measurement inside the caller's transaction; return the visit. Raises as `ask_measurement`."""
    return _ask(services, tx, visit_id, kind)[0]


def _ask(services: Services, tx: Session, visit_id: UUID, kind: str) -> tuple[Visit, SeriesStep]:
    visit, step = _ready_step(services, tx, visit_id, kind)
    step.state, step.asked_at = "asked", services.clock()
    body = {"visit_id": str(visit.id), "meter": kind, "ordinal": step.ordinal}
    branches.order_gateway(services, tx, visit.branch_id, "take_series", body, visit.gateway_id)
    services.publish(tx, MeasurementAsked(visit.id, visit.branch_id, kind, step.ordinal, step.asked_at))
    return visit, step


def _ready_step(services: Services, tx: Session, visit_id: UUID, kind: str) -> tuple[Visit, SeriesStep]:
    if kind not in METER_KINDS:
        raise Invalid(fields={"kind": "required"})
    visit = _living(tx, visit_id)
    patients.refuse_withdrawn(tx, visit.patient_id, "care")
    if visit.answered_at is None:
        raise Conflict("questions_first")
    step = tx.scalar(
        select(SeriesStep)
        .where(
            SeriesStep.visit_id == visit_id, SeriesStep.kind == kind,
            SeriesStep.state.in_(OPEN_STEPS),
        )
        .order_by(SeriesStep.ordinal)
        .limit(1)
    )  # fmt: skip
    if step is None:
        raise Conflict("series_over")
    wait = rules.wait_s(step.not_before, services.clock())
    if wait:
        raise Conflict("rest_first", wait_s=wait)
    return visit, step


def arm_of_patient(services: Services, who: Principal, visit_id: UUID) -> str | None:
    """Return the arm to measure on, known from an earlier visit."""
    with services.look(who, "visit.read", subject_of(services, visit_id)) as tx:
        visit = tx.get(Visit, visit_id)
        return last_arm(tx, visit.patient_id) if visit else None


def skip_arm(services: Services, who: Principal, visit_id: UUID) -> None:
    """Leave out the arm whose turn it is, because it cannot take the cuff: the series goes on with the other."""
    with services.act(who, "visit.ask_measurement", subject_of(services, visit_id)) as tx:
        _living(tx, visit_id)
        steps = steps_of(tx, visit_id, "blood_pressure")
        step = next((step for step in steps if step.state in OPEN_STEPS), None)
        if step is None or step.arm is None or all(other.arm in (None, step.arm) for other in steps):
            raise Conflict("only_one_arm")
        kept = next(other.arm for other in steps if other.arm not in (None, step.arm))
        step.state, step.advice = "skipped", None
        for other in steps:
            if other.state in OPEN_STEPS:
                other.arm = kept


def skip_step(services: Services, who: Principal, visit_id: UUID, kind: str) -> None:
    """Leave out the rest of one kind, e.g. because the patient cannot bear the cuff. Raises Invalid."""
    if kind not in METER_KINDS:
        raise Invalid(fields={"kind": "required"})
    with services.act(who, "visit.ask_measurement", subject_of(services, visit_id)) as tx:
        _living(tx, visit_id)
        for step in tx.scalars(select(SeriesStep).where(SeriesStep.visit_id == visit_id, SeriesStep.kind == kind)):
            if step.state in OPEN_STEPS:
                step.state, step.advice = "skipped", None


# --- finish and close ---------------------------------------------------------------------------------------------


def finish(services: Services, who: Principal, visit_id: UUID) -> None:
    """Hand the case to the doctors. Raises Conflict("questions_first") or ("consent_withdrawn")."""
    with services.act(who, "visit.finish", subject_of(services, visit_id)) as tx:
        visit = _living(tx, visit_id)
        if visit.state == "ready":
            return
        patients.refuse_withdrawn(tx, visit.patient_id, "care", "telemedicine")
        if visit.answered_at is None:
            raise Conflict("questions_first")
        visit.state, visit.ready_at = "ready", services.clock()
        services.publish(
            tx, VisitReady(visit.id, visit.patient_id, visit.branch_id, visit.booking_id, visit.ready_at)
        )  # fmt: skip


def close_visit(services: Services, who: Principal, visit_id: UUID) -> None:
    """End the visit: the corner is free, and the gateway gives no further reading to this patient."""
    with services.act(who, "visit.close", subject_of(services, visit_id)) as tx:
        close(services, tx, visit_id, "seen")


def close(services: Services, tx: Session, visit_id: UUID, ending: str) -> Visit:
    """End the visit inside the caller's transaction; return it. Who was booked and is not the person at the corner is
    still awaited: the booking is free for another visit. Raises Conflict("visit_closed").
    """
    visit = _living(tx, visit_id)
    visit.state, visit.closed_at, visit.ending = "closed", services.clock(), ending
    if visit.booking_id is not None and ending == rules.WRONG_PERSON and booking.is_planned(tx, visit.booking_id):
        booking.mark_awaited(services, tx, visit.booking_id)
        visit.booking_id = None
    elif visit.booking_id is not None:
        booking.mark_done(services, tx, visit.booking_id)
    body = {"visit_id": str(visit.id)}
    branches.order_gateway(services, tx, visit.branch_id, "close_visit", body, visit.gateway_id)
    services.publish(tx, VisitClosed(visit.id, visit.patient_id, visit.branch_id, visit.closed_at, ending))
    return visit


def _living(tx: Session, visit_id: UUID) -> Visit:
    visit = tx.get(Visit, visit_id, with_for_update=True)
    if visit is None:
        raise NotFound()
    if visit.state not in rules.LIVING:
        raise Conflict("visit_closed")
    return visit


def subject_of(services: Services, visit_id: UUID) -> Subject:
    """Return what a decision about a visit looks at. Raises NotFound."""
    with services.db.read() as tx:
        return find_subject(tx, visit_id)


def find_subject(tx: Session, visit_id: UUID) -> Subject:
    """Return what a decision about a visit looks at. Raises NotFound."""
    visit = tx.get(Visit, visit_id)
    if visit is None:
        raise NotFound()
    return Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id)


# --- what the counter sees ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepView:
    kind: str
    ordinal: int
    state: str
    wait_s: int
    arm: str | None = None
    advice: str | None = None
    tries: int = 0
    asked_at: datetime | None = None
    may_skip_arm: bool = False


@dataclass(frozen=True)
class VisitView:
    """A visit as the clerk sees it: what is done and what comes next, no clinical word."""

    id: UUID
    patient_id: UUID
    branch_id: UUID
    kit_id: UUID | None
    booking_id: UUID | None
    state: str
    protocol: str
    is_demo: bool
    opened_at: datetime
    answered: bool
    steps: list[StepView]
    next: StepView | None

    @property
    def done(self) -> int:
        return sum(step.state not in OPEN_STEPS for step in self.steps)


def visit_view(services: Services, who: Principal, visit_id: UUID) -> VisitView:
    """Return a visit as its clerk sees it."""
    with services.look(who, "visit.read", subject_of(services, visit_id)) as tx:
        visit = tx.get(Visit, visit_id)
        assert visit is not None
        return _view(services, tx, visit)


def visits_at(services: Services, who: Principal, branch_id: UUID) -> list[VisitView]:
    """Return the branch's visits that are not closed."""
    with services.look(who, "visit.read", Subject(branch_id=branch_id)) as tx:
        rows = tx.scalars(select(Visit).where(Visit.branch_id == branch_id, Visit.state.in_(rules.LIVING)))
        return [_view(services, tx, visit) for visit in rows]


def visit_in_the_way(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID
) -> tuple[UUID, bool] | None:
    """Return the open visit that a walk-in would meet, and whether it is this patient's; None when the way is free."""
    with services.look(who, "visit.open", Subject(patient_id=patient_id, branch_id=branch_id)) as tx:
        corner_id, _kit = booking.places_of(tx, branch_id)
        visits = tx.scalars(
            select(Visit).where(
                Visit.state.in_(rules.LIVING), or_(Visit.corner_id == corner_id, Visit.patient_id == patient_id)
            )
        ).all()
        own = next((visit for visit in visits if visit.patient_id == patient_id), None)
        return (own.id, True) if own else (visits[0].id, False) if visits else None


def _view(services: Services, tx: Session, visit: Visit) -> VisitView:
    now = services.clock()
    rows = tx.scalars(
        select(SeriesStep)
        .where(SeriesStep.visit_id == visit.id)
        .order_by(SeriesStep.kind.desc(), SeriesStep.ordinal)
    ).all()
    arms = {row.arm for row in rows if row.arm}
    steps = [
        StepView(
            row.kind, row.ordinal, row.state, rules.wait_s(row.not_before, now), row.arm, row.advice, row.tries,
            row.asked_at, row.arm is not None and len(arms) > 1 and row.state in OPEN_STEPS,
        )
        for row in rows
    ]  # fmt: skip
    return VisitView(
        id=visit.id, patient_id=visit.patient_id, branch_id=visit.branch_id, kit_id=visit.kit_id,
        booking_id=visit.booking_id, state=visit.state, protocol=visit.protocol,
        is_demo=protocols()[visit.protocol]["demo"], opened_at=visit.opened_at,
        answered=visit.answered_at is not None, steps=steps,
        next=next((step for step in steps if step.state in OPEN_STEPS), None),
    )  # fmt: skip


def visit_of_booking(tx: Session, booking_id: UUID) -> Visit | None:
    """Return the visit of a booking, or None."""
    return tx.scalar(select(Visit).join(Booking, Booking.id == Visit.booking_id).where(Booking.id == booking_id))


_OPEN_STEPS = (
    select(SeriesStep.visit_id, SeriesStep.kind, func.count())
    .where(SeriesStep.visit_id.in_(bindparam("ids", expanding=True)), SeriesStep.state.in_(OPEN_STEPS))
    .group_by(SeriesStep.visit_id, SeriesStep.kind)
)


def count_open_steps(tx: Session, visit_ids: Collection[UUID]) -> dict[tuple[UUID, str], int]:
    """Return by visit and kind how many steps still wait for a reading; nothing where none does."""
    rows = tx.execute(_OPEN_STEPS, {"ids": list(visit_ids)})
    return {(visit_id, kind): count for visit_id, kind, count in rows}
