"""What patients told us: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class RatingGiven:
    """Somebody rated a visit or a parcel; nothing here says who."""

    rating_id: UUID
    kind: str
    branch_id: UUID
    score: int
    at: datetime


@dataclass(frozen=True)
class ComplaintFiled:
    """A patient complained; `responsible_id` answers by the due date."""

    complaint_id: UUID
    branch_id: UUID
    region_id: UUID
    responsible_id: UUID
    at: datetime


@dataclass(frozen=True)
class ComplaintAnswered:
    """The responsible person answered."""

    complaint_id: UUID
    branch_id: UUID
    at: datetime
