"""What a branch's gateway sent last and what became of each item; never a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Gateway
from telemed.readings.models import QuarantinedItem, Reading, Transmission
from telemed.services import Services

NEWEST = 6


@dataclass(frozen=True)
class Arrival:
    """One reading that arrived. `verdict`: accepted, duplicate, quarantined, conflict, rejected, with the reason in
    `code`; `kind`, `status` and `visit_id` only when it entered a record.
    """

    stored_at: datetime
    verdict: str
    code: str | None
    source: str | None
    kind: str | None
    status: str | None
    visit_id: UUID | None


def arrivals_of_branch(services: Services, who: Principal) -> list[Arrival]:
    """Return the newest readings that arrived from the branch's gateways, newest first."""
    with services.look(who, "meter.simulate", Subject(branch_id=who.branch_id)) as tx:
        rows = tx.execute(
            select(Transmission, Reading, QuarantinedItem.source)
            .join(Gateway, Gateway.id == Transmission.gateway_id)
            .outerjoin(Reading, Reading.event_id == Transmission.event_id)
            .outerjoin(QuarantinedItem, QuarantinedItem.event_id == Transmission.event_id)
            .where(Gateway.branch_id == who.branch_id, Transmission.kind == "reading")
            .order_by(Transmission.stored_at.desc(), Transmission.seq.desc())
            .limit(NEWEST)
        )
        return [
            Arrival(
                sent.stored_at, sent.status, sent.code, reading.source if reading else tray_source,
                reading.kind if reading else None, reading.status if reading else None,
                reading.visit_id if reading else None,
            )
            for sent, reading, tray_source in rows
        ]  # fmt: skip
