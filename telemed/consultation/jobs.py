"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.checkup.events import VisitReady
from telemed.consultation import service
from telemed.db import Tx
from telemed.readings.events import TriageChanged
from telemed.services import Services


def queue_case(services: Services, tx: Tx, event: VisitReady) -> None:
    """Put the case of a finished check-up into the doctors' queue."""
    service.queue_case(services, tx, event.visit_id)


def raise_case(services: Services, tx: Tx, event: TriageChanged) -> None:
    """Let a case follow its urgency."""
    service.raise_case(services, tx, event.visit_id, event.level)
