"""The branch's own page: is everything ready, and what to do when it is not."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField

from telemed.branches import service, service_meters
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import parse_id
from telemed.web import words
from telemed.web.forms import PageForm, TextField, at_most, required
from telemed.web.guard import guard, services, who

pages = Blueprint("branches", __name__)


class MeterForm(PageForm):
    kind = RadioField(
        "What does it measure?", [required()], choices=[("blood_pressure", "Blood pressure"), ("glucose", "Glucose")]
    )
    name = TextField("Name on the meter", required(), at_most(60))


@pages.get("/branch")
@guard("branch.read")
def page() -> ResponseReturnValue:
    """Show the clerk's branch: gateway, meters, line."""
    return _page(MeterForm())


@pages.post("/branch/join-code")
@guard("branch.issue_join_code")
def join_code() -> ResponseReturnValue:
    """Show a one-time code for the branch PC, this once."""
    return _page(MeterForm(), code=service.issue_join_code(services(), who(), _branch_id()))


@pages.post("/branch/meters")
@guard("branch.enrol_meter")
def enrol() -> ResponseReturnValue:
    """Add a meter to the kit."""
    form = MeterForm()
    if not form.validate_on_submit():
        return _page(form), 422
    try:
        service_meters.enrol_meter(services(), who(), form.kind.data, form.name.data or "")
    except Invalid as error:
        form.take(error)
        return _page(form), 422
    return redirect(url_for("branches.page"))


@pages.post("/branch/meters/<uuid:meter_id>/pair")
@guard("branch.enrol_meter")
def pair_again(meter_id: UUID) -> ResponseReturnValue:
    """Let the gateway look for a known meter and pair with it anew."""
    try:
        service_meters.enrol_again(services(), who(), meter_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return _back()


@pages.post("/branch/meters/<uuid:meter_id>/passkey")
@guard("branch.enrol_meter")
def passkey(meter_id: UUID) -> ResponseReturnValue:
    """Pass on the digits that a meter shows."""
    try:
        service_meters.give_passkey(services(), who(), meter_id, request.form.get("passkey", ""))
    except Invalid as error:
        flash(words.say_code(error.said), "warn")
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return _back()


@pages.post("/branch/meters/<uuid:meter_id>/forget")
@guard("branch.forget_meter")
def forget(meter_id: UUID) -> ResponseReturnValue:
    """Take no more readings of a meter."""
    service_meters.forget_meter(services(), who(), meter_id)
    flash("The meter is taken off the list. Its readings stay in the records.", "success")
    return redirect(url_for("branches.page"))


def _back() -> ResponseReturnValue:
    """Return to the visit from which the clerk came, else to the branch's page."""
    visit_id = parse_id(request.form.get("visit"))
    return redirect(url_for("counter.visit", visit_id=visit_id) if visit_id else url_for("branches.page"))


@pages.post("/branch/gateways/<uuid:gateway_id>/revoke")
@guard("branch.revoke_gateway")
def revoke(gateway_id: UUID) -> ResponseReturnValue:
    """End a gateway's right to speak for the branch."""
    service.revoke_gateway(services(), who(), gateway_id)
    flash("This gateway is shut out. Join a new one with a code.", "warn")
    return redirect(url_for("branches.page"))


def _branch_id() -> UUID:
    branch_id = who().branch_id
    if branch_id is None:
        raise NotFound()
    return branch_id


def _page(form: MeterForm, code: str | None = None) -> str:
    view = service.branch_view(services(), who(), _branch_id())
    words.use_zone(view.zone)
    return render_template("branches/page.html", branch=view, form=form, code=code)


@pages.get("/region")
@guard("region.read")
def region() -> ResponseReturnValue:
    """Show what the law of the region lets the post do."""
    return render_template("branches/region.html", regime=service.regime(services(), who()), faults={}, typed=None)


@pages.post("/region")
@guard("region.set_regime")
def set_regime() -> ResponseReturnValue:
    """Change it, with the act that allows it; a refused form keeps its words."""
    allowed, basis = request.form.get("rx_by_post") == "yes", request.form.get("basis", "")
    try:
        service.set_regime(services(), who(), rx_by_post=allowed, basis=basis)
    except Invalid as error:
        found = service.regime(services(), who())
        return render_template("branches/region.html", regime=found, faults=error.faults, typed=(allowed, basis)), 422
    flash("Stored. It holds from now on, also for what is not packed yet.", "success")
    return redirect(url_for("branches.region"))
