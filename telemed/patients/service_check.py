"""Bad data that stands in the register: what today's checks would refuse, and records that look like one person.

Every finding names a record by its id and shows it masked; `service_mend` has a way to mend each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.crypto.envelope import Unsealable
from telemed.crypto.keys import SubjectKey
from telemed.patients import rules
from telemed.patients.models import Patient, PersonPair, PersonQuestion
from telemed.patients.phones import meant_by, valid_phone
from telemed.patients.rules_birth import Birth
from telemed.rules_spelling import has_two_alphabets, name_key, tidy_names
from telemed.services import Services

NAMES = ("family_name", "given_name", "patronymic")


@dataclass(frozen=True)
class Finding:
    """Something to mend. `kind` is a code of rules.DATA_KINDS; `field` says where; `other_id` is the second record of a
    pair; `shown` is what stands there, masked, `meant` what it probably was.
    """

    kind: str
    patient_id: UUID
    branch_id: UUID
    field: str = ""
    name: str = ""
    birth_year: int | None = None
    shown: str = ""
    meant: str = ""
    other_id: UUID | None = None
    other: str = ""
    is_elsewhere: bool = False  # the second record is another region's: nothing of it is shown
    question_id: UUID | None = None
    verdict: str = ""


def people_to_mend(services: Services, who: Principal) -> list[Finding]:
    """Return what is to be mended among the people of the coordinator's region; audited. An operator's command sees all."""
    if who is SYSTEM:
        with services.db.read() as tx:
            return list(_findings(services, tx, true()))
    with services.act(who, "patient.check_data", Subject(region_id=who.region_id)) as tx:
        return list(_findings(services, tx, Patient.home_branch_id.in_(services.subjects("own_region", who))))


def _findings(services: Services, tx: Session, where: ColumnElement[bool]) -> Iterator[Finding]:
    yield from _questions(services, tx, where)
    yield from _pairs(services, tx, where)
    for row in tx.scalars(select(Patient).where(where).order_by(Patient.id).execution_options(yield_per=500)):
        yield from _of_record(services, tx, row)


# --- one record ---------------------------------------------------------------------------------------------------


def _of_record(services: Services, tx: Session, row: Patient) -> Iterator[Finding]:
    try:
        identity, contact = (services.vault.open(tx, row, section) for section in ("identity", "contact"))
        year = Birth.of(identity["birth_date"]).year
    except (Unsealable, KeyError, ValueError):
        if not is_erased(tx, row.id):
            yield Finding("record_unreadable", row.id, row.home_branch_id)
        return
    about: dict[str, Any] = {"name": rules.masked_name(identity), "birth_year": year}
    for field, code in rules.NUMBER_CODES.items():
        if (number := identity.get(field) or "") and (wrong := code(number)):
            shown = f"… {number[-2:]}"
            yield Finding("number_wrong", row.id, row.home_branch_id, field, shown=shown, meant=wrong, **about)
    yield from _of_phone(services, row, str(contact.get("phone") or ""), about)
    names = tidy_names([identity.get(name) or "" for name in NAMES])
    if any(map(has_two_alphabets, names)):
        yield Finding("name_two_alphabets", row.id, row.home_branch_id, "family_name", **about)


def _of_phone(services: Services, row: Patient, phone: str, about: dict[str, Any]) -> Iterator[Finding]:
    country = services.country_of(row.home_branch_id) if phone and valid_phone(phone, "RU") != phone else ""
    if not country:
        return
    meant = meant_by(phone, country) or ""
    yield Finding("phone_wrong", row.id, row.home_branch_id, "phone", shown=_ends(phone), meant=_ends(meant), **about)


def _ends(phone: str) -> str:
    """Return a number's beginning and its last two digits: enough to see what is wrong with it."""
    return f"{phone[:6]} … {phone[-2:]}" if phone else ""


def is_erased(tx: Session, patient_id: UUID) -> bool:
    """Tell whether a record cannot be opened because it was erased."""
    key = select(SubjectKey.version).where(SubjectKey.subject_id == patient_id, SubjectKey.domain == "identity")
    return tx.scalar(key.limit(1)) is None


# --- two records --------------------------------------------------------------------------------------------------


def _questions(services: Services, tx: Session, where: ColumnElement[bool]) -> Iterator[Finding]:
    """Yield the numbers that were typed for one person and stand with another."""
    query = select(PersonQuestion, Patient).join(Patient, Patient.id == PersonQuestion.patient_id)
    here = select(Patient).where(where)
    for question, row in tx.execute(query.where(where, PersonQuestion.verdict.is_(None)).order_by(PersonQuestion.asked_at)):
        about, other = _about(services, tx, row), tx.scalar(here.where(Patient.id == question.other_id))
        if about is not None:
            yield Finding(
                "number_taken", row.id, row.home_branch_id, question.field, **about, other_id=question.other_id,
                other=_line(_about(services, tx, other)), is_elsewhere=other is None, question_id=question.id,
            )  # fmt: skip


def _pairs(services: Services, tx: Session, where: ColumnElement[bool]) -> Iterator[Finding]:
    """Yield the pairs of one branch with the same name and birth date, also those that were judged to be one person."""
    shared = select(Patient.name_index).where(where, Patient.name_index.is_not(None)).group_by(Patient.name_index)
    rows = tx.scalars(
        select(Patient)
        .where(where, Patient.name_index.in_(shared.having(func.count() > 1)))
        .order_by(Patient.name_index, Patient.registered_at, Patient.id)
    ).all()
    judged = {(pair.first_id, pair.second_id): pair.verdict for pair in tx.scalars(select(PersonPair))}
    for first, second in combinations(rows, 2):
        verdict = judged.get(_ordered(first.id, second.id), "")
        if verdict != "different" and first.name_index == second.name_index and _look_one(services, tx, first, second):
            about = _about(services, tx, first) or {}
            yield Finding("same_person", first.id, first.home_branch_id, **about, other_id=second.id,
                          other=_line(_about(services, tx, second)), verdict=verdict)  # fmt: skip


def _ordered(one: UUID, other: UUID) -> tuple[UUID, UUID]:
    first, second = sorted((one, other), key=str)
    return first, second


def _look_one(services: Services, tx: Session, first: Patient, second: Patient) -> bool:
    """Tell whether birth dates and patronymics fit; two different SNILS are two people."""
    try:
        one, other = (services.vault.open(tx, row, "identity") for row in (first, second))
        born = Birth.of(one["birth_date"]).may_be(Birth.of(other["birth_date"]))
    except (Unsealable, KeyError, ValueError):
        return False
    patronymics = {name_key(identity["patronymic"]) for identity in (one, other) if identity.get("patronymic")}
    numbers = {identity["snils"] for identity in (one, other) if identity.get("snils")}
    return born and len(patronymics) < 2 and len(numbers) < 2


def _about(services: Services, tx: Session, row: Patient | None) -> dict[str, Any] | None:
    try:
        if row is None:
            return None
        identity = services.vault.open(tx, row, "identity")
        return {"name": rules.masked_name(identity), "birth_year": Birth.of(identity["birth_date"]).year}
    except (Unsealable, KeyError, ValueError):
        return None


def _line(about: dict[str, Any] | None) -> str:
    return f"{about['name']}, {about['birth_year']}" if about else ""
