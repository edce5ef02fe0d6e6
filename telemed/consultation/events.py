"""What happened in a consultation: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class CaseQueued:
    """A case waits for a doctor."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    level: str
    at: datetime


@dataclass(frozen=True)
class CaseAbandoned:
    """A case waits no longer: its visit was opened for the wrong person."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    at: datetime


@dataclass(frozen=True)
class CaseRaised:
    """A waiting or running case became more urgent."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    level: str
    at: datetime


@dataclass(frozen=True)
class CaseTaken:
    """A doctor took the case."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    doctor_id: UUID
    at: datetime


@dataclass(frozen=True)
class CaseStored:
    """The patient went home before a doctor came: the case waits for a written answer."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    at: datetime


@dataclass(frozen=True)
class CallStarted:
    """Both sides hear or see each other for the first time."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class PhoneAsked:
    """The corner asked to be called by telephone, or took that back."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    region_id: UUID
    at: datetime


@dataclass(frozen=True)
class PhoneChosen:
    """The talk came down to the telephone, or went up from it again."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class PatientAskedIn:
    """The doctor is in the call and waits there for the corner."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class AskedInOver:
    """The corner came into the call, or the doctor left it: nobody waits there any more."""

    consultation_id: UUID
    visit_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class MessageWritten:
    """A line of chat was stored."""

    consultation_id: UUID
    message_id: UUID
    at: datetime


@dataclass(frozen=True)
class PhotoStored:
    """A photograph of the call was stored."""

    consultation_id: UUID
    photo_id: UUID
    at: datetime


@dataclass(frozen=True)
class ConsultationEnded:
    """The doctor ended the consultation. `outcome`: treated, advised, referred, emergency, not_reached."""

    consultation_id: UUID
    visit_id: UUID
    patient_id: UUID
    branch_id: UUID
    region_id: UUID
    outcome: str
    at: datetime
