"""A patient's record as other use cases see it: who it is, how to reach the person, the card, living consents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.crypto import tokens
from telemed.errors import NotFound
from telemed.ids import new_id
from telemed.patients import rules
from telemed.patients.events import ConsentGiven
from telemed.patients.models import Card, Consent, Patient
from telemed.patients.rules_birth import Birth
from telemed.rules_keyboards import token_readings
from telemed.services import Services


@dataclass(frozen=True)
class PatientCard:
    """A patient as clerk and doctor see the person: no number but a masked phone."""

    id: UUID
    full_name: str
    birth_date: Birth
    sex: str
    masked_phone: str
    language: str
    type_size: str
    hard_of_hearing: bool
    home_branch_id: UUID
    consents: tuple[str, ...] = field(default=())
    withdrawn: tuple[str, ...] = ()
    has_card: bool = False

    @property
    def birth_year(self) -> int:
        """Return all that a clerk's page says of the birth date."""
        return self.birth_date.year


def subject_of(services: Services, patient_id: UUID) -> Subject:
    """Return what a decision about a patient looks at. Raises NotFound."""
    with services.db.read() as tx:
        row = tx.get(Patient, patient_id)
        if row is None:
            raise NotFound()
        return Subject(patient_id=row.id, branch_id=row.home_branch_id)


def card_view(services: Services, tx: Session, row: Patient) -> PatientCard:
    identity = services.vault.open(tx, row, "identity")
    contact = services.vault.open(tx, row, "contact")
    return PatientCard(
        id=row.id, full_name=rules.full_name(identity), birth_date=Birth.of(identity["birth_date"]),
        sex=identity["sex"], masked_phone=rules.masked_phone(contact.get("phone", "")), language=row.language,
        type_size=row.type_size, hard_of_hearing=row.hard_of_hearing, home_branch_id=row.home_branch_id,
        consents=tuple(sorted(living_consents(tx, row.id))), has_card=_has_card(tx, row.id),
        withdrawn=tuple(purpose for purpose in rules.PURPOSES if is_withdrawn(tx, row.id, purpose)),
    )  # fmt: skip


def _has_card(tx: Session, patient_id: UUID) -> bool:
    living = select(Card.id).where(Card.patient_id == patient_id, Card.revoked_at.is_(None))
    return tx.scalar(living.limit(1)) is not None


def name_of(services: Services, tx: Session, patient_id: UUID) -> str:
    """Return the full name, inside the caller's audited transaction."""
    row = tx.get(Patient, patient_id)
    return rules.full_name(services.vault.open(tx, row, "identity")) if row is not None else ""


def identity_of(services: Services, tx: Session, patient_id: UUID) -> dict[str, Any]:
    """Return {family_name, given_name, patronymic, birth_date, sex, ...}, inside the caller's audited transaction."""
    row = tx.get(Patient, patient_id)
    return services.vault.open(tx, row, "identity") if row is not None else {}


def contact_of(services: Services, tx: Session, patient_id: UUID) -> dict[str, Any]:
    """Return {phone, address, postal_index}, inside the caller's audited transaction."""
    row = tx.get(Patient, patient_id)
    return services.vault.open(tx, row, "contact") if row is not None else {}


def card_of(tx: Session, token: str) -> Card | None:
    """Return the card of a scanned or typed code, under whatever keyboard; it may have ended."""
    hashes = [tokens.token_hash(reading) for reading in token_readings(token)]
    return tx.scalar(select(Card).where(Card.token_hash.in_(hashes)).limit(1))


def give(services: Services, tx: Session, who: Principal, patient: Patient, purpose: str) -> None:
    """Record an agreement inside the caller's transaction; a living one is left as it is."""
    if purpose in living_consents(tx, patient.id):
        return
    assert who.id is not None
    now = services.clock()
    tx.add(
        Consent(
            id=new_id(), patient_id=patient.id, purpose=purpose, version=rules.CONSENT_VERSION,
            language=patient.language, given_at=now, recorded_by=who.id,
        )
    )  # fmt: skip
    services.publish(tx, ConsentGiven(patient.id, purpose, now))


def living_consents(tx: Session, patient_id: UUID) -> set[str]:
    """Return the purposes to which the patient's agreement stands."""
    return set(
        tx.scalars(select(Consent.purpose).where(Consent.patient_id == patient_id, Consent.withdrawn_at.is_(None)))
    )


def is_withdrawn(tx: Session, patient_id: UUID, purpose: str) -> bool:
    """Tell whether the patient took an agreement to this purpose back and gave no new one."""
    known = tx.scalars(
        select(Consent.withdrawn_at).where(Consent.patient_id == patient_id, Consent.purpose == purpose)
    ).all()
    return bool(known) and None not in known
