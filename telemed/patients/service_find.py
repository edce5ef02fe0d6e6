"""Find people of the own branch: by number, card, or name and birth date; several answers are told apart by one fact more.

Outside the own branch a number alone finds nobody, in text and in time. Only name, birth date and a document's number
together name the branch, and offer to take the record over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.models import AuditRow
from telemed.access.relations import Principal, Subject
from telemed.crypto.envelope import Unsealable
from telemed.errors import Conflict, Invalid, NotFound, TooMany
from telemed.patients import rules
from telemed.patients.models import Card, Patient, PersonPair
from telemed.patients.phones import as_kept_before, valid_phone
from telemed.patients.rules_birth import Birth
from telemed.patients.service_index import progress_in
from telemed.patients.service_records import PatientCard, card_of, card_view, subject_of
from telemed.rules_spelling import name_key, tidy_name
from telemed.services import Services

SEARCHES_AN_HOUR = 30
SHOWN_MOST = 8  # more answers than that and the clerk types one fact more
DOCUMENTS = ("snils", "policy")


@dataclass(frozen=True)
class PersonHint:
    """A record of the own branch, masked, as one of several that may be meant."""

    id: UUID
    name: str
    birth: Birth
    masked_phone: str
    registered_at: datetime
    has_card: bool


class MaybeKnown(Conflict):
    """Ask the clerk whether it is one of `people`."""

    def __init__(self, people: list[PersonHint]) -> None:
        super().__init__("patient_maybe_known")
        self.people = people


class KnownElsewhere(Conflict):
    """The person of name, birth date and document is in the register of another branch: offer to take the record over."""

    def __init__(self, row: Patient, wanted: Wanted) -> None:
        super().__init__("patient_known_elsewhere")
        self.branch_id = row.home_branch_id
        numbers = wanted.numbers or {}
        self.document = next((k for k in DOCUMENTS if getattr(row, f"{k}_index") in numbers.get(k, ())), "")


@dataclass(frozen=True)
class Wanted:
    """What was asked for, indexed before the transaction. `numbers` by kind; `name` in normal form."""

    numbers: dict[str, list[bytes]] | None = None
    card: str = ""
    name: str = ""
    born: Birth | None = None
    name_indexes: list[bytes] = field(default_factory=list)
    old_index: bytes | None = None

    @property
    def has_document(self) -> bool:
        return bool(self.card or any(name in (self.numbers or {}) for name in DOCUMENTS))


# --- find ---------------------------------------------------------------------------------------------------------


def find_patient(
    services: Services, who: Principal, *, number: str = "", card: str = "", name: str = "",
    born: Birth | date | None = None,
) -> PatientCard | None:  # fmt: skip
    """Return the one patient of the branch whom everything typed fits. Several raise Conflict("ask_for_document")."""
    wanted = _wanted(services, who, number, card, name, born)
    with services.act(who, "patient.find", Subject(branch_id=who.branch_id)) as tx:
        _refuse_many_searches(services, tx, who)
        rows = _people(services, tx, who, wanted)
        if len(rows) > 1:
            raise Conflict("ask_for_document")
        return card_view(services, tx, rows[0]) if rows else None


def find_people(
    services: Services, who: Principal, *, number: str = "", card: str = "", name: str = "",
    born: Birth | date | None = None,
) -> list[PersonHint]:  # fmt: skip
    """Return the people of the branch whom everything typed fits, masked. Raises KnownElsewhere, Conflict("card_ended"),
    Conflict("too_many_found"); the 31st search within an hour raises TooMany.
    """
    wanted = _wanted(services, who, number, card, name, born)
    with services.act(who, "patient.find", Subject(branch_id=who.branch_id)) as tx:
        _refuse_many_searches(services, tx, who)
        rows = _people(services, tx, who, wanted)
        if not rows and (there := _elsewhere(services, tx, who, wanted)) is not None:
            raise KnownElsewhere(there, wanted)
        if len(rows) > SHOWN_MOST:
            raise Conflict("too_many_found")
        return [_hint(services, tx, row) for row in rows]


def choose_person(services: Services, who: Principal, patient_id: UUID, fact: str) -> None:
    """Record by which second fact the clerk told one of several people; the audit keeps it. Raises Invalid."""
    if fact not in rules.FACTS:
        raise Invalid(fields={"fact": "required"})
    subject = subject_of(services, patient_id)
    with services.act(who, "patient.choose", subject) as tx:
        audit.record(tx, services.clock(), who, "patient.choose", subject, allowed=True, reason=f"by_{fact}")


def _wanted(
    services: Services, who: Principal, number: str, card: str, name: str, born: Birth | date | None
) -> Wanted:  # fmt: skip
    born = Birth.on(born) if isinstance(born, date) else born
    if not (number.strip() or card.strip() or (name.strip() and born)):
        missing = {"born": "birth_needed"} if name.strip() else {"name": "names_needed"} if born else {"text": "required"}
        raise Invalid(fields=missing)
    if len(number) > 40 or len(card) > 300 or len(name) > 200:
        raise Invalid(fields={"number": "too_long"})
    tidy = tidy_name(name) if born else ""
    if tidy and " " not in tidy:  # people are indexed by both: of one name alone it cannot be said that nobody is here
        raise Invalid(fields={"name": "names_needed"})
    return Wanted(
        numbers=_number_indexes(services, who, number) if number.strip() else None,
        card=card.strip(), name=tidy, born=born,
        name_indexes=_name_indexes(services, tidy, born) if tidy and born else [],
        old_index=_old_index(services, name, born) if tidy and born else None,
    )  # fmt: skip


def _number_indexes(services: Services, who: Principal, number: str) -> dict[str, list[bytes]]:
    """Return what the typed number may be, by kind, with its indexes."""
    of, typed = services.index.of, rules.digits(number)
    found = {}
    if len(typed) == 16:
        found["policy"] = [of("patient.policy", typed)]
    if len(typed) == 11 and rules.snils_is_right(typed):
        found["snils"] = [of("patient.snils", typed)]
    phones = {valid_phone(number, services.country_of(who.branch_id)), as_kept_before(number) if typed else None}
    if known := sorted(filter(None, phones)):
        found["phone"] = [of("patient.phone", phone) for phone in known]
    return found


def _name_indexes(services: Services, name: str, born: Birth) -> list[bytes]:
    """Return the indexes of what a typed name may be: with a patronymic at its end, or without; or the given name first."""
    words = name.split(" ")
    names = {" ".join(words[:end]) for end in range(max(1, min(2, len(words))), len(words) + 1)} if words else set()
    longest = sorted(names, key=len)[-3:]  # "Мамедов Али Гасан оглы": two words of a patronymic at most
    if len(words) in (2, 3):
        longest.append(f"{words[-1]} {words[0]}")  # "Мария Ёлкина", "Мария Петровна Ёлкина"
    return [_name_index(services, one, born) for one in longest]


def _name_index(services: Services, name: str, born: Birth) -> bytes:
    return services.index.of("patient.name_year", rules.name_and_year(name, born.year))


def _old_index(services: Services, name: str, born: Birth) -> bytes | None:
    """Return the index of the form before, while somebody is still indexed in it."""
    with services.db.read() as tx:
        if progress_in(tx).is_over:
            return None
    return services.index.of("patient.name_birth", f"{name.strip()}|{born.isoformat()}")


def _people(services: Services, tx: Session, who: Principal, wanted: Wanted) -> list[Patient]:
    """Return the rows of the own branch that everything typed fits, the oldest first; at most one more than are shown."""
    query = _query(tx, wanted).where(Patient.home_branch_id == who.branch_id)
    return _fitting(services, tx, query, wanted)


def _query(tx: Session, wanted: Wanted) -> Select[tuple[Patient]]:
    hidden = select(PersonPair.hidden_id).where(PersonPair.hidden_id.is_not(None))  # one person's second record
    query = select(Patient).where(Patient.id.not_in(hidden)).order_by(Patient.registered_at, Patient.id)
    if wanted.numbers is not None:
        columns = {"phone": Patient.phone_index, "snils": Patient.snils_index, "policy": Patient.policy_index}
        query = query.where(or_(false(), *(columns[kind].in_(values) for kind, values in wanted.numbers.items())))
    if wanted.name:
        query = query.where(_has_name(wanted))
    if wanted.card:
        card = card_of(tx, wanted.card)
        query = query.where(Patient.id == card.patient_id if card is not None else false())
    return query


def _has_name(wanted: Wanted) -> ColumnElement[bool]:
    new = Patient.name_index.in_(wanted.name_indexes)
    if wanted.old_index is None:
        return new
    return or_(new, and_(Patient.name_index.is_(None), Patient.name_birth_index == wanted.old_index))


def _fitting(services: Services, tx: Session, query: Select[tuple[Patient]], wanted: Wanted) -> list[Patient]:
    rows = tx.scalars(query.limit(4 * SHOWN_MOST)).all()
    found = [row for row in rows if not wanted.name or _is_meant(services, tx, row, wanted)][: SHOWN_MOST + 1]
    if wanted.card and found and _has_ended(tx, wanted.card):
        raise Conflict("card_ended")
    return found


def _has_ended(tx: Session, typed: str) -> bool:
    card = card_of(tx, typed)
    return card is not None and card.revoked_at is not None


def _is_meant(services: Services, tx: Session, row: Patient, wanted: Wanted) -> bool:
    """Tell whether a row of the right name and year has the typed patronymic and birth date; either side may lack them."""
    try:
        identity = services.vault.open(tx, row, "identity")
        born = Birth.of(identity["birth_date"])
    except (Unsealable, KeyError, ValueError):
        return False
    return wanted.born is not None and born.may_be(wanted.born) and _has_patronymic(identity, wanted.name)


def _has_patronymic(identity: Mapping[str, str], typed: str) -> bool:
    """Tell whether what was typed beside the two names, in whatever order, is the patronymic."""
    patronymic, rest = name_key(identity.get("patronymic") or ""), name_key(typed).split()
    for word in name_key(_two_names(identity)).split():
        if word in rest:
            rest.remove(word)
    return not rest or not patronymic or " ".join(rest) == patronymic


def _two_names(identity: Mapping[str, str]) -> str:
    return f"{identity['family_name']} {identity['given_name']}"


def _hint(services: Services, tx: Session, row: Patient) -> PersonHint:
    identity = services.vault.open(tx, row, "identity")
    living = select(Card.id).where(Card.patient_id == row.id, Card.revoked_at.is_(None)).limit(1)
    return PersonHint(
        row.id, rules.masked_name(identity), Birth.of(identity["birth_date"]),
        rules.masked_phone(services.vault.open(tx, row, "contact").get("phone", "")), row.registered_at,
        tx.scalar(living) is not None,
    )  # fmt: skip


def _refuse_many_searches(services: Services, tx: Session, who: Principal) -> None:
    if _searches(services, tx, who) > SEARCHES_AN_HOUR:  # this search's own row is counted
        raise TooMany("too_many_searches", retry_after_s=600)


def _searches(services: Services, tx: Session, who: Principal) -> int:
    since = services.clock() - timedelta(hours=1)
    mine = (AuditRow.actor_id == who.id, AuditRow.action == "patient.find", AuditRow.at > since)
    return tx.scalar(select(func.count()).where(*mine)) or 0


# --- before registering -------------------------------------------------------------------------------------------


def refuse_likely_known(
    services: Services, who: Principal, subject: Subject, identity: dict[str, str], indexes: dict[str, Any]
) -> None:  # fmt: skip
    """Raise MaybeKnown when the branch has people of this name and birth date, KnownElsewhere when another branch has the
    one of this name, birth date and document. Showing them is a search like another; who has used up the hour's is shown
    nobody and may register: the coordinator's list has the pair.
    """
    wanted = _of_identity(services, identity, indexes)
    with services.act(who, "patient.register", subject) as tx:
        if tx.get(Patient, subject.patient_id) is not None or _searches(services, tx, who) >= SEARCHES_AN_HOUR:
            return
        by_name = Wanted(name=wanted.name, born=wanted.born, name_indexes=wanted.name_indexes)
        people = [_hint(services, tx, row) for row in _people(services, tx, who, by_name)]
        there = None if people else _elsewhere(services, tx, who, wanted)
        if people or there:
            services.allow(tx, who, "patient.find", Subject(branch_id=who.branch_id))
    if people:
        raise MaybeKnown(people)
    if there is not None:
        raise KnownElsewhere(there, wanted)


def _of_identity(services: Services, identity: dict[str, str], indexes: dict[str, Any]) -> Wanted:
    """Return the search for who is registered now, also with the two names in each other's field."""
    documents = {name: [indexes[f"{name}_index"]] for name in DOCUMENTS if indexes[f"{name}_index"]}
    born = Birth.of(identity["birth_date"])
    turned = _name_index(services, f"{identity['given_name']} {identity['family_name']}", born)
    return Wanted(
        numbers=documents or None, name=rules.full_name(identity), born=born, name_indexes=[indexes["name_index"], turned],
    )  # fmt: skip


# --- another branch's -----------------------------------------------------------------------------------------------


def _elsewhere(services: Services, tx: Session, who: Principal, wanted: Wanted) -> Patient | None:
    """Return the one person of another branch whose name, birth date and document were all typed; else None."""
    if not (wanted.name and wanted.has_document):
        return None
    documents = {kind: values for kind, values in (wanted.numbers or {}).items() if kind in DOCUMENTS}
    exact = Wanted(documents if wanted.numbers is not None else None, wanted.card, wanted.name, wanted.born,
                   wanted.name_indexes, wanted.old_index)  # fmt: skip
    rows = _fitting(services, tx, _query(tx, exact).where(Patient.home_branch_id != who.branch_id), exact)
    exactly = [row for row in rows if _born(services, tx, row) == wanted.born]
    return exactly[0] if len(exactly) == 1 else None


def _born(services: Services, tx: Session, row: Patient) -> Birth:
    return Birth.of(services.vault.open(tx, row, "identity")["birth_date"])


def take_over(
    services: Services, who: Principal, *, number: str = "", card: str = "", name: str, born: Birth | date | None
) -> UUID:
    """Make the own branch the home of the person whom name, birth date and document name; return the id. What the other
    branch has under way with the person stays there. Raises NotFound, Conflict("visit_elsewhere_open").
    """
    wanted = _wanted(services, who, number, card, name, born)
    with services.act(who, "patient.find", Subject(branch_id=who.branch_id)) as tx:
        _refuse_many_searches(services, tx, who)
        row = _elsewhere(services, tx, who, wanted)
        if row is None:
            raise NotFound()
        _refuse_open_visit(services, tx, row)
        services.allow(tx, who, "patient.take_over", Subject(patient_id=row.id, branch_id=who.branch_id))
        left = Subject(patient_id=row.id, branch_id=row.home_branch_id)
        audit.record(tx, services.clock(), who, "patient.take_over", left, allowed=True, reason="left_branch")
        assert who.branch_id is not None
        row.home_branch_id = who.branch_id
        return row.id


def _refuse_open_visit(services: Services, tx: Session, row: Patient) -> None:
    there = Principal(id=None, role="clerk", branch_id=row.home_branch_id)
    open_visit = services.relations.get("open_visit")
    if open_visit is not None and open_visit.holds(tx, there, Subject(patient_id=row.id)):
        raise Conflict("visit_elsewhere_open")
