"""Pages of the consultation: what works as a plain form. The screens are put together in the doctor's and clerk's desks."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from telemed.consultation import rules, service
from telemed.errors import Conflict, Invalid
from telemed.web import words
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
        return redirect(url_for("doctor.desk"))
    return redirect(url_for("doctor.case", case_id=case_id))


@pages.post("/consultations/<uuid:case_id>/give-back")
@guard("consultation.end")
def give_back(case_id: UUID) -> ResponseReturnValue:
    """Return a case to the queue."""
    try:
        service.give_back(services(), who(), case_id)
        flash("The case is in the queue again.", "ok")
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
        service.save_note(services(), who(), case_id, note, int(base) if base.isdecimal() else 0)
        flash("The note is saved.", "ok")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    except Invalid:
        flash("A field of the note is too long: at most 4000 characters.", "warn")
    return redirect(url_for("doctor.case", case_id=case_id))


@pages.post("/consultations/<uuid:case_id>/end")
@guard("consultation.end")
def end(case_id: UUID) -> ResponseReturnValue:
    """End the consultation with an outcome, then show the next patient."""
    try:
        service.end(services(), who(), case_id, request.form.get("outcome", ""))
    except Invalid as error:
        flash("Choose an outcome." if "outcome" in error.fields else "Write an assessment before you end.", "warn")
        return redirect(url_for("doctor.case", case_id=case_id) + "#note")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("doctor.desk"))
    flash("The consultation is ended and stored.", "ok")
    return redirect(url_for("doctor.desk"))
