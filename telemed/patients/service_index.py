"""Index everybody anew who was indexed in an older form: a job of the start, in portions, each person with an audit row.

Old and new index stand side by side: whoever is not reached yet is found under the old one. Nobody is merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Subject
from telemed.crypto.envelope import Unsealable
from telemed.crypto.keys import SubjectKey
from telemed.patients import rules
from telemed.patients.events import PeopleLeftToIndex
from telemed.patients.models import Patient, PeopleIndex
from telemed.patients.rules_birth import Birth
from telemed.services import Services

FORM = 2  # of the index: the first had no normal form of a name
AT_ONCE = 8  # in one transaction, for which other writers wait: an index is slow on purpose
log = structlog.get_logger()


@dataclass(frozen=True)
class Progress:
    """How many people are indexed in the newest form, out of how many; who was skipped and why."""

    total: int
    done: int
    erased: int
    damaged: int
    is_over: bool

    @property
    def seen(self) -> int:
        return self.done + self.erased + self.damaged


def index_more_people(services: Services, tx: Session, after: UUID | None = None) -> None:
    """Index the portion behind `after` and ask for the next one as a job of its own; `after` None begins or goes on. Does
    nothing once it is over, and nothing twice: a portion that another run has done is not its turn.
    """
    state = _state(services, tx)
    if state.finished_at is not None or (after is not None and state.cursor != after):
        return
    query = select(Patient).where(Patient.name_index.is_(None)).order_by(Patient.id).limit(AT_ONCE)
    rows = tx.scalars(query.where(Patient.id > state.cursor) if state.cursor else query).all()
    for row in rows:
        outcome = _index(services, tx, row)
        setattr(state, outcome, getattr(state, outcome) + 1)
        state.cursor = row.id
        subject = Subject(patient_id=row.id, branch_id=row.home_branch_id)
        audit.record(tx, services.clock(), SYSTEM, "patient.index", subject, allowed=True, reason=f"index_{outcome}")
    log.info("patients.indexed", done=state.done, erased=state.erased, damaged=state.damaged, total=state.total)
    if len(rows) < AT_ONCE:
        state.finished_at = services.clock()
    else:
        services.publish(tx, PeopleLeftToIndex(rows[-1].id, services.clock()))


def _state(services: Services, tx: Session) -> PeopleIndex:
    state = tx.get(PeopleIndex, FORM, with_for_update=True)
    left = select(func.count()).select_from(Patient).where(Patient.name_index.is_(None))
    if state is None:
        state = PeopleIndex(form=FORM, total=tx.scalar(left) or 0, done=0, erased=0, damaged=0, began_at=services.clock())
        tx.add(state)
        tx.flush()
    return state


def _index(services: Services, tx: Session, row: Patient) -> str:
    """Index one person; return done, erased or damaged."""
    try:
        row.name_index = index_of(services, services.vault.open(tx, row, "identity"))
    except (Unsealable, KeyError, ValueError, TypeError):
        key = select(SubjectKey.version).where(SubjectKey.subject_id == row.id, SubjectKey.domain == "identity").limit(1)
        return "erased" if tx.scalar(key) is None else "damaged"
    return "done"


def index_of(services: Services, identity: dict[str, Any]) -> bytes:
    """Return the index of a name and a year of birth. Raises KeyError or ValueError for what is no identity."""
    name = f"{identity['family_name']} {identity['given_name']}"
    return services.index.of("patient.name_year", rules.name_and_year(name, Birth.of(identity["birth_date"]).year))


def progress(services: Services) -> Progress:
    """Return how far the people are indexed anew."""
    with services.db.read() as tx:
        return progress_in(tx)


def progress_in(tx: Session) -> Progress:
    """Return it inside the caller's transaction. Without a job yet, everybody without an index is still to be done."""
    state = tx.get(PeopleIndex, FORM)
    if state is not None:
        return Progress(state.total, state.done, state.erased, state.damaged, state.finished_at is not None)
    left = tx.scalar(select(func.count()).select_from(Patient).where(Patient.name_index.is_(None))) or 0
    return Progress(left, 0, 0, 0, is_over=left == 0)
