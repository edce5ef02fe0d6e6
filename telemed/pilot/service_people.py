"""Who reached which step of the journey in a period: people, not events. Pseudonyms only, and none leaves this package."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from telemed.booking.models import Booking, Invitation
from telemed.checkup.models import Visit
from telemed.checkup.rules import WRONG_PERSON
from telemed.consultation.models import Consultation
from telemed.delivery.models import Parcel
from telemed.feedback.models import RatingToken
from telemed.pilot import rules
from telemed.pilot.models import JourneyFact
from telemed.prescription.models import Prescription

People = Mapping[UUID, dict[str, set[UUID]]]
# Whose step a fact is: the thing it is about names its patient.
THINGS = {
    "invited": Invitation,
    "booked": Booking,
    "came": Visit,
    "measured": Visit,
    "consulted": Visit,
    "prescribed": Prescription,
    "delivered": Parcel,
}


def people_of(tx: Session, branch_ids: Collection[UUID], begins: datetime, ends: datetime) -> People:
    """Return by branch and step who reached it in the period, each step a part of the one before."""
    found: dict[UUID, dict[str, set[UUID]]] = defaultdict(lambda: defaultdict(set))
    for step in THINGS:
        for branch_id, person in tx.execute(_facts(step, branch_ids, begins, ends)):
            found[branch_id][step].add(person)
    for branch_id, person in tx.execute(_raters(branch_ids, begins, ends)):
        found[branch_id]["rated"].add(person)
    return {branch_id: rules.nested(steps) for branch_id, steps in found.items()}


def _facts(step: str, branch_ids: Collection[UUID], begins: datetime, ends: datetime) -> Select[tuple[UUID, UUID]]:
    thing = THINGS[step]
    # A thing that is gone still counts, as somebody of its own.
    person = func.coalesce(thing.patient_id, JourneyFact.about_id, type_=JourneyFact.about_id.type)
    query = (
        select(JourneyFact.branch_id, person)
        .outerjoin(thing, thing.id == JourneyFact.about_id)
        .where(
            JourneyFact.step == step, JourneyFact.branch_id.in_(branch_ids), JourneyFact.at >= begins, JourneyFact.at < ends
        )
        .distinct()
    )
    if thing is Visit:  # who sat there was somebody else
        query = query.where(or_(Visit.ending.is_(None), Visit.ending != WRONG_PERSON))
    return query


def _raters(branch_ids: Collection[UUID], begins: datetime, ends: datetime) -> Select[tuple[UUID, UUID]]:
    """Whose a rating is, is not known; that a ticket was used is, and it counts from when it was given."""
    return (
        select(RatingToken.branch_id, RatingToken.patient_id)
        .where(
            RatingToken.branch_id.in_(branch_ids), RatingToken.used_at.is_not(None), RatingToken.issued_at >= begins,
            RatingToken.issued_at < ends,
        )
        .distinct()
    )  # fmt: skip


def waits_of(tx: Session, branch_ids: Collection[UUID], begins: datetime, ends: datetime) -> dict[UUID, list[float]]:
    """Return by branch for how many minutes each case of the period waited at the corner until a doctor took it."""
    rows = tx.execute(
        select(Consultation.branch_id, Consultation.queued_at, Consultation.taken_at).where(
            Consultation.branch_id.in_(branch_ids), Consultation.taken_at >= begins, Consultation.taken_at < ends,
            Consultation.stored_at.is_(None),
        )
    )  # fmt: skip
    waits: dict[UUID, list[float]] = defaultdict(list)
    for branch_id, queued_at, taken_at in rows:
        waits[branch_id].append((taken_at - queued_at).total_seconds() / 60)
    return waits
