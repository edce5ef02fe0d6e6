"""Use cases of patients: register, find one, show to the clerk, card, consents, erasure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.models import AuditRow
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.crypto import tokens
from telemed.crypto.ledger import Erased
from telemed.errors import Conflict, Invalid, NotFound, TooMany
from telemed.ids import new_id
from telemed.keyboards import token_readings
from telemed.patients import rules
from telemed.patients.events import ConsentGiven, ConsentWithdrawn, PatientRegistered
from telemed.patients.models import Card, Consent, Patient, PersonQuestion
from telemed.patients.phones import as_kept_before, valid_phone
from telemed.rules_text import length
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
SEARCHES_AN_HOUR = 30
ERASED_DOMAINS = ("identity", "delivery")


@dataclass(frozen=True)
class NewPatient:
    """What the clerk typed; numbers may hold blanks and dashes."""

    family_name: str
    given_name: str
    patronymic: str
    birth_date: date | None
    sex: str
    phone: str
    snils: str
    policy: str
    address: str
    postal_index: str
    language: str = "ru"
    type_size: str = "large"
    hard_of_hearing: bool = False
    consents: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatientCard:
    """A patient as clerk and doctor see the person: no number but a masked phone."""

    id: UUID
    full_name: str
    birth_date: date
    sex: str
    masked_phone: str
    language: str
    type_size: str
    hard_of_hearing: bool
    home_branch_id: UUID
    consents: tuple[str, ...] = field(default=())

    @property
    def birth_year(self) -> int:
        """Return all that a clerk's page says of the birth date."""
        return self.birth_date.year


# --- register -----------------------------------------------------------------------------------------------------


def register_patient(services: Services, who: Principal, new: NewPatient, patient_id: UUID | None = None) -> UUID:
    """Store a patient with the consents given now; return the id. The same `patient_id` twice is one patient. A number
    that stands with somebody else is not stored with this patient; the coordinator is asked. Raises Invalid.
    """
    assert who.branch_id is not None
    identity, contact = _checked(services, new, who.branch_id)
    assert new.birth_date is not None
    subject = Subject(patient_id=patient_id or new_id(), branch_id=who.branch_id)
    indexes = _indexes(services, identity, contact, new.birth_date)  # slow on purpose, so outside the transaction
    try:
        return _register(services, who, subject, new, (dict(identity), contact, dict(indexes)))
    except IntegrityError:  # somebody registered one of the numbers at this moment: now it is seen as taken
        return _register(services, who, subject, new, (identity, contact, indexes))


Sections = tuple[dict[str, str], dict[str, str], dict[str, bytes | None]]  # identity, contact, indexes


def _register(services: Services, who: Principal, subject: Subject, new: NewPatient, sections: Sections) -> UUID:
    identity, contact, indexes = sections
    assert subject.patient_id is not None
    assert subject.branch_id is not None
    assert who.id is not None
    with services.act(who, "patient.register", subject) as tx:
        if tx.get(Patient, subject.patient_id) is not None:
            return subject.patient_id
        taken = _take_out_strangers_numbers(tx, identity, indexes)
        row = Patient(
            id=subject.patient_id, home_branch_id=subject.branch_id, identity_rev=0, contact_rev=0, **indexes,
            language=new.language, type_size=new.type_size, hard_of_hearing=new.hard_of_hearing,
            registered_at=services.clock(), registered_by=who.id,
        )  # fmt: skip
        services.vault.seal(tx, row, "identity", identity)
        services.vault.seal(tx, row, "contact", contact)
        tx.add(row)
        tx.flush()
        for question in taken:
            _ask_whose(services, tx, who, row, *question)
        for purpose in new.consents:
            _give(services, tx, who, row, purpose)
        services.publish(tx, PatientRegistered(row.id, subject.branch_id, services.clock()))
    return subject.patient_id


def _take_out_strangers_numbers(
    tx: Session, identity: dict[str, str], indexes: dict[str, bytes | None]
) -> list[tuple[str, str, UUID]]:  # fmt: skip
    """Empty each number that stands with another record; return field, number and that record. Nobody is told: whose a
    number is must not be found out by typing it.
    """
    taken = []
    for name, column in (("snils", Patient.snils_index), ("policy", Patient.policy_index)):
        value = indexes[column.key]
        holder = tx.scalar(select(Patient.id).where(column == value)) if value else None
        if holder is not None:
            taken.append((name, identity[name], holder))
            identity[name], indexes[column.key] = "", None
    return taken


def _ask_whose(
    services: Services, tx: Session, who: Principal, patient: Patient, name: str, number: str, holder: UUID
) -> None:  # fmt: skip
    """Put before the coordinator whose a number is."""
    assert who.id is not None
    question = PersonQuestion(
        id=new_id(), kind="number_taken", field=name, patient_id=patient.id, other_id=holder,
        branch_id=patient.home_branch_id, claim_rev=0, asked_at=services.clock(), asked_by=who.id,
    )  # fmt: skip
    services.vault.seal(tx, question, "claim", {"number": number})
    tx.add(question)


def _checked(services: Services, new: NewPatient, branch_id: UUID) -> tuple[dict[str, str], dict[str, str]]:
    """Return the identity and contact to seal. Raises Invalid with every wrong field at once."""
    identity = {
        "family_name": new.family_name.strip(), "given_name": new.given_name.strip(),
        "patronymic": new.patronymic.strip(), "birth_date": new.birth_date.isoformat() if new.birth_date else "",
        "sex": new.sex, "snils": rules.digits(new.snils), "policy": rules.digits(new.policy),
    }  # fmt: skip
    faults = rules.identity_faults(identity, new.birth_date, services.today_at(branch_id))
    if new.snils.strip() and not identity["snils"]:
        faults["snils"] = "snils_check_digit"
    if new.policy.strip() and not identity["policy"]:
        faults["policy"] = "policy_invalid"
    phone = valid_phone(new.phone, services.country_of(branch_id))
    if new.phone.strip() and phone is None:
        faults["phone"] = "phone_invalid"
    if not new.phone.strip():
        faults["phone"] = "required"
    if length(new.address) > rules.ADDRESS_MAX:
        faults["address"] = "too_long"
    if not new.address.strip():
        faults["address"] = "required"
    if new.postal_index.strip() and len(rules.digits(new.postal_index)) != 6:
        faults["postal_index"] = "postal_index_invalid"
    choices = (("language", rules.LANGUAGES), ("type_size", rules.TYPE_SIZES))
    faults |= {name: "invalid" for name, allowed in choices if getattr(new, name) not in allowed}
    if set(new.consents) - set(rules.PURPOSES):
        faults["consents"] = "invalid"
    if faults:
        raise Invalid(fields=faults)
    contact = {
        "phone": phone or "", "address": new.address.strip(), "postal_index": rules.digits(new.postal_index)
    }  # fmt: skip
    return identity, contact


def _indexes(
    services: Services, identity: dict[str, str], contact: dict[str, str], born: date
) -> dict[str, bytes | None]:  # fmt: skip
    def of(column: str, value: str) -> bytes | None:
        return services.index.of(f"patient.{column}", value) if value else None

    return {
        "phone_index": of("phone", contact["phone"]),
        "snils_index": of("snils", identity["snils"]),
        "policy_index": of("policy", identity["policy"]),
        "name_birth_index": of("name_birth", rules.name_and_birth(identity, born)),
    }


# --- find ---------------------------------------------------------------------------------------------------------


def find_patient(
    services: Services, who: Principal, *, number: str = "", card: str = "", name: str = "", born: date | None = None
) -> PatientCard | None:
    """Return the one patient of an exact number (phone, SNILS, policy), card token, or full name and birth date.
    Several matches raise Conflict("ask_for_document"); the 31st search within an hour raises TooMany.
    """
    if not (number.strip() or card.strip() or (name.strip() and born)):
        raise Invalid(fields={"number": "required"})
    if len(number) > 40 or len(card) > 200 or len(name) > 200:
        raise Invalid(fields={"number": "too_long"})
    wanted = _wanted(services, who, number, name, born)
    with services.act(who, "patient.find", Subject(branch_id=who.branch_id)) as tx:
        _refuse_many_searches(services, tx, who)
        found = _of_card(tx, card) if card.strip() else _matches(tx, wanted)
        if len(found) > 1:
            raise Conflict("ask_for_document")
        row = tx.get(Patient, found.pop()) if found else None
        return _card(services, tx, row) if row is not None else None


def _wanted(services: Services, who: Principal, number: str, name: str, born: date | None) -> list[tuple[Any, bytes]]:
    """Return the indexed columns in which the typed value may stand, with its index there."""
    of = services.index.of
    if name.strip() and born:
        return [(Patient.name_birth_index, of("patient.name_birth", f"{name.strip()}|{born.isoformat()}"))]
    typed = rules.digits(number)
    found = []
    if len(typed) == 16:
        found.append((Patient.policy_index, of("patient.policy", typed)))
    if len(typed) == 11 and rules.snils_is_right(typed):
        found.append((Patient.snils_index, of("patient.snils", typed)))
    phones = {valid_phone(number, services.country_of(who.branch_id)), as_kept_before(number) if typed else None}
    found += [(Patient.phone_index, of("patient.phone", phone)) for phone in sorted(filter(None, phones))]
    return found


def _of_card(tx: Session, typed: str) -> set[UUID | None]:
    """Return whose card it is. Raises Conflict for one that has ended."""
    card = card_of(tx, typed)
    if card is not None and card.revoked_at is not None:
        raise Conflict("card_ended")
    return {card.patient_id} if card is not None else set()


def _matches(tx: Session, wanted: list[tuple[Any, bytes]]) -> set[UUID | None]:
    return {row for column, value in wanted for row in tx.scalars(select(Patient.id).where(column == value).limit(2))}


def _refuse_many_searches(services: Services, tx: Session, who: Principal) -> None:
    since = services.clock() - timedelta(hours=1)
    count = tx.scalar(
        select(func.count()).where(
            AuditRow.actor_id == who.id, AuditRow.action == "patient.find", AuditRow.at > since
        )
    )
    if (count or 0) > SEARCHES_AN_HOUR:  # this search's own row is counted
        raise TooMany("too_many_searches", retry_after_s=600)


def patient_card(services: Services, who: Principal, patient_id: UUID) -> PatientCard:
    """Return a patient as staff see the person; audited."""
    with services.act(who, "patient.read", subject_of(services, patient_id)) as tx:
        row = tx.get(Patient, patient_id)
        assert row is not None
        return _card(services, tx, row)


def subject_of(services: Services, patient_id: UUID) -> Subject:
    """Return what a decision about a patient looks at. Raises NotFound."""
    with services.db.read() as tx:
        row = tx.get(Patient, patient_id)
        if row is None:
            raise NotFound()
        return Subject(patient_id=row.id, branch_id=row.home_branch_id)


def _card(services: Services, tx: Session, row: Patient) -> PatientCard:
    identity = services.vault.open(tx, row, "identity")
    contact = services.vault.open(tx, row, "contact")
    return PatientCard(
        id=row.id, full_name=rules.full_name(identity), birth_date=date.fromisoformat(identity["birth_date"]),
        sex=identity["sex"], masked_phone=rules.masked_phone(contact.get("phone", "")), language=row.language,
        type_size=row.type_size, hard_of_hearing=row.hard_of_hearing, home_branch_id=row.home_branch_id,
        consents=tuple(sorted(_living_consents(tx, row.id))),
    )  # fmt: skip


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


def card_of(tx: Session, token: str) -> Card | None:
    """Return the card of a scanned or typed code, under whatever keyboard; it may have ended."""
    hashes = [tokens.token_hash(reading) for reading in token_readings(token)]
    return tx.scalar(select(Card).where(Card.token_hash.in_(hashes)).limit(1))


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
        _give(services, tx, who, row, purpose)


def _give(services: Services, tx: Session, who: Principal, patient: Patient, purpose: str) -> None:
    if purpose in _living_consents(tx, patient.id):
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
    return purpose in _living_consents(tx, patient_id)


def _living_consents(tx: Session, patient_id: UUID) -> set[str]:
    return set(
        tx.scalars(select(Consent.purpose).where(Consent.patient_id == patient_id, Consent.withdrawn_at.is_(None)))
    )


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
    row.phone_index = row.snils_index = row.policy_index = None
    row.name_birth_index = tokens.token_hash(str(new_id()))[:16]
