"""Desks of those who run the pilot: coordinator, admin, auditor."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from telemed.access import admin_tasks
from telemed.booking import service_reasons
from telemed.web.guard import guard, services, who

pages = Blueprint("coordinator", __name__)


@pages.get("/coordinator")
@guard("pilot.read")
def desk() -> ResponseReturnValue:
    """The coordinator's desk is the pilot's page."""
    return redirect(url_for("pilot.page"))


@pages.get("/system")
@guard("account.list")
def system() -> ResponseReturnValue:
    """Show accounts, jobs and keys, and what a job of the start has still to do; never a patient."""
    with services().db.read() as tx:
        plain = service_reasons.count_plain_reasons(tx)
    return render_template(
        "desks/coordinator/system.html",
        accounts=admin_tasks.accounts_of(services()),
        failed=admin_tasks.failed_jobs(services()),
        keys=admin_tasks.key_lines(services()),
        plain_reasons=plain,
    )


@pages.get("/audit")
@guard("audit.read")
def audit() -> ResponseReturnValue:
    """Show the newest audit rows and whether the chain is whole; the look itself is a row."""
    faults, count = admin_tasks.check_audit(services())
    rows = admin_tasks.newest_audit(services(), who(), limit=100)
    return render_template("desks/coordinator/audit.html", rows=rows, faults=faults, count=count)
