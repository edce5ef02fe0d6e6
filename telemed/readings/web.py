"""Pages of readings: typing in what a meter shows when its radio fails, the tray of readings that belong to nobody."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import Field, HiddenField, RadioField

from telemed.access.relations import Principal
from telemed.branches import service as branches
from telemed.checkup import service as checkup
from telemed.checkup import service_allergies
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id, parse_id
from telemed.patients import service as patients
from telemed.readings import rules, service, service_aside
from telemed.readings import service_quarantine as tray
from telemed.rules_typed import Unreadable, read_decimal, read_whole, tidy
from telemed.services import Services
from telemed.web import words
from telemed.web.forms import NumberField, PageForm, required
from telemed.web.guard import guard, services, who

pages = Blueprint("readings", __name__)
DISPLAY_MAX = 8  # characters on a meter's display
BEYOND = {"hi": math.inf, "lo": -math.inf}  # what a display says instead of a number


LOOK_ALIKE = str.maketrans("ніло", "hilo")  # the same letters on a Russian or Belarusian keyboard


class MeterField(NumberField):
    """A whole number off a meter's display. It comes back empty: who typed a value does not see it again."""

    def read(self, text: str) -> int:
        return read_whole(_of_display(text))

    def _value(self) -> str:
        return ""


class DecimalField(NumberField):
    """A number with a comma or a point, read off a display; it comes back empty, too."""

    def read(self, text: str) -> Any:
        word = tidy(text).lower().translate(LOOK_ALIKE)
        if word in BEYOND:
            return BEYOND[word]
        return float(read_decimal(_of_display(text)))

    def _value(self) -> str:
        return ""


def _of_display(text: str) -> str:
    """Return what fits on a meter's display. Raises Unreadable."""
    if len(tidy(text)) > DISPLAY_MAX:
        raise Unreadable("not_a_number")
    return text


class TypedForm(PageForm):
    """`reading_id` is made with the page, so that a second press stores nothing twice."""

    reading_id = HiddenField()

    def measured(self) -> list[Field]:
        """Return the fields of the meter's display."""
        return [field for field in self if isinstance(field, MeterField | DecimalField)]


class PressureForm(TypedForm):
    systolic = MeterField("Upper pressure", [required()])
    diastolic = MeterField("Lower pressure", [required()])
    pulse = MeterField("Pulse", [required()])


class GlucoseForm(TypedForm):
    glucose_mmol_l = DecimalField("Glucose, mmol/L", [required()])


class ClaimForm(PageForm):
    """Which visit, and why the reading missed it."""

    visit_id = RadioField("Whose visit was it?", [required()], validate_choice=False)
    reason = RadioField("What happened?", [required()], choices=list(rules.CLAIM_REASONS), validate_choice=False)


FORMS: dict[str, type[TypedForm]] = {"blood_pressure": PressureForm, "glucose": GlucoseForm}


@pages.get("/visits/<uuid:visit_id>/type/<kind>")
@guard("reading.type_in")
def type_in(visit_id: UUID, kind: str) -> ResponseReturnValue:
    """Show the form for values off a meter's display."""
    form = _form(kind)
    service.may_type_in(services(), who(), visit_id)
    form.reading_id.data = str(new_id())
    return _type_in(form, kind, visit_id)


@pages.post("/visits/<uuid:visit_id>/type/<kind>")
@guard("reading.type_in")
def store_typed(visit_id: UUID, kind: str) -> ResponseReturnValue:
    """Store typed values; they are never shown to who typed them."""
    form = _form(kind)
    word = BEYOND.get(request.form.get("beyond", "")) if kind == "glucose" else None
    if word is not None or form.validate_on_submit():
        try:
            values = {"glucose_mmol_l": word} if word else {field.name: float(field.data) for field in form.measured()}
            service.type_in(services(), who(), visit_id, kind, values, parse_id(form.reading_id.data))
            flash("The values are stored; the doctor sees them.", "success")
            return redirect(url_for("counter.visit", visit_id=visit_id))
        except Invalid as error:
            form.take(error)
    service.may_type_in(services(), who(), visit_id)
    return _type_in(form, kind, visit_id), 422


def _type_in(form: PageForm, kind: str, visit_id: UUID) -> str:
    visit = checkup.visit_view(services(), who(), visit_id)
    patient = patients.patient_card(services(), who(), visit.patient_id)
    return render_template("readings/type_in.html", form=form, kind=kind, visit_id=visit_id, patient=patient)


@pages.get("/quarantine")
@guard("quarantine.list")
def quarantine() -> ResponseReturnValue:
    """Show why readings of this branch were given to no patient, and when they are erased."""
    items = tray.tray_of_branch(services(), who())
    _use_branch_zone()
    return render_template("readings/quarantine.html", items=items)


@pages.get("/quarantine/<uuid:item_id>/claim")
@guard("quarantine.claim")
def claim(item_id: UUID) -> ResponseReturnValue:
    """Show the visits that a reading may be of. No value is on this page."""
    return _claim(item_id, ClaimForm())


@pages.post("/quarantine/<uuid:item_id>/claim")
@guard("quarantine.claim")
def ask_claim(item_id: UUID) -> ResponseReturnValue:
    """Ask the doctor to confirm whose reading it was."""
    form = ClaimForm(request.form)
    visit_id = parse_id(form.visit_id.data)
    try:
        if not form.validate_on_submit() or visit_id is None:
            return _claim(item_id, form)
        tray.claim(services(), who(), item_id, visit_id, form.reason.data)
    except Invalid as error:
        form.take(error)
        return _claim(item_id, form)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    else:
        flash("The doctor is asked to confirm. Until then the reading belongs to nobody.", "success")
    return redirect(url_for("readings.quarantine"))


def _claim(item_id: UUID, form: ClaimForm) -> ResponseReturnValue:
    try:
        item, visits = tray.choices(services(), who(), item_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("readings.quarantine"))
    _use_branch_zone()
    form.visit_id.choices = [str(visit.id) for visit in visits]
    page = render_template("readings/claim.html", form=form, item=item, visits=visits, reasons=rules.CLAIM_REASONS)
    return page, 422 if form.errors else 200


def _use_branch_zone() -> None:
    words.use_zone(branches.branch_view(services(), who(), who().branch_id).zone)


@pages.get("/visits/<uuid:visit_id>/claims")
@guard("quarantine.confirm")
def claims(visit_id: UUID) -> ResponseReturnValue:
    """Show the doctor which readings somebody says are of this visit."""
    found = tray.claims_of_visit(services(), who(), visit_id)
    visit = checkup.visit_view(services(), who(), visit_id)
    with services().db.read() as tx:
        words.use_zone(branches.branch_of(tx, visit.branch_id).zone)
    return render_template(
        "readings/claims.html",
        claims=found,
        person=patients.patient_card(services(), who(), visit.patient_id),
        allergies=service_allergies.allergies_of(services(), who(), visit.patient_id),
    )


@pages.get("/set-aside")
@guard("aside.list")
def aside() -> ResponseReturnValue:
    """Show the visits of the wrong person that wait for a second person's word. No value and no name is on this page."""
    return render_template("readings/aside.html", visits=service_aside.waiting(services(), who()))


@pages.post("/set-aside/<uuid:visit_id>/erase")
@guard("aside.erase")
def erase_aside(visit_id: UUID) -> ResponseReturnValue:
    """Confirm whose the readings are; they are erased."""
    return _settle(service_aside.erase_aside, visit_id, "The readings and answers are erased.")


@pages.post("/set-aside/<uuid:visit_id>/give-back")
@guard("aside.give_back")
def give_back_aside(visit_id: UUID) -> ResponseReturnValue:
    """Put the readings back into the patient's record."""
    return _settle(service_aside.give_back, visit_id, "The readings are in the patient's record again.")


@pages.post("/set-aside/<uuid:visit_id>/ask-cancel")
@guard("aside.ask_cancel")
def ask_cancel_aside(visit_id: UUID) -> ResponseReturnValue:
    """Ask the coordinator to take "wrong person" back."""
    return _settle(service_aside.ask_to_cancel, visit_id, "The coordinator is asked. The corner stays free.")


def _settle(settle: Callable[[Services, Principal, UUID], None], visit_id: UUID, done: str) -> ResponseReturnValue:
    try:
        settle(services(), who(), visit_id)
        flash(done, "success")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("readings.aside"))


@pages.post("/quarantine/<uuid:item_id>/confirm")
@guard("quarantine.confirm")
def confirm(item_id: UUID) -> ResponseReturnValue:
    """Give a claimed reading to its visit."""
    return _decide(tray.confirm, item_id, "The reading is in the record, marked as claimed.")


@pages.post("/quarantine/<uuid:item_id>/refuse")
@guard("quarantine.confirm")
def refuse(item_id: UUID) -> ResponseReturnValue:
    """Say that a claimed reading is not this patient's."""
    return _decide(tray.refuse, item_id, "The reading stays with nobody and is erased.")


def _decide(decide: Callable[[Services, Principal, UUID], UUID], item_id: UUID, done: str) -> ResponseReturnValue:
    try:
        visit_id = decide(services(), who(), item_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
        return redirect(url_for("doctor.desk"))
    flash(done, "success")
    return redirect(url_for("readings.claims", visit_id=visit_id))


def _form(kind: str) -> TypedForm:
    if kind not in FORMS:
        raise NotFound("no_such_page")
    return FORMS[kind](request.form)
