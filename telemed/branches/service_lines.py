"""A branch's line over time: what was measured, and what a booking may count on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches import lines
from telemed.branches import service as branches
from telemed.branches.models import LineCheck
from telemed.services import Services

SHOWN = 20


@dataclass(frozen=True)
class LineOverTime:
    """The class to count on, and the newest measurements as (at, class, slower direction in kbit/s)."""

    usual: str | None
    newest: list[tuple[datetime, str, int]]


def usual_line(tx: Session, branch_id: UUID, now: datetime) -> str | None:
    """Return the class that a booking may count on. Without a measurement of the last two weeks the one on the branch
    counts, however old: it is all that is known.
    """
    found = tx.scalars(
        select(LineCheck.line_class)
        .where(LineCheck.branch_id == branch_id, LineCheck.at >= now - lines.LOOKED_BACK)
        .order_by(LineCheck.at.desc())
        .limit(lines.COUNTED)
    ).all()
    return lines.usual(found) or branches.branch_of(tx, branch_id).line_class


def line_over_time(services: Services, who: Principal, branch_id: UUID) -> LineOverTime:
    """Return how the line of a branch was in the newest measurements."""
    with services.look(who, "branch.read", Subject(branch_id=branch_id)) as tx:
        rows = tx.scalars(
            select(LineCheck).where(LineCheck.branch_id == branch_id).order_by(LineCheck.at.desc()).limit(SHOWN)
        )
        newest = [(row.at, row.line_class, min(row.up_kbit_s, row.down_kbit_s)) for row in rows]
        return LineOverTime(usual_line(tx, branch_id, services.clock()), newest)
