"""The patient's own page: next visit, values in words, the parcel with its proof, rating, complaint."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from telemed.booking import service as booking
from telemed.branches import service as branches
from telemed.delivery import service as delivery
from telemed.errors import NotFound
from telemed.feedback import service as feedback
from telemed.patients import service as patients
from telemed.readings import service as readings
from telemed.web import words
from telemed.web.guard import guard, services, who
from telemed.web.squares import square_svg

pages = Blueprint("my", __name__)


@pages.get("/my")
@guard("parcel.track")
def page() -> ResponseReturnValue:
    """Show the patient what is next, and what came out."""
    patient_id = who().patient_id
    if patient_id is None:
        raise NotFound()
    card = patients.patient_card(services(), who(), patient_id)
    with services().db.read() as tx:
        branch = branches.branch_of(tx, card.home_branch_id)
    words.use_zone(branch.zone)
    parcels = delivery.parcels_of_patient(services(), who())
    base = services().settings.public_url or request.host_url.rstrip("/")
    return render_template(
        "desks/my/page.html",
        patient=card,
        branch=branch,
        bookings=booking.next_bookings_of_patient(services(), who(), patient_id),
        values=readings.readings_of_patient(services(), who(), patient_id, limit=8),
        parcels=[(parcel, _proof(parcel)) for parcel in parcels],
        tickets=feedback.tickets_of_patient(services(), who()),
        complaints=feedback.complaints_of_patient(services(), who()),
        base=base,
    )


def _proof(parcel: delivery.ParcelView) -> tuple[str, str, str]:
    """Return the QR, its letters and the spoken code that prove the hand-over, while the parcel is under way."""
    if parcel.is_over:
        return "", "", ""
    slip = delivery.slip_page(services(), who(), parcel.id)
    return square_svg(slip.secret), slip.secret, " ".join(slip.code[at : at + 3] for at in range(0, 9, 3))
