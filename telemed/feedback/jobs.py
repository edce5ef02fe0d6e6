"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.consultation.events import ConsultationEnded
from telemed.db import Tx
from telemed.delivery.events import ParcelDelivered
from telemed.feedback import service
from telemed.services import Services


def offer_rating_of_visit(services: Services, tx: Tx, event: ConsultationEnded) -> None:
    """Ask the patient about the visit once it is over."""
    service.offer(services, tx, "visit", event.visit_id, event.patient_id, event.branch_id)


def offer_rating_of_parcel(services: Services, tx: Tx, event: ParcelDelivered) -> None:
    """Ask the patient about the delivery, and whether the medicine helped."""
    service.offer(services, tx, "parcel", event.parcel_id, event.patient_id, event.branch_id)
