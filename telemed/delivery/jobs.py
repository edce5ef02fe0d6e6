"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.db import Tx
from telemed.delivery import service
from telemed.patients.events import ConsentWithdrawn
from telemed.prescription.events import PrescriptionCancelled, PrescriptionSigned
from telemed.services import Services


def place_order(services: Services, tx: Tx, event: PrescriptionSigned) -> None:
    """Make a signed prescription an order."""
    service.place_order(services, tx, event)


def cancel_order(services: Services, tx: Tx, event: PrescriptionCancelled) -> None:
    """Stop or call back what a cancelled prescription ordered."""
    service.cancel_order(services, tx, event)


def stop_without_consent(services: Services, tx: Tx, event: ConsentWithdrawn) -> None:
    """Keep parcels from the post whose patient does not agree to it any more."""
    service.stop_without_consent(services, tx, event.patient_id, event.purpose)
