"""Invitations, doctors and their shifts, bookings, and the cells they occupy."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Doctor(Base):
    """A doctor who can be booked; the id is the account's."""

    __tablename__ = "doctor"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    region_id: Mapped[UUID] = mapped_column(index=True)
    specialty: Mapped[str]
    display_name: Mapped[str]
    phone: Mapped[str]


class Shift(Base):
    """A stretch of time in which a doctor takes video check-ups of `slot_minutes` each."""

    __tablename__ = "shift"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    doctor_id: Mapped[UUID] = mapped_column(ForeignKey("doctor.id"), index=True)
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime]
    slot_minutes: Mapped[int]


class Invitation(Base):
    """A patient we want to see. `outcome`: None, booked, refused (with `refusal`), not_reached. Sealed `clinical`:
    {reason}, where a doctor gave one. The plain `reason` is of an older release; `service_reasons` seals it, and
    nothing writes a new one.
    """

    __tablename__ = "invitation"
    __sealed__ = {"clinical": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    reason: Mapped[str] = mapped_column(default="")
    clinical: Mapped[bytes | None] = sealed_section()
    clinical_rev: Mapped[int] = section_revision()
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]
    outcome: Mapped[str | None]
    refusal: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    outcome_at: Mapped[datetime | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class Booking(Base):
    """Doctor, corner, kit and patient for one stretch of time. `status` is the table in booking/rules.py.
    `needs_video`: the doctor must see the patient, a talk by voice would be in vain.
    """

    __tablename__ = "booking"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    corner_id: Mapped[UUID] = mapped_column(ForeignKey("corner.id"))
    kit_id: Mapped[UUID] = mapped_column(ForeignKey("kit.id"))
    doctor_id: Mapped[UUID] = mapped_column(ForeignKey("doctor.id"), index=True)
    invitation_id: Mapped[UUID | None] = mapped_column(ForeignKey("invitation.id"))
    kind: Mapped[str]
    starts_at: Mapped[datetime] = mapped_column(index=True)
    ends_at: Mapped[datetime]
    status: Mapped[str]
    hold_until: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
    ended_code: Mapped[str | None]
    needs_video: Mapped[bool] = mapped_column(default=False, server_default=false())


class Occupancy(Base):
    """One resource in one 5-minute cell. The primary key is the judge of every double booking."""

    __tablename__ = "occupancy"

    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    cell: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("booking.id", ondelete="CASCADE"), index=True)
