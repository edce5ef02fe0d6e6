"""Register a patient: every wrong field at once, one person once, no word about anybody else's number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.errors import Invalid
from telemed.ids import new_id
from telemed.patients import rules
from telemed.patients.events import PatientRegistered
from telemed.patients.models import Patient, PersonQuestion
from telemed.patients.phones import valid_phone
from telemed.patients.rules_birth import Birth
from telemed.patients.service_find import refuse_likely_known
from telemed.patients.service_index import index_of
from telemed.patients.service_records import give
from telemed.rules_spelling import tidy_names
from telemed.rules_text import length
from telemed.services import Services


@dataclass(frozen=True)
class NewPatient:
    """What the clerk typed; numbers may hold blanks and dashes."""

    family_name: str
    given_name: str
    patronymic: str
    birth_date: date | Birth | None
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

    @property
    def birth(self) -> Birth | None:
        """The day, or the year alone, on which the person was born."""
        return Birth.on(self.birth_date) if isinstance(self.birth_date, date) else self.birth_date


def register_patient(
    services: Services, who: Principal, new: NewPatient, patient_id: UUID | None = None, *, is_sure: bool = False
) -> UUID:  # fmt: skip
    """Store a patient with the consents given now; return the id. The same `patient_id` twice is one patient. A number
    that stands with somebody else is not stored with this patient; the coordinator is asked. Raises Invalid, and unless
    the clerk `is_sure` MaybeKnown or KnownElsewhere when the person seems to be in the register.
    """
    assert who.branch_id is not None
    identity, contact = _checked(services, new, who.branch_id)
    subject = Subject(patient_id=patient_id or new_id(), branch_id=who.branch_id)
    indexes = _indexes(services, identity, contact)  # slow on purpose, so outside the transaction
    if not is_sure:
        refuse_likely_known(services, who, subject, identity, indexes)
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
            give(services, tx, who, row, purpose)
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
    family_name, given_name, patronymic = tidy_names((new.family_name, new.given_name, new.patronymic))
    identity = {
        "family_name": family_name, "given_name": given_name, "patronymic": patronymic,
        "birth_date": new.birth.isoformat() if new.birth else "", "sex": new.sex,
        "snils": rules.digits(new.snils), "policy": rules.digits(new.policy),
    }  # fmt: skip
    faults = rules.identity_faults(identity, new.birth, services.today_at(branch_id))
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


def _indexes(services: Services, identity: dict[str, str], contact: dict[str, str]) -> dict[str, bytes | None]:
    def of(column: str, value: str) -> bytes | None:
        return services.index.of(f"patient.{column}", value) if value else None

    return {
        "phone_index": of("phone", contact["phone"]),
        "snils_index": of("snils", identity["snils"]),
        "policy_index": of("policy", identity["policy"]),
        "name_birth_index": of("name_birth", rules.name_and_birth(identity)),
        "name_index": index_of(services, identity),
    }
