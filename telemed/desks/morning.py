"""The morning at a branch: the clerk's check before the day, whom to call when it fails, and the region at a glance."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.booking import service as booking
from telemed.branches import morning, service_morning
from telemed.errors import Invalid
from telemed.web import words
from telemed.web.forms import DayField, PageForm, optional
from telemed.web.guard import guard, services, who

pages = Blueprint("morning", __name__)


class DatesForm(PageForm):
    """Until when a meter and its strips are good."""

    calibration_due_on = DayField("Calibrated until", optional())
    strips_expire_on = DayField("Strips good until", optional())


@pages.get("/branch/morning")
@guard("branch.check_morning")
def page() -> ResponseReturnValue:
    """Lead the clerk to the next step of the morning check, or show its result."""
    return _page()


@pages.post("/branch/morning")
@guard("branch.check_morning")
def answer() -> ResponseReturnValue:
    """Keep the answer to a step."""
    try:
        service_morning.answer(services(), who(), request.form.get("step", ""), request.form.get("outcome", ""))
    except Invalid:
        flash("Choose an answer.", "warn")
    return redirect(url_for("morning.page"))


@pages.post("/branch/morning/again")
@guard("branch.check_morning")
def again() -> ResponseReturnValue:
    """Begin the check anew: something was mended."""
    service_morning.begin_again(services(), who())
    return redirect(url_for("morning.page"))


@pages.post("/branch/morning/meters/<uuid:meter_id>")
@guard("branch.check_morning")
def dates(meter_id: UUID) -> ResponseReturnValue:
    """Keep a meter's dates; a refused form keeps its words."""
    form = DatesForm(prefix=_prefix(meter_id))
    if not form.validate():
        return _page(wrong=(meter_id, form)), 422
    service_morning.note_dates(
        services(), who(), meter_id, calibration_due_on=form.calibration_due_on.data,
        strips_expire_on=form.strips_expire_on.data,
    )  # fmt: skip
    flash("The dates are stored.", "success")
    return redirect(url_for("morning.page"))


@pages.get("/day/calls")
@guard("booking.read_day")
def calls() -> ResponseReturnValue:
    """Show whom to call today, so that nobody sets out for nothing."""
    today = service_morning.of_today(services(), who(), who().branch_id)
    words.use_zone(today.zone)
    only_video = today.word == "no_video"
    people = booking.people_to_tell(services(), who(), today.branch_id, only_video=only_video)
    return render_template("desks/morning/calls.html", morning=today, people=people)


@pages.get("/mornings")
@guard("branch.read")
def region() -> ResponseReturnValue:
    """Show the coordinator how ready each branch of the region is today."""
    return render_template("desks/morning/region.html", mornings=service_morning.of_region(services(), who()))


def _page(wrong: tuple[UUID, DatesForm] | None = None) -> str:
    walk = service_morning.walk(services(), who(), who().branch_id)
    words.use_zone(walk.zone)
    forms = {meter.id: _dates_of(meter, wrong) for meter in walk.meters}
    return render_template(
        "desks/morning/check.html", walk=walk, step=walk.step, steps_in_all=morning.STEPS, forms=forms
    )


def _dates_of(meter: service_morning.MorningMeter, wrong: tuple[UUID, DatesForm] | None) -> DatesForm:
    if wrong is not None and wrong[0] == meter.id:
        return wrong[1]
    return DatesForm(formdata=None, obj=meter, prefix=_prefix(meter.id))


def _prefix(meter_id: UUID) -> str:
    """Return what tells the fields of one meter from those of the next on the same page."""
    return f"m{meter_id.hex[:8]}-"
