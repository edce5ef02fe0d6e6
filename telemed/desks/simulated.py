"""The simulated meters of a demo: take a measurement, provoke each fault, and see what came of it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.branches import service as branches
from telemed.checkup import rules, service_simulated
from telemed.checkup import service as checkup
from telemed.errors import Conflict, Invalid, NotFound
from telemed.readings import service_arrivals as arrivals
from telemed.web import words
from telemed.web.guard import guard, services, who

pages = Blueprint("simulated", __name__)


@pages.get("/simulated-meters")
@guard("meter.simulate")
def page() -> ResponseReturnValue:
    """Show both meters with everything that can go wrong with them."""
    service_simulated.refuse_outside_demo(services())
    branch_id = who().branch_id
    if branch_id is None:
        raise NotFound()
    branch = branches.branch_view(services(), who(), branch_id)
    words.use_zone(branch.zone)
    return render_template(
        "desks/simulated/page.html",
        branch=branch,
        faults={kind: _faults_of(kind) for kind in checkup.METER_KINDS},
        arrivals=arrivals.arrivals_of_branch(services(), who()),
    )


@pages.post("/simulated-meters")
@guard("meter.simulate")
def press() -> ResponseReturnValue:
    """Press the button of a simulated meter."""
    kind, fault = request.form.get("kind", ""), request.form.get("fault") or None
    try:
        visit_id = service_simulated.press(services(), who(), kind, fault)
    except (Conflict, Invalid) as error:
        code = error.said if isinstance(error, Invalid) else error.code
        flash(words.say_code(code, **error.facts), "warn")
    else:
        asked = words.say("The meter measures now, for the visit that is open.")
        unasked = words.say("The meter measures now. Nobody asked for it: see below where it goes.")
        flash(asked if visit_id else unasked, "success")
    return redirect(url_for("simulated.page"))


def _faults_of(kind: str) -> list[str]:
    return [name for name, kinds in rules.SIMULATED_FAULTS.items() if kind in kinds]
