"""The coordinator's page of the pilot and its CSV."""

from __future__ import annotations

import csv
import io
from datetime import date

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from telemed.errors import Invalid
from telemed.feedback import service as feedback
from telemed.pilot import rules, service
from telemed.rules_typed import Unreadable, read_day, tidy
from telemed.web.guard import guard, services, who
from telemed.web.words import say, say_code

pages = Blueprint("pilot", __name__)


@pages.get("/pilot")
@guard("pilot.read")
def page() -> ResponseReturnValue:
    """Show the funnel of a period, branch by branch."""
    fields: dict[str, str] = {}
    try:
        found = service.funnel(services(), who(), *_period())
    except Invalid as error:
        fields, found = error.faults, service.funnel(services(), who())
    ratings = []
    if who().role == "coordinator":
        ratings = feedback.ratings_summary(services(), who(), at_least=1 if services().demo else rules.SMALL)
    bands = service.pressure_bands(services(), who(), found.from_day, found.to_day)
    page = render_template(
        "pilot/page.html", funnel=found, steps=rules.STEPS, ratings=ratings, bands=bands, fields=fields
    )  # fmt: skip
    return page, 422 if fields else 200


@pages.get("/pilot.csv")
@guard("pilot.export")
def export() -> ResponseReturnValue:
    """Give the same table as CSV."""
    text = _csv_of(service.exported_funnel(services(), who(), *_period()))
    headers = {"Content-Disposition": "attachment; filename=pilot.csv"}
    return Response(text, mimetype="text/csv; charset=utf-8", headers=headers)


def _csv_of(found: service.Funnel) -> str:
    """Return the funnel with the columns of the page, in the reader's language; "<5" where a count is hidden."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    steps = [say_code(f"step_{step}") for step in rules.STEPS]
    writer.writerow([say("Post code"), say("Branch"), say("Rural"), *steps, say("Waiting, min"), say("Delivery, h")])
    for row in [*found.rows, found.total]:
        rural = say("yes" if row.rural else "no")
        where = [row.postal_index, row.place, rural] if row.branch_id else [say("Total"), "", ""]
        counts = ["<5" if row.counts[step] is None else row.counts[step] for step in rules.STEPS]
        writer.writerow(map(rules.safe_cell, [*where, *counts, _decimal(row.waiting_min), _decimal(row.delivery_h)]))
    return "\ufeff" + text.getvalue()


def _decimal(value: float | None) -> str:
    """Return a number as spreadsheets of our users read it, with a comma; English ones too, since one file serves all."""
    return "" if value is None else f"{value:.1f}".replace(".", ",")


def _period() -> tuple[date | None, date | None]:
    return _day("from"), _day("to")


def _day(name: str) -> date | None:
    text = tidy(request.args.get(name, ""))
    try:
        return read_day(text) if text else None
    except Unreadable as error:
        raise Invalid(fields={name: error.code}) from None
