"""Pages of the consultation: what works as a plain form. The screens are put together in the doctor's and clerk's desks."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.branches import service_lines, service_morning
from telemed.checkup import service_allergies
from telemed.consultation import (
    rules,
    service,
    service_call,
    service_endings,
    service_gate,
    service_quality,
    service_stored,
)
from telemed.errors import Conflict, Invalid
from telemed.patients import service as patients
from telemed.web import words
from telemed.web.forms import is_own_path
from telemed.web.guard import guard, services, who

pages = Blueprint("consultation", __name__)


@pages.post("/consultations/<uuid:case_id>/take")
@guard("consultation.take")
def take(case_id: UUID) -> ResponseReturnValue:
    """Take a waiting case."""
    try:
        service.take(services(), who(), case_id)
    except Conflict:
        flash("Another doctor took this case first.", "warn")
        back = request.form.get("back", "")
        return redirect(back if is_own_path(back) else url_for("doctor.desk"))
    return redirect(url_for("doctor.case", case_id=case_id))


@pages.post("/consultations/<uuid:case_id>/give-back")
@guard("consultation.end")
def give_back(case_id: UUID) -> ResponseReturnValue:
    """Return a case to the queue."""
    try:
        service.give_back(services(), who(), case_id)
        flash("The case is in the queue again.", "success")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("doctor.desk"))


@pages.post("/consultations/<uuid:case_id>/note")
@guard("consultation.write_note")
def save_note(case_id: UUID) -> ResponseReturnValue:
    """Save the note from the plain form."""
    note = {name: request.form.get(name, "").strip() for name in rules.NOTE_FIELDS}
    base = request.form.get("base_revision", "0")
    try:
        service.save_note(services(), who(), case_id, note, int(base) if base.isdecimal() and len(base) < 10 else 0)
        flash("The note is saved.", "success")
    except (Conflict, Invalid) as error:
        code = "note_too_long" if isinstance(error, Invalid) else error.code
        return _note_refused(case_id, note, code), error.status  # the words come back: nothing typed is lost
    return redirect(url_for("doctor.case", case_id=case_id))


def _note_refused(case_id: UUID, note: dict[str, str], code: str) -> str:
    case = service.case_for_doctor(services(), who(), case_id)
    words.use_zone(case.zone)
    person = patients.patient_card(services(), who(), case.patient_id)
    allergies = service_allergies.allergies_of(services(), who(), case.patient_id)
    return render_template(
        "consultation/note_refused.html", code=code, note=note, case_id=case_id, person=person, allergies=allergies
    )


@pages.post("/consultations/<uuid:case_id>/end")
@guard("consultation.end")
def end(case_id: UUID) -> ResponseReturnValue:
    """End the consultation with an outcome; with `next`, take the next patient at once."""
    try:
        service.end(services(), who(), case_id, request.form.get("outcome", ""))
    except Invalid as error:
        field = next(iter(error.fields), "")
        flash("Choose an outcome." if field == "outcome" else words.say_code(error.said), "warn")
        place = f"note-{field}" if field in rules.NOTE_FIELDS else "note"
        return redirect(url_for("doctor.case", case_id=case_id, _anchor=place))
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("doctor.desk"))
    flash("The consultation is ended and stored.", "success")
    return _take_next() if request.form.get("next") else redirect(url_for("doctor.desk"))


def _take_next() -> ResponseReturnValue:
    for case in service.queue(services(), who()):
        if case.is_kept and not case.needs_a_doctor_now:
            continue
        try:
            service.take(services(), who(), case.id)
        except Conflict:  # another doctor was first
            continue
        return redirect(url_for("doctor.case", case_id=case.id))
    return redirect(url_for("doctor.desk"))


@pages.post("/consultations/<uuid:case_id>/told")
@guard("consultation.tell")
def told(case_id: UUID) -> ResponseReturnValue:
    """Note that the patient knows of the written answer."""
    service_stored.note_told(services(), who(), case_id)
    return redirect(url_for("counter.desk"))


@pages.post("/visits/<uuid:visit_id>/end")
@guard("visit.close")
def end_visit(visit_id: UUID) -> ResponseReturnValue:
    """End a visit before its time: the patient left, went by ambulance, or was another person."""
    form = request.form
    try:
        service_endings.end_visit(services(), who(), visit_id, form.get("ending", ""), form.get("whose", ""))
    except Invalid as error:
        flash(words.say_code(f"choose_{next(iter(error.fields))}"), "warn")
        return redirect(url_for("counter.visit", visit_id=visit_id))
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("counter.visit", visit_id=visit_id))
    return redirect(url_for("counter.desk"))


@pages.post("/visits/<uuid:visit_id>/undo")
@guard("visit.undo_ending")
def undo_ending(visit_id: UUID) -> ResponseReturnValue:
    """Take the end of a visit back within half a minute."""
    try:
        service_endings.undo_ending(services(), who(), visit_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("counter.desk"))
    return redirect(url_for("counter.visit", visit_id=visit_id))


@pages.post("/visits/<uuid:visit_id>/by-phone")
@guard("consultation.ask_phone")
def ask_for_phone(visit_id: UUID) -> ResponseReturnValue:
    """Ask the doctor to call the corner by telephone; `wanted=no` takes it back."""
    try:
        service_call.ask_for_phone(services(), who(), visit_id, wanted=request.form.get("wanted") != "no")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("counter.visit", visit_id=visit_id))


@pages.post("/visits/<uuid:visit_id>/finish")
@guard("visit.finish")
def finish(visit_id: UUID) -> ResponseReturnValue:
    """Hand the case to the doctors, when it is complete or the clerk says why not."""
    try:
        service_gate.hand_to_doctors(services(), who(), visit_id, request.form.get("despite") or None)
    except Conflict as error:
        if error.code != "case_incomplete":  # what is missing stands on the page already
            flash(words.say_code(error.code, **error.facts), "warn")
    return redirect(url_for("counter.visit", visit_id=visit_id))


@pages.get("/quality")
@guard("consultation.read_quality")
def quality() -> ResponseReturnValue:
    """Show the coordinator how calls went in each branch."""
    rows = service_quality.quality_of_region(services(), who())
    return render_template("consultation/quality.html", rows=rows, rest=service_quality.without_calls(services(), who()))


@pages.get("/quality/<uuid:branch_id>")
@guard("consultation.read_quality")
def quality_of_branch(branch_id: UUID) -> ResponseReturnValue:
    """Show the calls of one branch."""
    name, rows = service_quality.quality_of_branch(services(), who(), branch_id)
    today = service_morning.of_today(services(), who(), branch_id)
    words.use_zone(today.zone)
    over_time = service_lines.line_over_time(services(), who(), branch_id)
    weeks = service_quality.quality_by_week(services(), who(), branch_id)
    return render_template(
        "consultation/quality.html", rows=rows, weeks=weeks, name=name, morning=today, over_time=over_time
    )
