"""The doctor's desk: the queue, and one screen for a case: values, answers, call, note, prescription."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.booking import rules as booking_rules
from telemed.booking import service as booking
from telemed.checkup import service as checkup
from telemed.checkup import service_allergies
from telemed.clock import parse_iso
from telemed.consultation import rules as consultation_rules
from telemed.consultation import service as consultation
from telemed.consultation import service_call as call
from telemed.consultation import service_ended as ended_cases
from telemed.consultation import service_handover as handover
from telemed.consultation import service_photo as photo
from telemed.consultation import service_stored as stored
from telemed.consultation.note_templates import blanks, filled, note_templates
from telemed.errors import Conflict, Invalid
from telemed.ids import new_id, parse_id
from telemed.patients import service as patients
from telemed.prescription import service as prescription
from telemed.readings import service as readings
from telemed.readings import service_quarantine as tray
from telemed.web import words
from telemed.web.guard import guard, services, who

pages = Blueprint("doctor", __name__)


@pages.get("/doctor")
@guard("queue.read")
def desk() -> ResponseReturnValue:
    """Show the queue: the doctor's own open case first, then the most urgent."""
    return render_template("desks/doctor/desk.html", queue=consultation.queue(services(), who()))


@pages.get("/doctor/queue")
@guard("queue.read")
def queue() -> ResponseReturnValue:
    """Give the queue alone, for a page that heard of a change."""
    chosen = request.args.get("case")
    return render_template("desks/doctor/queue.html", queue=consultation.queue(services(), who()), chosen=chosen)


@pages.get("/doctor/devices")
@guard("line.check")
def devices() -> ResponseReturnValue:
    """Let the doctor try camera, microphone, sound and line before the shift."""
    return render_template("desks/doctor/devices.html")


@pages.get("/doctor/ended")
@guard("consultation.list_ended")
def ended() -> ResponseReturnValue:
    """List the doctor's own cases that are over: today's, those of 30 days, older ones."""
    cases = ended_cases.ended_cases(services(), who(), _before())
    zone = ZoneInfo(words.own_zone())
    today = services().clock().astimezone(zone).date()
    groups: dict[str, list[ended_cases.EndedCase]] = {"today": [], "whole": [], "older": []}
    for one in cases:
        is_today = one.ended_at.astimezone(zone).date() == today
        groups["today" if is_today else "whole" if one.is_whole else "older"].append(one)
    more = cases[-1].ended_at if len(cases) == ended_cases.PAGE else None
    return render_template("desks/doctor/ended.html", groups=groups, more=more)


def _before() -> datetime | None:
    try:
        return parse_iso(request.args.get("before", ""))
    except ValueError:
        return None


@pages.get("/doctor/cases/<uuid:case_id>")
@guard("consultation.write_note")
def case(case_id: UUID) -> ResponseReturnValue:
    """Show one case whole; of an own one that is older than the care lasts, what the doctor wrote."""
    return _page_of(case_id)


@pages.post("/doctor/cases/<uuid:case_id>/addendum")
@guard("consultation.add_addendum")
def add_addendum(case_id: UUID) -> ResponseReturnValue:
    """Add a line to the note of an ended case; refused words stay in the form."""
    text = request.form.get("text", "")
    try:
        ended_cases.add_addendum(services(), who(), case_id, text, parse_id(request.form.get("addendum_id")))
    except Invalid as error:
        return _page_of(case_id, addendum_faults=error.faults, addendum_text=text), 422
    except Conflict as error:
        return _page_of(case_id, addendum_faults={"text": error.code}, addendum_text=text), 409
    flash("The addendum is stored.", "success")
    return redirect(url_for("doctor.case", case_id=case_id, _anchor="addenda"))


def _page_of(case_id: UUID, **more: Any) -> str:
    if ended_cases.has_care(services(), who(), case_id):
        return _case(case_id, **more)
    record = ended_cases.own_record(services(), who(), case_id)
    words.use_zone(record.zone)
    note, _revision = consultation.read_note(services(), who(), case_id)
    return render_template(
        "desks/doctor/record.html",
        case=record,
        note=note,
        addenda=ended_cases.addenda(services(), who(), case_id),
        addendum_id=new_id(),
        prescriptions=prescription.prescriptions_of_consultation(services(), who(), case_id),
        next=url_for("doctor.case", case_id=case_id),
        **more,
    )


@pages.post("/doctor/cases/<uuid:case_id>/hand-over")
@guard("consultation.hand_over")
def hand_over(case_id: UUID) -> ResponseReturnValue:
    """Give the case to another doctor, with words; refused words stay in the form."""
    to, text = parse_id(request.form.get("to")), request.form.get("text", "")
    try:
        if to is None:
            raise Invalid(fields={"to": "required"})
        handover.hand_over(services(), who(), case_id, to, text)
    except Invalid as error:
        return _case(case_id, handover_faults=error.faults, handover_text=text, handover_to=to), 422
    except Conflict as error:  # ended or taken meanwhile: the words come back
        page = render_template(
            "parts/given_back.html", code=error.code, given=[(words.say("What the next doctor must know"), text)],
            back=url_for("doctor.desk"), back_text=words.say("Queue"),
        )  # fmt: skip
        return page, error.status
    flash("The case is handed over.", "success")
    return redirect(url_for("doctor.desk"))


def _case(case_id: UUID, **more: Any) -> str:
    view = consultation.case_for_doctor(services(), who(), case_id)
    words.use_zone(view.zone)
    note, revision = consultation.read_note(services(), who(), case_id)
    return render_template(
        "desks/doctor/case.html",
        case=view,
        patient=patients.patient_card(services(), who(), view.patient_id),
        queue=consultation.queue(services(), who()),
        values=readings.readings_of_visit(services(), who(), view.visit_id),
        series=readings.series_of_visit(services(), who(), view.visit_id),
        claims=tray.claims_of_visit(services(), who(), view.visit_id),
        trend=readings.readings_of_patient(services(), who(), view.patient_id),
        answers=checkup.answers_of(services(), who(), view.visit_id),
        allergies=service_allergies.allergies_of(services(), who(), view.patient_id),
        earlier=consultation.earlier_cases(services(), who(), view.patient_id, case_id),
        invited=booking.invitation_reasons(services(), who(), view.patient_id),
        invitation_reasons=booking_rules.REASONS,
        therapy=prescription.therapy_of(services(), who(), view.patient_id),
        handovers=handover.handovers(services(), who(), case_id),
        colleagues=handover.colleagues(services(), who()),
        patient_phone=stored.patient_phone(services(), who(), case_id) if view.stored_at else "",
        note=filled(note, request.args.get("template"), words.lang()),
        note_templates=note_templates(words.lang()),
        blanks=blanks(),
        revision=revision,
        outcomes=consultation_rules.OUTCOMES,
        panel=prescription.panel(services(), who(), case_id),
        **_after_the_end(view),
        next=url_for("doctor.case", case_id=case_id),
        **more,
    )


def _after_the_end(view: consultation.CaseView) -> dict[str, Any]:
    """Return what can be read again of a case that is over: what was written and photographed in the talk, the addenda."""
    if view.state != "ended":
        return {}
    return {
        "chat": call.messages(services(), who(), view.id),
        "photos": photo.photos(services(), who(), view.id),
        "addenda": ended_cases.addenda(services(), who(), view.id),
        "addendum_id": new_id(),
    }


@pages.get("/doctor/cases/<uuid:case_id>/answers")
@guard("visit.read_answers")
def answers(case_id: UUID) -> ResponseReturnValue:
    """Give the answers alone, for a page that heard of a correction."""
    view = consultation.case_for_doctor(services(), who(), case_id)
    words.use_zone(view.zone)
    found = checkup.answers_of(services(), who(), view.visit_id)
    return render_template("desks/doctor/parts/answers.html", answers=found)


@pages.get("/doctor/cases/<uuid:case_id>/values")
@guard("reading.read")
def values(case_id: UUID) -> ResponseReturnValue:
    """Give the values alone, for a page that heard of a new one."""
    view = consultation.case_for_doctor(services(), who(), case_id)
    words.use_zone(view.zone)
    return render_template(
        "readings/parts/values.html",
        values=readings.readings_of_visit(services(), who(), view.visit_id),
        series=readings.series_of_visit(services(), who(), view.visit_id),
        claims=tray.claims_of_visit(services(), who(), view.visit_id),
        case=view,
    )
