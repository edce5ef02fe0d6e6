"""Facts between a person and a thing. Slices that know the fact define the relation; bootstrap registers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, select

from telemed.db import Reads


@dataclass(frozen=True)
class Principal:
    """Who acts. `id` is the account, the patient of a shown card, or the gateway. `role` None is nobody signed in."""

    id: UUID | None
    role: str | None
    display_name: str = ""
    branch_id: UUID | None = None
    region_id: UUID | None = None
    patient_id: UUID | None = None
    session_id: UUID | None = None
    language: str | None = None


NOBODY = Principal(id=None, role=None)
SYSTEM = Principal(id=None, role="system")  # jobs; named in the audit, never signed in


@dataclass(frozen=True)
class Subject:
    """What is acted on: the ids that relations look at. The service fills in those it knows."""

    patient_id: UUID | None = None
    branch_id: UUID | None = None
    region_id: UUID | None = None
    visit_id: UUID | None = None
    consultation_id: UUID | None = None
    order_id: UUID | None = None
    parcel_id: UUID | None = None
    account_id: UUID | None = None
    item_id: UUID | None = None  # a reading in the tray

    def pseudonyms(self) -> dict[str, str]:
        """Return the ids that are set, as text, for the audit."""
        return {f.name: str(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) is not None}


NOTHING = Subject()


@dataclass(frozen=True)
class Relation:
    """A named fact. `holds` answers for one subject, by prepared statements alone; `subjects` selects the ids for which it
    holds, for lists.
    """

    name: str
    holds: Callable[[Reads, Principal, Subject], bool]
    subjects: Callable[[Principal], Select[Any]]


def _owns(_tx: Reads, who: Principal, subject: Subject) -> bool:
    return who.patient_id is not None and who.patient_id == subject.patient_id


def _nothing_but(who: Principal) -> Select[Any]:
    return select(literal(who.patient_id))


OWN = Relation("own", _owns, _nothing_but)
