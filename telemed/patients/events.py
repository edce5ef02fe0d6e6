"""What happened to a patient's record: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class PatientRegistered:
    """A clerk made a new record."""

    patient_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class ConsentGiven:
    """A patient agreed to one purpose."""

    patient_id: UUID
    purpose: str
    at: datetime


@dataclass(frozen=True)
class ConsentWithdrawn:
    """A patient took an agreement back."""

    patient_id: UUID
    purpose: str
    at: datetime


@dataclass(frozen=True)
class PeopleLeftToIndex:
    """A portion of the people was indexed anew, up to this patient; more are left."""

    patient_id: UUID
    at: datetime
