"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.checkup.events import SymptomsAnswered
from telemed.db import Tx
from telemed.readings import service, service_counts, service_quarantine
from telemed.services import Services


def triage_visit(services: Services, tx: Tx, event: SymptomsAnswered) -> None:
    """Find the urgency as soon as the questions are answered: a red flag alone is enough."""
    service.triage_visit_by_id(services, tx, event.visit_id)


def count_pressures(services: Services, tx: Tx) -> None:
    """Count the upper pressures of each branch by band, without keeping a value."""
    service_counts.count_pressures(services, tx)


def erase_quarantine(services: Services, tx: Tx) -> None:
    """Erase readings that nobody claimed within 24 h."""
    service_quarantine.erase(services, tx)
