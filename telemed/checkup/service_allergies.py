"""Use case: what a patient's visits said about allergies, for who gives care and for the patient."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.checkup import rules
from telemed.checkup.allergies import Allergies, Said, known_allergies
from telemed.checkup.models import Visit
from telemed.clock import parse_iso
from telemed.crypto.envelope import Unsealable
from telemed.services import Services


def allergies_of(services: Services, who: Principal, patient_id: UUID) -> Allergies:
    """Return what is known of the patient's allergies from every visit; audited."""
    with services.act(who, "visit.read_answers", Subject(patient_id=patient_id)) as tx:
        return read_allergies(services, tx, patient_id)


def read_allergies(services: Services, tx: Session, patient_id: UUID) -> Allergies:
    """Return the same inside the caller's audited transaction; what was said at a visit of the wrong person counts not."""
    of_another = Visit.ending.is_not_distinct_from(rules.WRONG_PERSON)
    visits = tx.scalars(select(Visit).where(Visit.patient_id == patient_id, Visit.answers.is_not(None), ~of_another))
    return known_allergies(said for visit in visits for said in _said(services, tx, visit) if said.text.strip())


def _said(services: Services, tx: Session, visit: Visit) -> Iterator[Said]:
    """Yield what was said at a visit, and what was said there before it was corrected."""
    try:
        answers = services.vault.open(tx, visit, "answers")
    except Unsealable:  # one damaged visit hides no allergy that another one names
        return
    yield Said(str(answers.get("allergies") or ""), visit.answered_at or visit.opened_at)
    for old in answers.get("earlier", ()):
        yield Said(str(old.get("allergies") or ""), parse_iso(old["at"]))
