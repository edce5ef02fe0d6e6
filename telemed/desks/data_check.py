"""The coordinator's page of bad data that is stored already, with a way to mend each."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.booking import service_slots
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import parse_id
from telemed.patients import service_check, service_index, service_mend
from telemed.web import words
from telemed.web.guard import guard, services, who

pages = Blueprint("data_check", __name__)


@pages.get("/coordinator/data")
@guard("patient.check_data")
def page() -> ResponseReturnValue:
    """Show what is to be mended in the region, masked, and how far the people are indexed anew."""
    found = service_check.people_to_mend(services(), who())
    places = {finding.branch_id: services().place_of(finding.branch_id) for finding in found}
    return render_template(
        "desks/data_check.html", found=[one for one in found if one.verdict != "same"], places=places,
        joined=[one for one in found if one.verdict == "same"], shifts=service_slots.shifts_off_grid(services(), who()),
        progress=service_index.progress(services()),
    )  # fmt: skip


@pages.post("/coordinator/data/<uuid:patient_id>/phone")
@guard("patient.mend_data")
def phone(patient_id: UUID) -> ResponseReturnValue:
    """Store the right telephone number, or the one that was meant."""
    return _mended(lambda: service_mend.mend_phone(services(), who(), patient_id, request.form.get("typed", "")))


@pages.post("/coordinator/data/<uuid:patient_id>/number")
@guard("patient.mend_data")
def number(patient_id: UUID) -> ResponseReturnValue:
    """Store the right SNILS or policy number, or none."""
    field, typed = request.form.get("field", ""), request.form.get("typed", "")
    return _mended(lambda: service_mend.mend_number(services(), who(), patient_id, field, typed))


@pages.post("/coordinator/data/<uuid:patient_id>/name")
@guard("patient.mend_data")
def name(patient_id: UUID) -> ResponseReturnValue:
    """Store a name typed anew."""
    family, given, patronymic = (request.form.get(part, "") for part in service_check.NAMES)
    return _mended(lambda: service_mend.mend_name(services(), who(), patient_id, (family, given, patronymic)))


@pages.post("/coordinator/data/questions/<uuid:question_id>")
@guard("patient.mend_data")
def question(question_id: UUID) -> ResponseReturnValue:
    """Say whose a number is."""
    verdict = request.form.get("verdict", "")
    return _mended(lambda: service_mend.decide_number(services(), who(), question_id, verdict))


@pages.post("/coordinator/data/pairs")
@guard("patient.mend_data")
def pair() -> ResponseReturnValue:
    """Say whether two records are one person."""
    one, other = (parse_id(request.form.get(field)) for field in ("one", "other"))
    if one is None or other is None:
        raise NotFound()
    verdict = request.form.get("verdict", "")
    return _mended(lambda: service_mend.judge_pair(services(), who(), one, other, verdict))


@pages.post("/coordinator/data/shifts/<uuid:shift_id>")
@guard("roster.edit")
def shift(shift_id: UUID) -> ResponseReturnValue:
    """Let a shift begin on the grid."""
    return _mended(lambda: service_slots.mend_shift(services(), who(), shift_id))


def _mended(mend: Callable[[], None]) -> ResponseReturnValue:
    """Do it, say how it went, and show what is left."""
    try:
        mend()
        flash("Mended.", "success")
    except Invalid as error:
        flash(words.say_code(next(iter(error.fields.values()), error.code)), "warn")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("data_check.page"))
