"""Cases in the doctor's queue, their calls, chat and notes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Consultation(Base):
    """One encounter; its id never changes whatever happens to the call. `state` is the table in rules.py: waiting,
    taken, in_call, ended, abandoned. Sealed `note`: {complaint, findings, assessment, plan, basis}; sealed
    `addenda`: {lines: [{id, at, author_id, text}]}, what was added after the end, each line for good.
    """

    __tablename__ = "consultation"
    __sealed__ = {"note": "clinical", "addenda": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"), unique=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    region_id: Mapped[UUID] = mapped_column(index=True)
    booked_doctor_id: Mapped[UUID | None]
    doctor_id: Mapped[UUID | None] = mapped_column(index=True)
    handed_to_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(index=True)
    level: Mapped[str]
    mode: Mapped[str] = mapped_column(default="video")
    outcome: Mapped[str | None]
    queued_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    call_started_at: Mapped[datetime | None]
    phone_asked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    stored_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    told_by: Mapped[UUID | None]
    note: Mapped[bytes | None] = sealed_section()
    note_rev: Mapped[int] = section_revision()
    note_saved_at: Mapped[datetime | None]
    addenda: Mapped[bytes | None] = sealed_section()
    addenda_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class ChatMessage(Base):
    """A line of text in the call. Sealed `words`: {text}. `author_role`: doctor, clerk."""

    __tablename__ = "chat_message"
    __sealed__ = {"words": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    patient_id: Mapped[UUID]
    author_id: Mapped[UUID]
    author_role: Mapped[str]
    at: Mapped[datetime]
    words: Mapped[bytes | None] = sealed_section()
    words_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class CallStep(Base):
    """What happened in the call, with its reason code: joined, heard, left, a step of the ladder, code_differs, ..."""

    __tablename__ = "call_step"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    role: Mapped[str]
    kind: Mapped[str]
    reason: Mapped[str | None]
    at: Mapped[datetime]


class CallMinute(Base):
    """A minute of a call as one side's page measured it: figures only. The page makes the id, so that it counts once."""

    __tablename__ = "call_minute"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    role: Mapped[str]
    minute: Mapped[int]
    at: Mapped[datetime]
    seconds: Mapped[int]
    step: Mapped[str]
    cuts: Mapped[int]
    set_up_ms: Mapped[int | None]
    concealed_pct: Mapped[float | None]
    freezes: Mapped[int]
    frozen_s: Mapped[float]
    rtt_ms: Mapped[int]
    loss_pct: Mapped[float]
    out_kbit_s: Mapped[float]


class CallPhoto(Base):
    """A photograph taken at the corner on the doctor's request. Sealed `image`: {jpeg: base64}."""

    __tablename__ = "call_photo"
    __sealed__ = {"image": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    patient_id: Mapped[UUID]
    at: Mapped[datetime]
    image: Mapped[bytes | None] = sealed_section()
    image_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class CaseGap(Base):
    """A case that went to the doctors incomplete, or at once: what was missing, and the clerk's reason (codes of
    rules.py).
    """

    __tablename__ = "case_gap"

    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    missing: Mapped[str]
    despite: Mapped[str]
    noted_by: Mapped[UUID]
    at: Mapped[datetime]


class Handover(Base):
    """One doctor gave a case to another. Sealed `words`: {text}, what the next doctor must know."""

    __tablename__ = "case_handover"
    __sealed__ = {"words": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    patient_id: Mapped[UUID]
    from_id: Mapped[UUID]
    to_id: Mapped[UUID]
    at: Mapped[datetime]
    words: Mapped[bytes | None] = sealed_section()
    words_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id
