"""Visits and the steps of their measurement series."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Visit(Base):
    """A patient at the corner. `kind`: branch, doorstep, home, outreach. `state`: open, ready (for the doctor), closed.
    `ending`: rules.ENDINGS once closed; None on visits of an older release.
    Sealed `answers`: {symptoms: [code], question: str, medicines: str, allergies: str, fasting: bool|None,
    arm: left|right, cuff: small|medium|large, known_hypertension: bool|None, and once something was taken back earlier:
    [{at: moment, the answers of before that it changed}]}.
    `gateway_id` and `kit_id` bind the visit: what another gateway or another kit's meter gives is never this patient's.
    """

    __tablename__ = "visit"
    __sealed__ = {"answers": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    booking_id: Mapped[UUID | None] = mapped_column(ForeignKey("booking.id"), unique=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    corner_id: Mapped[UUID | None] = mapped_column(ForeignKey("corner.id"))
    gateway_id: Mapped[UUID | None] = mapped_column(ForeignKey("gateway.id"))
    kit_id: Mapped[UUID | None] = mapped_column(ForeignKey("kit.id", name="fk_visit_kit_id"))
    protocol: Mapped[str]
    identified_by: Mapped[str]
    opened_by: Mapped[UUID]
    opened_at: Mapped[datetime]
    answers: Mapped[bytes | None] = sealed_section()
    answers_rev: Mapped[int] = section_revision()
    answered_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    ending: Mapped[str | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class SeriesStep(Base):
    """One measurement that the protocol asks for. `state`: waiting, asked, done, repeat, skipped, not_needed. `advice`:
    what the clerk does about the last try (rules.ADVICE). `reading_id` names the reading that fulfilled the step.
    """

    __tablename__ = "series_step"
    __table_args__ = (UniqueConstraint("visit_id", "kind", "ordinal"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"))
    kind: Mapped[str]
    ordinal: Mapped[int]
    state: Mapped[str]
    not_before: Mapped[datetime]
    asked_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    arm: Mapped[str | None]
    tries: Mapped[int] = mapped_column(default=0)
    advice: Mapped[str | None]
    reading_id: Mapped[UUID | None]
