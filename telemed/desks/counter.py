"""The clerk's desk: what to do next, and one screen for a visit from the questions to the doctor."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.booking import service as booking
from telemed.branches import morning, service_morning
from telemed.branches import service as branches
from telemed.checkup import service as checkup
from telemed.checkup import service_endings
from telemed.consultation import rules as consultation_rules
from telemed.consultation import service as consultation
from telemed.consultation import service_gate as gate
from telemed.consultation import service_stored as stored
from telemed.delivery import service as delivery
from telemed.desks import measuring
from telemed.errors import Conflict, NotFound
from telemed.ids import parse_id
from telemed.patients import service as patients
from telemed.readings import rules as readings_rules
from telemed.readings import service as readings
from telemed.readings import service_aside
from telemed.web import words
from telemed.web.guard import guard, services, who

pages = Blueprint("counter", __name__)


@pages.get("/counter")
@guard("booking.read_day")
def desk() -> ResponseReturnValue:
    """Show the corner's state and the day: one next step."""
    branch = branches.branch_view(services(), who(), _branch_id())
    words.use_zone(branch.zone)
    visits = checkup.visits_at(services(), who(), branch.id)
    entries = booking.day_list(services(), who(), branch.id)
    names = {visit.id: patients.patient_card(services(), who(), visit.patient_id).full_name for visit in visits}
    ended = service_endings.just_ended(services(), who())
    names |= {visit.id: patients.patient_card(services(), who(), visit.patient_id).full_name for visit in ended}
    answers = [
        (answer, patients.patient_card(services(), who(), answer.patient_id))
        for answer in stored.answers_to_tell(services(), who())
    ]
    return render_template(
        "desks/counter/desk.html", asked_in=_asked_in(visits),
        branch=branch, visits=visits, names=names, entries=entries, answers=answers,
        morning=service_morning.of_today(services(), who(), branch.id), ended=ended,
        aside=len(service_aside.waiting(services(), who())),
    )  # fmt: skip


def _asked_in(visits: list[checkup.VisitView]) -> set[UUID]:
    """Return the visits whose doctor waits in the call."""
    cases = {visit.id: consultation.case_state(services(), who(), visit.id) for visit in visits}
    return {visit_id for visit_id, case in cases.items() if case is not None and case.is_asked_in}


@pages.post("/counter/walk-in")
@guard("booking.book")
def walk_in() -> ResponseReturnValue:
    """Book a patient who stands here with a doctor who is free now, and open the visit."""
    patient_id = _id("patient_id")
    if not request.form.get("identified_by"):
        return _ask_who(patient_id)
    if (busy := _in_the_way(patient_id)) is not None:
        return busy
    try:
        booking_id = booking.walk_in(services(), who(), patient_id, _branch_id())
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("booking.slots", patient_id=patient_id))
    return _open(patient_id, booking_id)


def _in_the_way(patient_id: UUID) -> ResponseReturnValue | None:
    """Lead on when a visit is open at the corner: nobody is booked into it, and no doctor's time is taken for nothing."""
    found = checkup.visit_in_the_way(services(), who(), patient_id, _branch_id())
    if found is None:
        return None
    visit_id, is_own = found
    flash(words.say_code("patient_has_visit" if is_own else "corner_busy"), "warn")
    if is_own:
        return redirect(url_for("counter.visit", visit_id=visit_id))
    return redirect(url_for("booking.slots", patient_id=patient_id))


@pages.post("/counter/visits")
@guard("visit.open")
def open_visit() -> ResponseReturnValue:
    """Open the visit of a booked patient who is here."""
    if not request.form.get("identified_by"):
        return _ask_who(_id("patient_id"))
    return _open(_id("patient_id"), _id("booking_id"))


def _ask_who(patient_id: UUID) -> ResponseReturnValue:
    flash("Choose how you know who this is: by document, by the card, or in person.", "warn")
    return redirect(url_for("patients.page", patient_id=patient_id))


def _open(patient_id: UUID, booking_id: UUID) -> ResponseReturnValue:
    identified_by = request.form.get("identified_by", "")
    try:
        visit_id = checkup.open_visit(services(), who(), patient_id, _branch_id(), identified_by, booking_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        busy = error.facts.get("visit_id")
        return redirect(url_for("counter.visit", visit_id=busy) if busy else url_for("counter.desk"))
    return redirect(url_for("checkup.questions", visit_id=visit_id))


@pages.get("/counter/visits/<uuid:visit_id>")
@guard("visit.read")
def visit(visit_id: UUID) -> ResponseReturnValue:
    """Show one visit: steps, status, the doctor's call, what to do next. No value is ever on this page."""
    view = checkup.visit_view(services(), who(), visit_id)
    branch = branches.branch_view(services(), who(), view.branch_id)
    words.use_zone(branch.zone)
    open_now = view.state != "closed"
    return render_template(
        "desks/counter/visit.html",
        visit=view,
        branch=branch,
        patient=patients.patient_card(services(), who(), view.patient_id),
        measuring=measuring.of_visit(view, branch),
        status=readings.status_of_visit(services(), who(), visit_id),
        level=readings.level_of_visit(services(), who(), visit_id),
        case=consultation.case_state(services(), who(), visit_id) if open_now else None,
        missing=gate.missing_at_counter(services(), who(), visit_id) if open_now else (),
        despites=consultation_rules.DESPITE,
        whose=readings_rules.WHOSE,
        slips=delivery.parcels_of_visit(services(), who(), visit_id),
        line_is_fresh=morning.is_line_fresh(branch.line_checked_at, services().clock()),
    )


@pages.get("/visits/<uuid:visit_id>/emergency")
@guard("visit.read")
def emergency(visit_id: UUID) -> ResponseReturnValue:
    """Show the red card at once, with what is so about the doctor: the triage comes from a job, which may be late."""
    view = checkup.visit_view(services(), who(), visit_id)
    words.use_zone(branches.branch_view(services(), who(), view.branch_id).zone)
    case = consultation.case_state(services(), who(), visit_id)
    return render_template("desks/counter/emergency.html", visit=view, case=case)


def _branch_id() -> UUID:
    branch_id = who().branch_id
    if branch_id is None:
        raise NotFound()
    return branch_id


def _id(name: str) -> UUID:
    found = parse_id(request.form.get(name))
    if found is None:
        raise NotFound()
    return found
