"""What happened to invitations and bookings: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class PatientInvited:
    """A patient is to be called and offered a check-up."""

    invitation_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class InvitationAnswered:
    """The call had an outcome: booked, refused or not_reached."""

    invitation_id: UUID
    branch_id: UUID
    outcome: str
    at: datetime


@dataclass(frozen=True)
class PlainReasonsLeft:
    """A portion of the reasons of an older release was sealed, up to this invitation; so many still stand in the clear."""

    invitation_id: UUID
    left: int
    at: datetime


@dataclass(frozen=True)
class VisitBooked:
    """Doctor, corner, kit and patient are booked together."""

    booking_id: UUID
    patient_id: UUID
    branch_id: UUID
    doctor_id: UUID
    starts_at: datetime
    at: datetime


@dataclass(frozen=True)
class BookingCancelled:
    """A booking was given up and its cells are free again."""

    booking_id: UUID
    branch_id: UUID
    doctor_id: UUID
    at: datetime


@dataclass(frozen=True)
class BookingMissed:
    """The patient did not come."""

    booking_id: UUID
    branch_id: UUID
    doctor_id: UUID
    at: datetime


@dataclass(frozen=True)
class BookingMoved:
    """A booking has a new time or doctor."""

    booking_id: UUID
    branch_id: UUID
    doctor_id: UUID
    starts_at: datetime
    at: datetime
