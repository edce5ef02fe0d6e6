"""The coordinator's page of measuring rules: by which guideline each branch takes its series of pressures."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.checkup import service_rules
from telemed.errors import Invalid, NotFound
from telemed.ids import parse_id
from telemed.web.guard import guard, services, who

pages = Blueprint("protocols", __name__)


@pages.get("/region/rules")
@guard("region.read")
def page() -> ResponseReturnValue:
    """Show the rules and which branch follows which."""
    return _page()


@pages.post("/region/rules")
@guard("branch.set_rule")
def choose() -> ResponseReturnValue:
    """Let one branch or all follow a rule."""
    whose = request.form.get("branch", "")
    branch_id = parse_id(whose)
    if whose != "all" and branch_id is None:
        raise NotFound()
    try:
        service_rules.set_rule(services(), who(), branch_id, request.form.get("rule", "none"))
    except Invalid as error:
        return _page(error.faults), 422
    flash("Stored. The next visits are measured by it; those under way end as they began.", "success")
    return redirect(url_for("protocols.page"))


def _page(faults: dict[str, str] | None = None) -> str:
    rules = service_rules.known_rules()
    return render_template(
        "desks/region_rules.html", rules=rules, named={rule.name: rule for rule in rules},
        branches=service_rules.rules_of_region(services(), who()), usual=services().settings.series_rule,
        faults=faults or {}, typed=request.form,
    )  # fmt: skip
