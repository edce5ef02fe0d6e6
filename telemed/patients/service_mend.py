"""Mend bad data of a record: the coordinator's deeds, each audited with the record it is about. Nothing is merged."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.errors import Conflict, Invalid, NotFound
from telemed.patients import rules
from telemed.patients.models import Patient, PersonPair, PersonQuestion
from telemed.patients.phones import meant_by, valid_phone
from telemed.patients.service_index import index_of
from telemed.patients.service_records import subject_of
from telemed.rules_spelling import tidy_names
from telemed.services import Services


def mend_phone(services: Services, who: Principal, patient_id: UUID, typed: str) -> None:
    """Store the right number; an empty text takes the one that was probably meant. Raises Invalid."""
    subject = subject_of(services, patient_id)
    country = services.country_of(subject.branch_id)
    with services.act(who, "patient.mend_data", subject) as tx:
        row = _locked(tx, patient_id)
        contact = services.vault.open(tx, row, "contact")
        phone = valid_phone(typed, country) if typed.strip() else meant_by(str(contact.get("phone") or ""), country)
        if phone is None:
            raise Invalid(fields={"typed": "phone_invalid"})
        services.vault.seal(tx, row, "contact", {**contact, "phone": phone})
        row.phone_index = services.index.of("patient.phone", phone)


def mend_number(services: Services, who: Principal, patient_id: UUID, field: str, typed: str) -> None:
    """Store the right SNILS or policy number; an empty text leaves the record without one. Raises Invalid, and
    Conflict("number_with_other") when it stands with another record.
    """
    if field not in rules.NUMBER_CODES:
        raise Invalid(fields={"typed": "invalid"})
    number = rules.digits(typed)
    if typed.strip() and (wrong := rules.NUMBER_CODES[field](number)):
        raise Invalid(fields={"typed": wrong})
    index = services.index.of(f"patient.{field}", number) if number else None
    try:
        with services.act(who, "patient.mend_data", subject_of(services, patient_id)) as tx:
            _set_number(services, tx, _locked(tx, patient_id), field, number, index)
    except IntegrityError:
        raise Conflict("number_with_other") from None


def mend_name(services: Services, who: Principal, patient_id: UUID, names: tuple[str, str, str]) -> None:
    """Store a name typed anew. Raises Invalid."""
    family_name, given_name, patronymic = tidy_names(names)
    typed = {"family_name": family_name, "given_name": given_name, "patronymic": patronymic}
    wrong = {name: rules.name_code(text, needed=name != "patronymic") for name, text in typed.items()}
    if any(wrong.values()):
        raise Invalid(fields={name: code for name, code in wrong.items() if code})
    with services.act(who, "patient.mend_data", subject_of(services, patient_id)) as tx:
        row = _locked(tx, patient_id)
        identity = {**services.vault.open(tx, row, "identity"), **typed}
        services.vault.seal(tx, row, "identity", identity)
        row.name_index = index_of(services, identity)
        row.name_birth_index = services.index.of("patient.name_birth", rules.name_and_birth(identity))


def decide_number(services: Services, who: Principal, question_id: UUID, verdict: str) -> None:
    """Say whose a number is that was typed for one person and stands with another: left where it is, or moved. Raises
    Conflict("decided_already").
    """
    if verdict not in rules.NUMBER_VERDICTS:
        raise Invalid(fields={"verdict": "required"})
    with services.db.read() as tx:
        question = tx.get(PersonQuestion, question_id)
        if question is None:
            raise NotFound()
        subject = Subject(patient_id=question.patient_id, branch_id=question.branch_id)
    with services.act(who, "patient.mend_data", subject) as tx:
        question = tx.get_one(PersonQuestion, question_id, with_for_update=True)
        if question.verdict is not None:
            raise Conflict("decided_already")
        if verdict == "moved":
            _move_number(services, tx, who, question)
        question.verdict, question.decided_at, question.decided_by = verdict, services.clock(), who.id


def _move_number(services: Services, tx: Session, who: Principal, question: PersonQuestion) -> None:
    """Take the number from who holds it now and give it to whom it was typed for. The holder's branch is asked too."""
    number, field = services.vault.open(tx, question, "claim")["number"], question.field
    index = services.index.of(f"patient.{field}", number)
    column = {"snils": Patient.snils_index, "policy": Patient.policy_index}[field]
    holder = tx.scalar(select(Patient).where(column == index).with_for_update())
    if holder is not None:
        services.allow(tx, who, "patient.mend_data", Subject(patient_id=holder.id, branch_id=holder.home_branch_id))
        _set_number(services, tx, holder, field, "", None)
        tx.flush()
    _set_number(services, tx, _locked(tx, question.patient_id), field, number, index)


def judge_pair(services: Services, who: Principal, one_id: UUID, other_id: UUID, verdict: str) -> None:
    """Say whether two records are one person. `same`: the search goes on with the older record, the newer one keeps all it
    has and is found no more; `different` shows both and lists them no more. Either can be said later instead.
    """
    if verdict not in rules.PAIR_VERDICTS or one_id == other_id:
        raise Invalid(fields={"verdict": "required"})
    with services.act(who, "patient.mend_data", subject_of(services, one_id)) as tx:
        other = _locked(tx, other_id)
        services.allow(tx, who, "patient.mend_data", Subject(patient_id=other.id, branch_id=other.home_branch_id))
        newer = max((_locked(tx, one_id), other), key=lambda row: (row.registered_at, str(row.id)))
        first_id, second_id = sorted((one_id, other_id), key=str)
        pair = tx.scalar(select(PersonPair).where(PersonPair.first_id == first_id, PersonPair.second_id == second_id))
        if pair is None:
            pair = PersonPair(first_id=first_id, second_id=second_id)
            tx.add(pair)
        pair.verdict, pair.hidden_id = verdict, newer.id if verdict == "same" else None
        pair.decided_at, pair.decided_by = services.clock(), who.id


def _set_number(services: Services, tx: Session, row: Patient, field: str, number: str, index: bytes | None) -> None:
    services.vault.seal(tx, row, "identity", {**services.vault.open(tx, row, "identity"), field: number})
    setattr(row, f"{field}_index", index)


def _locked(tx: Session, patient_id: UUID) -> Patient:
    row = tx.get(Patient, patient_id, with_for_update=True)
    if row is None:
        raise NotFound()
    return row
