"""What a consent taken back ends: measuring and the visit, or the way to a doctor at a distance. An emergency goes first:
what a red flag has started is ended by people, never by a form.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.checkup import rules as visits
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import rules
from telemed.consultation.events import CaseAbandoned
from telemed.consultation.models import Consultation
from telemed.patients import service as patients
from telemed.readings import service as readings
from telemed.services import Services

ENDS_THE_VISIT, ENDS_THE_WAITING = "care", ("care", "telemedicine")


def stop_without_consent(services: Services, tx: Session, patient_id: UUID, purpose: str) -> None:
    """End at once what the patient does not agree to any more. Called by jobs: a consent given anew meanwhile counts."""
    if purpose not in ENDS_THE_WAITING or not patients.is_withdrawn(tx, patient_id, purpose):
        return
    waiting = select(Consultation).where(Consultation.patient_id == patient_id, Consultation.state == "waiting")
    for case in tx.scalars(waiting.with_for_update()).all():
        if not rules.needs_the_doctor_now(case.level):
            _leave_queue(services, tx, case)
    if purpose != ENDS_THE_VISIT:
        return
    living = select(Visit.id).where(Visit.patient_id == patient_id, Visit.state.in_(visits.LIVING))
    for visit_id in tx.scalars(living).all():
        if not rules.needs_the_doctor_now(readings.triage_of(tx, visit_id)):
            checkup.close(services, tx, visit_id, visits.WITHDRAWN)


def has_ended(tx: Session, visit: Visit) -> bool:
    """Tell whether no doctor may call this patient back: the consent is taken back, and nothing cannot wait."""
    is_agreed = not any(patients.is_withdrawn(tx, visit.patient_id, purpose) for purpose in ENDS_THE_WAITING)
    return not is_agreed and not rules.needs_the_doctor_now(readings.triage_of(tx, visit.id))


def _leave_queue(services: Services, tx: Session, case: Consultation) -> None:
    case.state, case.stored_at = "abandoned", None
    services.publish(
        tx, CaseAbandoned(case.id, case.visit_id, case.branch_id, case.region_id, services.clock())
    )  # fmt: skip
