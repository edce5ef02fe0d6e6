"""What the gateways sent, the results in patients' records, the quarantine tray, the triage of each visit."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Transmission(Base):
    """One item of a gateway's numbered, hash-chained sequence. `status`: accepted, quarantined, rejected."""

    __tablename__ = "transmission"
    __table_args__ = (UniqueConstraint("gateway_id", "seq"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateway.id"))
    seq: Mapped[int]
    kind: Mapped[str]
    visit_id: Mapped[UUID | None]
    received_at: Mapped[datetime]
    hash: Mapped[str]
    status: Mapped[str]
    code: Mapped[str | None]
    stored_at: Mapped[datetime]


class Reading(Base):
    """A measurement in a patient's record, unless it is set aside (`aside_at`). `source`: gateway, doorstep, typed,
    simulated. `status`: usable, questionable, not_a_result. Sealed `clinical`: the RECORD that the gateway sealed (decoded
    values, raw packet, meter, reasons); None once it is erased.
    """

    __tablename__ = "reading"
    __sealed__ = {"clinical": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID | None] = mapped_column(unique=True)
    reading_key: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"))
    meter_id: Mapped[UUID | None] = mapped_column(ForeignKey("meter.id"))
    kind: Mapped[str]
    source: Mapped[str]
    status: Mapped[str]
    time_quality: Mapped[str]
    measured_at: Mapped[datetime]
    received_at: Mapped[datetime]
    stored_at: Mapped[datetime] = mapped_column(index=True)
    aside_at: Mapped[datetime | None]
    clinical: Mapped[bytes | None] = sealed_section()
    clinical_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


IN_RECORD = Reading.aside_at.is_(None)


class VisitSetAside(Base):
    """A visit that was opened for the wrong person: its readings are in nobody's record. `whose`: a code of
    rules.WHOSE. `decision`: erased or given_back. `booking_id`: whose booking goes on waiting.
    """

    __tablename__ = "visit_set_aside"
    # What must never happen: one person alone erases what was measured.
    __table_args__ = (CheckConstraint("decided_by IS NULL OR decided_by <> said_by", name="two_people_set_aside"),)

    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    region_id: Mapped[UUID] = mapped_column(ForeignKey("region.id"), index=True)
    whose: Mapped[str]
    said_by: Mapped[UUID]
    said_at: Mapped[datetime]
    booking_id: Mapped[UUID | None]
    cancel_asked_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    decision: Mapped[str | None]


class QuarantinedItem(Base):
    """A reading that belongs to nobody for certain, still sealed as it came; erased after 24 h. One person may claim it
    for a visit (`claim_reason` a code), another decides: `decision` is confirmed or refused. `source`: gateway, simulated.
    """

    __tablename__ = "quarantined_item"
    # What must never happen: one person alone gives a reading to a patient.
    __table_args__ = (CheckConstraint("decided_by IS NULL OR decided_by <> claimed_by", name="two_people"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateway.id"))
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    reason: Mapped[str]
    source: Mapped[str] = mapped_column(default="gateway", server_default="gateway")
    received_at: Mapped[datetime]
    erase_at: Mapped[datetime]
    item: Mapped[bytes | None]
    visit_id: Mapped[UUID | None] = mapped_column(index=True)
    claim_reason: Mapped[str | None]
    claimed_by: Mapped[UUID | None]
    claimed_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    reading_id: Mapped[UUID | None]


class PressureCount(Base):
    """How many usable upper pressures a branch measured on a day in two bands, for the doctored-values indicator. No
    value and no patient can be found in it; a count under 5 is not shown.
    """

    __tablename__ = "pressure_count"

    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    readings: Mapped[int] = mapped_column(default=0)
    from_130: Mapped[int] = mapped_column(default=0)
    from_140: Mapped[int] = mapped_column(default=0)


class CountedUpTo(Base):
    """Up to which stored reading the pressures are counted; one row."""

    __tablename__ = "counted_up_to"

    id: Mapped[int] = mapped_column(primary_key=True)
    stored_at: Mapped[datetime]


class Triage(Base):
    """The urgency of a visit by a named ruleset. `level`: GREEN, YELLOW, AMBER, RED, UNKNOWN."""

    __tablename__ = "triage"

    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    branch_id: Mapped[UUID]
    level: Mapped[str]
    ruleset: Mapped[str]
    at: Mapped[datetime]
