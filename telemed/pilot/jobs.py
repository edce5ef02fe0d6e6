"""Background work: one call each into the service. Each event of the journey is one step of the funnel."""

from __future__ import annotations

from telemed.booking.events import PatientInvited, VisitBooked
from telemed.checkup.events import VisitOpened
from telemed.consultation.events import ConsultationEnded
from telemed.db import Tx
from telemed.delivery.events import ParcelDelivered
from telemed.feedback.events import RatingGiven
from telemed.pilot import service
from telemed.prescription.events import PrescriptionSigned
from telemed.readings.events import SeriesComplete
from telemed.services import Services


def count_invited(services: Services, tx: Tx, event: PatientInvited) -> None:
    """Count an invitation."""
    service.count(services, tx, "invited", event.invitation_id, event.branch_id, event.at)


def count_booked(services: Services, tx: Tx, event: VisitBooked) -> None:
    """Count a booking."""
    service.count(services, tx, "booked", event.booking_id, event.branch_id, event.at)


def count_came(services: Services, tx: Tx, event: VisitOpened) -> None:
    """Count a visit."""
    service.count(services, tx, "came", event.visit_id, event.branch_id, event.at, case_id=event.visit_id)


def count_measured(services: Services, tx: Tx, event: SeriesComplete) -> None:
    """Count a visit whose measurements are complete."""
    service.count(services, tx, "measured", event.visit_id, event.branch_id, event.at, case_id=event.visit_id)


def count_consulted(services: Services, tx: Tx, event: ConsultationEnded) -> None:
    """Count a consultation that took place."""
    if event.outcome == "not_reached":
        return
    service.count(services, tx, "consulted", event.visit_id, event.branch_id, event.at, case_id=event.visit_id)


def count_prescribed(services: Services, tx: Tx, event: PrescriptionSigned) -> None:
    """Count a signed prescription."""
    service.count(services, tx, "prescribed", event.prescription_id, event.branch_id, event.at)


def count_delivered(services: Services, tx: Tx, event: ParcelDelivered) -> None:
    """Count a delivered parcel, with the time since its order."""
    since = service.ordered_at(tx, event.parcel_id)
    service.count(services, tx, "delivered", event.parcel_id, event.branch_id, event.at, started_at=since)


def count_rated(services: Services, tx: Tx, event: RatingGiven) -> None:
    """Count a rating."""
    service.count(services, tx, "rated", event.rating_id, event.branch_id, event.at)
