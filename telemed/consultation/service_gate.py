"""The complete-case gate: what a case still lacks, and the clerk's way to send it all the same."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from telemed.access.relations import Principal
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.consultation import rules
from telemed.consultation.models import CaseGap
from telemed.errors import Conflict, NotFound
from telemed.readings import service as readings
from telemed.services import Services


def missing_at_counter(services: Services, who: Principal, visit_id: UUID) -> tuple[str, ...]:
    """Return the codes of what the case still lacks; no answer and no value leaves with them."""
    with services.look(who, "visit.read", checkup.subject_of(services, visit_id)) as tx:
        return _missing(services, tx, visit_id)


def _missing(services: Services, tx: Session, visit_id: UUID) -> tuple[str, ...]:
    visit = tx.get(Visit, visit_id)
    if visit is None:
        raise NotFound()
    answers = checkup.read_answers(services, tx, visit)
    return rules.missing(answers, readings.usable_vitals(services, tx, visit_id), readings.triage_of(tx, visit_id))


def hand_to_doctors(services: Services, who: Principal, visit_id: UUID, despite: str | None = None) -> None:
    """Finish the check-up and queue its case. Raises Conflict("case_incomplete", missing=[codes]) unless nothing is
    missing or `despite` names a reason; what checkup.finish raises too. That a case cannot wait is kept even when
    nothing is missing: its level may not tell, as HI and LO of a pressure have no number.
    """
    missing = missing_at_counter(services, who, visit_id)
    if despite in rules.DESPITE and (missing or despite == rules.CANNOT_WAIT):
        _note_gap(services, who, visit_id, missing, despite)
    elif missing:
        raise Conflict("case_incomplete", missing=list(missing))
    checkup.finish(services, who, visit_id)


def _note_gap(services: Services, who: Principal, visit_id: UUID, missing: tuple[str, ...], despite: str) -> None:
    with services.act(who, "visit.finish", checkup.subject_of(services, visit_id)) as tx:
        assert who.id is not None
        gap = CaseGap(
            visit_id=visit_id, missing=" ".join(missing), despite=despite, noted_by=who.id, at=services.clock()
        )  # fmt: skip
        tx.merge(gap)
