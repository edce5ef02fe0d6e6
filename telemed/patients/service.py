"""Use cases of patients: show to the clerk, preferences, card, consents, erasure.

Registering, finding and the index stand in service_register, service_find and service_index and are named here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.crypto import tokens
from telemed.crypto.ledger import Erased
from telemed.errors import Invalid
from telemed.ids import new_id
from telemed.patients import rules
from telemed.patients.events import ConsentWithdrawn
from telemed.patients.models import Card, Consent, Patient
from telemed.patients.service_consents import refuse_withdrawn, undo_withdrawal
from telemed.patients.service_find import (
    SEARCHES_AN_HOUR,
    KnownElsewhere,
    MaybeKnown,
    PersonHint,
    choose_person,
    find_patient,
    find_people,
    take_over,
)
from telemed.patients.service_records import (
    PatientCard,
    card_of,
    card_view,
    contact_of,
    give,
    identity_of,
    is_withdrawn,
    living_consents,
    name_of,
    subject_of,
)
from telemed.patients.service_register import NewPatient, register_patient
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
ERASED_DOMAINS = ("identity", "delivery")
__all__ = [
    "RELATIONS",
    "SEARCHES_AN_HOUR",
    "ConsentView",
    "KnownElsewhere",
    "MaybeKnown",
    "NewPatient",
    "PatientCard",
    "PersonHint",
    "choose_person",
    "consents_of",
    "contact_of",
    "erase_again",
    "erase_patient",
    "find_patient",
    "find_people",
    "give_consent",
    "has_consent",
    "identity_of",
    "is_withdrawn",
    "issue_card",
    "name_of",
    "patient_card",
    "refuse_withdrawn",
    "register_patient",
    "set_preferences",
    "show_card",
    "subject_of",
    "take_over",
    "undo_withdrawal",
    "why_no_card",
    "withdraw_consent",
]  # fmt: skip



def patient_card(services: Services, who: Principal, patient_id: UUID) -> PatientCard:
    """Return a patient as staff see the person; audited."""
    with services.act(who, "patient.read", subject_of(services, patient_id)) as tx:
        row = tx.get(Patient, patient_id)
        assert row is not None
        return card_view(services, tx, row)


def set_preferences(
    services: Services, who: Principal, patient_id: UUID, language: str, type_size: str, *, hard_of_hearing: bool
) -> None:
    """Store how the patient likes to be spoken to."""
    if language not in rules.LANGUAGES or type_size not in rules.TYPE_SIZES:
        raise Invalid(fields={"language": "invalid"})
    with services.act(who, "patient.set_preferences", subject_of(services, patient_id)) as tx:
        row = tx.get(Patient, patient_id)
        assert row is not None
        row.language, row.type_size, row.hard_of_hearing = language, type_size, hard_of_hearing


# --- card ---------------------------------------------------------------------------------------------------------


def issue_card(services: Services, who: Principal, patient_id: UUID) -> str:
    """Issue a card and return its token, which is shown only now; older cards end."""
    with services.act(who, "patient.issue_card", subject_of(services, patient_id)) as tx:
        now, token = services.clock(), tokens.new_token()
        for old in tx.scalars(select(Card).where(Card.patient_id == patient_id, Card.revoked_at.is_(None))):
            old.revoked_at = now
        row = Card(id=new_id(), patient_id=patient_id, token_hash=tokens.token_hash(token), issued_at=now)
        tx.add(row)
        return token


def show_card(services: Services, token: str) -> UUID | None:
    """Return the patient of a living card, or None."""
    with services.db.read() as tx:
        card = card_of(tx, token)
        return card.patient_id if card is not None and card.revoked_at is None else None


def why_no_card(services: Services, token: str) -> str:
    """Return why a code opens nothing: card_ended for one that was given out, card_unknown for one never seen."""
    with services.db.read() as tx:
        return "card_unknown" if card_of(tx, token) is None else "card_ended"


# --- consents -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConsentView:
    purpose: str
    version: str
    language: str
    given_at: datetime
    withdrawn_at: datetime | None


def consents_of(services: Services, who: Principal, patient_id: UUID) -> list[ConsentView]:
    """Return every consent that was ever given, newest first."""
    with services.look(who, "consent.read", subject_of(services, patient_id)) as tx:
        rows = tx.scalars(select(Consent).where(Consent.patient_id == patient_id).order_by(Consent.given_at.desc()))
        return [ConsentView(r.purpose, r.version, r.language, r.given_at, r.withdrawn_at) for r in rows]


def give_consent(services: Services, who: Principal, patient_id: UUID, purpose: str) -> None:
    """Record the patient's agreement to a purpose; a living one is left as it is."""
    if purpose not in rules.PURPOSES:
        raise Invalid(fields={"purpose": "invalid"})
    with services.act(who, "consent.give", subject_of(services, patient_id)) as tx:
        row = tx.get(Patient, patient_id)
        assert row is not None
        give(services, tx, who, row, purpose)


def withdraw_consent(services: Services, who: Principal, patient_id: UUID, purpose: str) -> None:
    """Record that the patient takes an agreement back; its row stays."""
    with services.act(who, "consent.withdraw", subject_of(services, patient_id)) as tx:
        living = select(Consent).where(
            Consent.patient_id == patient_id, Consent.purpose == purpose, Consent.withdrawn_at.is_(None)
        )
        for row in tx.scalars(living):
            row.withdrawn_at = services.clock()
            services.publish(tx, ConsentWithdrawn(patient_id, purpose, row.withdrawn_at))


def has_consent(tx: Session, patient_id: UUID, purpose: str) -> bool:
    """Tell whether the patient's agreement to a purpose stands."""
    return purpose in living_consents(tx, patient_id)


# --- erasure ------------------------------------------------------------------------------------------------------


def erase_patient(services: Services, patient_id: UUID) -> None:
    """Shred identity, contact and delivery data and the indexes that would still find them; an operator's command."""
    with services.db.write() as tx:
        row = tx.get(Patient, patient_id)
        if row is None:
            raise Invalid(fields={"patient_id": "not_found"})
        _lose(row)
        for domain in ERASED_DOMAINS:
            services.keys.forget(tx, patient_id, domain, services.clock())
        subject = Subject(patient_id=patient_id)
        audit.record(tx, services.clock(), SYSTEM, "system.erase", subject, allowed=True, reason="command")


def erase_again(services: Services, tx: Session, erased: Iterable[Erased]) -> int:
    """Shred once more what a restored backup brought back; return how many people it had brought back."""
    back = {one.subject for one in erased if services.keys.shred(tx, one.subject, one.domain)}
    for patient_id in sorted(back):
        row = tx.get(Patient, patient_id)
        if row is not None:
            _lose(row)
        subject = Subject(patient_id=patient_id)
        audit.record(tx, services.clock(), SYSTEM, "system.erase", subject, allowed=True, reason="restore")
    return len(back)


def _lose(row: Patient) -> None:
    """Make a patient unfindable by number, policy or name."""
    row.phone_index = row.snils_index = row.policy_index = row.name_index = None
    row.name_birth_index = tokens.token_hash(str(new_id()))[:16]
