"""Pages of delivery: the pharmacist's order, and the patient's slip."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from telemed.delivery import service
from telemed.errors import Conflict, Invalid
from telemed.rules_typed import Unreadable, read_whole, tidy
from telemed.web.guard import guard, services, who
from telemed.web.squares import square_svg
from telemed.web.words import say_code

pages = Blueprint("delivery", __name__)


@pages.get("/orders/<uuid:order_id>")
@guard("order.read_items")
def order(order_id: UUID) -> ResponseReturnValue:
    """Show an order with its items to tick."""
    return _order_page(order_id)


@pages.post("/orders/<uuid:order_id>/pack")
@guard("order.pack")
def pack(order_id: UUID) -> ResponseReturnValue:
    """Close the parcel, or say what does not fit."""
    ticked = request.form.getlist("items")
    packs, weight_g = (_number(request.form.get(name, "")) for name in ("packs", "weight_g"))
    try:
        service.pack(services(), who(), order_id, ticked, packs, weight_g)
    except Invalid as error:
        return _order_page(order_id, error.faults), 422
    except Conflict as error:
        flash(say_code(error.code), "error")
        return redirect(url_for("delivery.order", order_id=order_id))
    flash(say_code("parcel_is_packed"), "success")
    return redirect(url_for("pharmacy.desk"))


@pages.post("/orders/<uuid:order_id>/unpack")
@guard("order.pack")
def unpack(order_id: UUID) -> ResponseReturnValue:
    """Open a parcel again that was packed by mistake."""
    try:
        service.unpack(services(), who(), order_id)
        flash(say_code("order_is_open_again"), "success")
    except Conflict as error:
        flash(say_code(error.code), "error")
    return redirect(url_for("delivery.order", order_id=order_id))


@pages.post("/orders/<uuid:order_id>/collect")
@guard("order.pack")
def collect(order_id: UUID) -> ResponseReturnValue:
    """Give a collected order to its patient."""
    try:
        service.hand_to_patient(services(), who(), order_id, request.form.get("code", ""))
    except Invalid as error:
        return _order_page(order_id, error.faults), 422
    except Conflict as error:
        flash(say_code(error.code), "error")
        return redirect(url_for("delivery.order", order_id=order_id))
    flash(say_code("order_is_collected"), "success")
    return redirect(url_for("pharmacy.desk"))


@pages.get("/parcels/<uuid:parcel_id>/slip")
@guard("order.print_slip")
def slip(parcel_id: UUID) -> ResponseReturnValue:
    """Show the slip that the patient keeps: number in large type, secret as QR and as text."""
    shown = service.slip_page(services(), who(), parcel_id)
    square = square_svg(f"{shown.number}:{shown.secret}")
    groups = [shown.secret[at : at + 4] for at in range(0, 32, 4)]
    spoken = [shown.code[at : at + 3] for at in range(0, 9, 3)]
    return render_template("delivery/slip.html", slip=shown, square=square, groups=groups, spoken=spoken)


def _order_page(order_id: UUID, fields: dict[str, str] | None = None) -> str:
    return render_template(
        "delivery/order.html",
        order=service.order_items(services(), who(), order_id),
        fields=fields or {},
        typed=request.form,
        ticked=request.form.getlist("items"),
        has_errors=bool(fields),
    )


def _number(text: str) -> int | str:
    try:
        return read_whole(text)
    except Unreadable:
        return tidy(text)
