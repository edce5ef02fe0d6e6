"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.checkup.events import VisitClosed, VisitReady
from telemed.consultation import service, service_call, service_consent, service_endings
from telemed.consultation.events import ConsultationEnded
from telemed.db import Tx
from telemed.patients.events import ConsentWithdrawn
from telemed.readings.events import StripUnclear, TriageChanged, VisitGivenBack
from telemed.services import Services


def queue_case(services: Services, tx: Tx, event: VisitReady) -> None:
    """Put the case of a finished check-up into the doctors' queue."""
    service.queue_case(services, tx, event.visit_id)


def raise_case(services: Services, tx: Tx, event: TriageChanged) -> None:
    """Let a case follow its urgency."""
    service.raise_case(services, tx, event.visit_id, event.level)
    service_endings.call_back(services, tx, event.visit_id)  # a result that came late, after the patient went home


def call_for_strip(services: Services, tx: Tx, event: StripUnclear) -> None:
    """Tell the doctors at once that a strip must be repeated."""
    service.call_for_strip(services, tx, event.visit_id)


def store_case(services: Services, tx: Tx, event: VisitClosed) -> None:
    """Keep the case of a patient who went home unseen."""
    service_endings.call_back(services, tx, event.visit_id)


def call_back(services: Services, tx: Tx, event: VisitGivenBack) -> None:
    """Call back a patient whose readings were taken for another person's."""
    service_endings.call_back(services, tx, event.visit_id)


def stop_without_consent(services: Services, tx: Tx, event: ConsentWithdrawn) -> None:
    """End the check-up, or the way to a doctor, of a patient who took the agreement back."""
    service_consent.stop_without_consent(services, tx, event.patient_id, event.purpose)


def close_media(services: Services, _tx: Tx, event: ConsultationEnded) -> None:
    """Give back what the call held on its media plane."""
    service_call.plane_of(services).close(event.consultation_id)
