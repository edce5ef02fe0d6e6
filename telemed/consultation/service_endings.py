"""A visit that ends before a doctor has ended its case: the patient left, went by ambulance, or was another person."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from telemed.access.relations import Principal
from telemed.checkup import rules as visits
from telemed.checkup import service as checkup
from telemed.checkup import service_endings
from telemed.checkup.models import Visit
from telemed.consultation import rules, service_consent
from telemed.consultation.events import CaseAbandoned, CaseQueued
from telemed.consultation.service import consultation_of_visit, queue_case
from telemed.consultation.service_stored import store
from telemed.errors import Conflict, Invalid
from telemed.readings import service as readings
from telemed.readings import service_aside
from telemed.services import Services


def end_visit(services: Services, who: Principal, visit_id: UUID, ending: str, whose: str = "") -> None:
    """End a visit before its time. Whose readings ask for a doctor is called back; those of a wrong person leave the
    record. Raises Invalid, Conflict("visit_closed"), or ("case_with_doctor") while a doctor has a wrong person's case.
    """
    if ending not in visits.CHOSEN_ENDINGS:
        raise Invalid(fields={"ending": "required"})
    with services.act(who, "visit.close", checkup.subject_of(services, visit_id)) as tx:
        case = consultation_of_visit(tx, visit_id)
        is_wrong = ending == visits.WRONG_PERSON
        if is_wrong and case is not None and case.state != "waiting":
            raise Conflict("case_with_doctor")
        booking_id = tx.get_one(Visit, visit_id).booking_id
        visit = checkup.close(services, tx, visit_id, ending)
        if not is_wrong:
            return
        service_aside.set_aside(services, tx, who, visit, whose, booking_id)
        if case is not None:
            case.state = "abandoned"
            services.publish(
                tx, CaseAbandoned(case.id, visit_id, case.branch_id, case.region_id, services.clock())
            )  # fmt: skip


def undo_ending(services: Services, who: Principal, visit_id: UUID) -> None:
    """Take the end of a visit back within half a minute. Raises Conflict as `service_endings.reopen` does."""
    with services.act(who, "visit.undo_ending", checkup.subject_of(services, visit_id)) as tx:
        booking_id = service_aside.booking_given_back(tx, visit_id)
        visit = service_endings.reopen(services, tx, visit_id, booking_id)
        service_aside.bring_back(services, tx, visit)
        case = consultation_of_visit(tx, visit_id)
        if case is None or case.state not in ("abandoned", "waiting"):
            return
        case.state, case.stored_at = "waiting", None
        services.publish(
            tx, CaseQueued(case.id, visit_id, case.branch_id, case.region_id, case.level, services.clock())
        )


def call_back(services: Services, tx: Session, visit_id: UUID) -> None:
    """Keep the case of a patient who went home: the one that nobody took, and a new one where the results ask for a
    doctor. Called by jobs, which may run after the end was taken back: then it changes nothing.
    """
    visit = tx.get(Visit, visit_id)
    if visit is None or visit.state != "closed" or visit.ending in (visits.WRONG_PERSON, visits.WITHDRAWN):
        return
    if service_consent.has_ended(tx, visit):
        return
    if consultation_of_visit(tx, visit_id) is None:
        readings.triage_visit_by_id(services, tx, visit_id)
        level, has_doubtful = readings.triage_of(tx, visit_id), readings.has_doubtful(tx, visit_id)
        if not rules.asks_for_a_doctor(level, has_doubtful=has_doubtful):
            return
        queue_case(services, tx, visit_id)
    store(services, tx, visit_id)
