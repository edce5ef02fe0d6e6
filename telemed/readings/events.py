"""What happened to readings: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class ReadingStored:
    """A reading entered a patient's record. `status`: usable, questionable, not_a_result."""

    reading_id: UUID
    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    kind: str
    status: str
    at: datetime


@dataclass(frozen=True)
class ReadingQuarantined:
    """A reading could not be given to a patient."""

    item_id: UUID
    branch_id: UUID
    reason: str
    at: datetime


@dataclass(frozen=True)
class ReadingClaimed:
    """Somebody asked to give a reading of the tray to a visit, or a second person decided. `status`: asked, confirmed,
    refused.
    """

    item_id: UUID
    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    status: str
    at: datetime


@dataclass(frozen=True)
class TriageChanged:
    """A visit's urgency was found, or found anew."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    level: str
    at: datetime


@dataclass(frozen=True)
class StripUnclear:
    """A strip came of which nobody knows what it measured; as glucose its number would be urgent."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class SeriesComplete:
    """All measurements that the protocol asks for are in the record."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class VisitGivenBack:
    """The readings of a visit that was taken for another person's are in the patient's record again."""

    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime
