"""Pages of prescription: the doctor's panel with its own POST routes, and the print."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from telemed.errors import Conflict, Invalid
from telemed.ids import parse_id
from telemed.prescription import service
from telemed.prescription.catalogue import inn_of
from telemed.prescription.rules import MAX_DIRECTIONS, MAX_ITEMS, MAX_PACKS
from telemed.rules_typed import Unreadable, read_day, read_whole
from telemed.web.forms import is_own_path, strip
from telemed.web.guard import guard, services, who
from telemed.web.words import say_code, use_zone

pages = Blueprint("prescription", __name__)
ITEM_FIELDS = ("code", "quantity", "directions", "days")
pages.app_context_processor(lambda: {"inn_of": inn_of})


@pages.get("/consultations/<uuid:consultation_id>/prescription")
@guard("prescription.write")
def write(consultation_id: UUID) -> ResponseReturnValue:
    """Show the case's prescriptions and an empty form."""
    return _page(consultation_id)


@pages.post("/consultations/<uuid:consultation_id>/prescription")
@guard("prescription.write")
def draft(consultation_id: UUID) -> ResponseReturnValue:
    """Store a draft; a wrong one comes back with codes beside its fields."""
    form, known = request.form, parse_id(request.form.get("prescription_id"))
    try:
        service.draft(services(), who(), consultation_id, _items(form), _basis(form), known)
    except Invalid as error:
        return _page(consultation_id, error.faults), 422
    except Conflict as error:
        return _page(consultation_id, {"write": error.code}, fresh=True), 409
    return redirect(_back(consultation_id))


@pages.get("/prescriptions/<uuid:prescription_id>/change")
@guard("prescription.write")
def change(prescription_id: UUID) -> ResponseReturnValue:
    """Show a draft in the form."""
    shown = service.read_prescription(services(), who(), prescription_id)
    return _page(shown.consultation_id, changed=shown, typed=_typed(shown))


@pages.post("/prescriptions/<uuid:prescription_id>/change")
@guard("prescription.write")
def save_change(prescription_id: UUID) -> ResponseReturnValue:
    """Replace a draft's contents."""
    shown = service.read_prescription(services(), who(), prescription_id)
    try:
        base = request.form.get("content_hash", "")
        service.change_draft(services(), who(), prescription_id, _items(request.form), _basis(request.form), base=base)
    except Invalid as error:
        return _page(shown.consultation_id, error.faults, changed=shown, base=base), 422
    except Conflict as error:  # what was typed stays in the form; over a draft still open it may be saved after a look
        changed = shown if error.code == "draft_changed" else None
        return _page(shown.consultation_id, {"write": error.code}, changed=changed, fresh=True), 409
    return redirect(_back(shown.consultation_id))


@pages.post("/prescriptions/<uuid:prescription_id>/sign")
@guard("prescription.sign")
def sign(prescription_id: UUID) -> ResponseReturnValue:
    """Sign what the page showed."""
    shown = service.read_prescription(services(), who(), prescription_id)
    try:
        service.sign(services(), who(), prescription_id, request.form.get("content_hash", ""))
        flash(say_code("prescription_signed"), "success")
    except Invalid as error:
        return _page(shown.consultation_id, error.faults, changed=shown, typed=_typed(shown)), 422
    except Conflict as error:
        flash(say_code(error.code), "error")
    return redirect(_back(shown.consultation_id))


@pages.post("/prescriptions/<uuid:prescription_id>/cancel")
@guard("prescription.cancel")
def cancel(prescription_id: UUID) -> ResponseReturnValue:
    """Drop a draft, or take a signed prescription back."""
    shown = service.read_prescription(services(), who(), prescription_id)
    try:
        service.cancel(services(), who(), prescription_id)
        flash(say_code("prescription_cancelled"), "success")
    except Conflict as error:
        flash(say_code(error.code), "error")
    return redirect(_back(shown.consultation_id))


@pages.get("/prescriptions/<uuid:prescription_id>")
@guard("prescription.read")
def paper(prescription_id: UUID) -> ResponseReturnValue:
    """Show the print, which says that it is no legal prescription."""
    printed = service.paper(services(), who(), prescription_id)
    use_zone(printed.zone)
    return render_template("prescription/paper.html", paper=printed, rx=printed.prescription, **_limits())


def _page(
    consultation_id: UUID,
    fields: dict[str, str] | None = None,
    *,
    changed: service.PrescriptionView | None = None,
    typed: Any = None,
    base: str | None = None,
    fresh: bool = False,
) -> str:
    """Return the form. `base` is what a change grew from; a `fresh` form is a new draft, not the one it was sent as."""
    typed_id = None if fresh else parse_id(request.form.get("prescription_id"))
    person, allergies, zone = service.person_of_case(services(), who(), consultation_id)
    use_zone(zone)
    return render_template(
        "prescription/write.html",
        panel=service.panel(services(), who(), consultation_id),
        person=person,
        allergies=allergies,
        rx_fields=fields or {},
        rx_typed=typed if typed is not None else request.form,
        rx_changed=changed,
        rx_base=base or (changed.content_hash if changed else ""),
        rx_id=typed_id,
        next=_back(consultation_id),
        has_errors=bool(fields),
        **_limits(),
    )


def _limits() -> dict[str, int]:
    return {"max_items": MAX_ITEMS, "max_packs": MAX_PACKS, "max_directions": MAX_DIRECTIONS}


def _back(consultation_id: UUID) -> str:
    target = request.values.get("next", "")
    if is_own_path(target):
        return target
    return url_for("prescription.write", consultation_id=consultation_id)


def _items(form: MultiDict[str, str]) -> list[dict[str, Any]]:
    lines = []
    for line in range(1, MAX_ITEMS + 2):  # one more than allowed, so that a sixth is refused and not forgotten
        typed = {field: (strip(form.get(f"{field}-{line}")) or "") for field in ITEM_FIELDS}
        if any(typed.values()):
            numbers = {field: _number(typed[field]) for field in ("quantity", "days")}
            lines.append({**typed, **numbers, "line": line})
    return lines


def _number(text: str) -> int | str:
    try:
        return read_whole(text)
    except Unreadable:
        return text


def _basis(form: MultiDict[str, str]) -> dict[str, str] | None:
    kind = form.get("basis", "")
    if not kind:
        return None
    details = {key: strip(form.get(f"basis_{key}")) or "" for key in ("date", "clinic", "doctor")}
    return {"kind": kind, **details, "date": _iso_day(details["date"])}


def _iso_day(text: str) -> str:
    """Return the wire form of a typed day; what is none goes on as it is, and the service says what is wrong with it."""
    try:
        return read_day(text).isoformat()
    except Unreadable:
        return text


def _typed(shown: service.PrescriptionView) -> dict[str, str]:
    typed = {}
    for line, item in enumerate(shown.items, 1):
        typed.update({f"{field}-{line}": str(item[field]) for field in ITEM_FIELDS})
    basis = shown.basis or {}
    typed["basis"] = basis.get("kind", "")
    typed.update({f"basis_{key}": basis.get(key, "") for key in ("clinic", "doctor")})
    day = basis.get("date", "")
    typed["basis_date"] = ".".join(reversed(day.split("-"))) if day else ""
    return typed
