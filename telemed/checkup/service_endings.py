"""The ends of a visit as the counter sees them, and taking one back within half a minute."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.booking import service as booking
from telemed.branches import service as branches
from telemed.checkup import rules
from telemed.checkup.events import VisitReopened
from telemed.checkup.models import Visit
from telemed.errors import Conflict, NotFound
from telemed.patients import service as patients
from telemed.services import Services


@dataclass(frozen=True)
class EndedVisit:
    """A visit whose end can still be taken back. `left_s`: for how many seconds."""

    id: UUID
    patient_id: UUID
    ending: str
    left_s: int


def just_ended(services: Services, who: Principal) -> list[EndedVisit]:
    """Return the branch's visits that ended within the last half minute, the newest first."""
    now = services.clock()
    with services.look(who, "visit.read", Subject(branch_id=who.branch_id)) as tx:
        rows = tx.scalars(
            select(Visit)
            .where(Visit.branch_id == who.branch_id, Visit.closed_at >= now - rules.UNDO_WITHIN)
            .order_by(Visit.closed_at.desc())
        )
        return [
            EndedVisit(
                row.id, row.patient_id, row.ending or "seen",
                int((rules.UNDO_WITHIN - (now - row.closed_at)).total_seconds()) if row.closed_at else 0,
            )
            for row in rows
        ]  # fmt: skip


def reopen(services: Services, tx: Session, visit_id: UUID, booking_id: UUID | None = None) -> Visit:
    """Take the end of a visit back inside the caller's transaction; return the visit. `booking_id`: the booking that it
    gave back. Raises Conflict("too_late_to_undo"), or ("corner_busy") when the next patient sits there already, or
    ("consent_withdrawn").
    """
    visit = tx.get(Visit, visit_id, with_for_update=True)
    if visit is None:
        raise NotFound()
    if visit.state != "closed" or not rules.may_undo(visit.closed_at, services.clock()):
        raise Conflict("too_late_to_undo")
    patients.refuse_withdrawn(tx, visit.patient_id, "care")
    if _is_place_taken(tx, visit):
        raise Conflict("corner_busy")
    visit.state, visit.closed_at, visit.ending = "ready" if visit.ready_at else "open", None, None
    if visit.booking_id is not None:
        booking.mark_back(services, tx, visit.booking_id)
    elif booking_id is not None:
        booking.mark_arrived(services, tx, booking_id)
        visit.booking_id = booking_id
    branches.order_gateway(
        services, tx, visit.branch_id, "open_visit", {"visit_id": str(visit.id)}, visit.gateway_id
    )  # fmt: skip
    services.publish(tx, VisitReopened(visit.id, visit.patient_id, visit.branch_id, services.clock()))
    return visit


def _is_place_taken(tx: Session, visit: Visit) -> bool:
    same = [Visit.patient_id == visit.patient_id]
    same += [Visit.corner_id == visit.corner_id] if visit.corner_id else []
    same += [Visit.gateway_id == visit.gateway_id] if visit.gateway_id else []
    return tx.scalar(select(Visit.id).where(Visit.state.in_(rules.LIVING), or_(*same)).limit(1)) is not None
