"""The pharmacist's desk: what to pack, and what waits to be collected."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from telemed.delivery import service as delivery
from telemed.web.guard import guard, services, who

pages = Blueprint("pharmacy", __name__)


@pages.get("/pharmacy")
@guard("order.list")
def desk() -> ResponseReturnValue:
    """Show the orders that wait."""
    orders = delivery.orders_to_pack(services(), who())
    return render_template(
        "desks/pharmacy/desk.html",
        to_pack=[row for row in orders if row.state == "placed"],
        to_collect=[row for row in orders if row.parcel_state == "collect_ready"],
        packed=[row for row in orders if row.parcel_state == "packed"],
        room=f"pharmacy:{who().region_id}",
    )
