"""Pages of readings: typing in what a meter shows when its radio fails, the tray of readings that belong to nobody."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import Field, HiddenField, StringField

from telemed.branches import service as branches
from telemed.errors import Invalid, NotFound
from telemed.ids import new_id, parse_id
from telemed.readings import service
from telemed.web import words
from telemed.web.forms import NumberField, PageForm, required
from telemed.web.guard import guard, services, who

pages = Blueprint("readings", __name__)
DISPLAY_MAX = 8  # characters on a meter's display


class MeterField(NumberField):
    """A whole number off a meter's display. It comes back empty: who typed a value does not see it again."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        if valuelist and len(valuelist[0]) > DISPLAY_MAX:
            raise ValueError("not_a_number")
        super().process_formdata(valuelist)

    def _value(self) -> str:
        return ""


class DecimalField(StringField):
    """A number with a comma or a point, read off a display; it comes back empty, too."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        text = str(valuelist[0]).strip().replace(",", ".") if valuelist else ""
        try:
            self.data = float(Decimal(text)) if text and len(text) <= DISPLAY_MAX else None
        except InvalidOperation:
            self.data = None
        if text and self.data is None:
            raise ValueError("not_a_number")

    def _value(self) -> str:
        return ""


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


FORMS: dict[str, type[TypedForm]] = {"blood_pressure": PressureForm, "glucose": GlucoseForm}


@pages.get("/visits/<uuid:visit_id>/type/<kind>")
@guard("reading.type_in")
def type_in(visit_id: UUID, kind: str) -> ResponseReturnValue:
    """Show the form for values off a meter's display."""
    form = _form(kind)
    service.may_type_in(services(), who(), visit_id)
    form.reading_id.data = str(new_id())
    return render_template("readings/type_in.html", form=form, kind=kind, visit_id=visit_id)


@pages.post("/visits/<uuid:visit_id>/type/<kind>")
@guard("reading.type_in")
def store_typed(visit_id: UUID, kind: str) -> ResponseReturnValue:
    """Store typed values; they are never shown to who typed them."""
    form = _form(kind)
    if form.validate_on_submit():
        try:
            values = {field.name: float(field.data) for field in form.measured()}
            service.type_in(services(), who(), visit_id, kind, values, parse_id(form.reading_id.data))
            flash("The values are stored; the doctor sees them.", "ok")
            return redirect(url_for("counter.visit", visit_id=visit_id))
        except Invalid as error:
            form.take(error)
    service.may_type_in(services(), who(), visit_id)
    return render_template("readings/type_in.html", form=form, kind=kind, visit_id=visit_id), 422


@pages.get("/quarantine")
@guard("quarantine.list")
def quarantine() -> ResponseReturnValue:
    """Show why readings of this branch were given to no patient, and when they are erased."""
    items = service.quarantine_of_branch(services(), who())
    words.use_zone(branches.branch_view(services(), who(), who().branch_id).zone)
    return render_template("readings/quarantine.html", items=items)


def _form(kind: str) -> TypedForm:
    if kind not in FORMS:
        raise NotFound("no_such_page")
    return FORMS[kind](request.form)
