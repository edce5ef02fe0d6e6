"""What happened at the corner: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class VisitOpened:
    """A clerk opened a visit for an identified patient."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    booking_id: UUID | None
    at: datetime


@dataclass(frozen=True)
class SymptomsAnswered:
    """The questions before the numbers are answered, or answered anew."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class MeasurementAsked:
    """The patient was asked to measure now."""

    visit_id: UUID
    branch_id: UUID
    kind: str
    ordinal: int
    at: datetime


@dataclass(frozen=True)
class VisitReady:
    """The clerk's part is done; the doctor may take the case."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    booking_id: UUID | None
    at: datetime


@dataclass(frozen=True)
class VisitClosed:
    """The patient left the corner. `ending`: rules.ENDINGS."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime
    ending: str = "seen"


@dataclass(frozen=True)
class VisitReopened:
    """The end of a visit was taken back at once."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime
