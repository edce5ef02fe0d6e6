"""Prescriptions: a draft until the doctor signs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Prescription(Base):
    """`state`: draft, signed, cancelled. Sealed `clinical`: {items: [{code, inn, form, strength, quantity, directions,
    days}], basis}. `signature` is the doctor's Ed25519 over the canonical content; `postal` says whether the post may
    carry all of it, `postal_reason` why not.
    """

    __tablename__ = "prescription"
    __sealed__ = {"clinical": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    consultation_id: Mapped[UUID] = mapped_column(ForeignKey("consultation.id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"))
    doctor_id: Mapped[UUID]
    state: Mapped[str]
    postal: Mapped[bool | None]
    postal_reason: Mapped[str | None]
    clinical: Mapped[bytes | None] = sealed_section()
    clinical_rev: Mapped[int] = section_revision()
    signature: Mapped[bytes | None]
    key_id: Mapped[str | None]
    created_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id
