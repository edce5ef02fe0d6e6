"""One-time rating tokens, nameless ratings, complaints."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class RatingToken(Base):
    """The right to rate one visit or parcel once. Sealed `ticket`: {token} for the patient's page and slip."""

    __tablename__ = "rating_token"
    __table_args__ = (UniqueConstraint("kind", "about_id"),)
    __sealed__ = {"ticket": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    about_id: Mapped[UUID]
    patient_id: Mapped[UUID] = mapped_column(index=True)
    branch_id: Mapped[UUID]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    ticket: Mapped[bytes | None] = sealed_section()
    ticket_rev: Mapped[int] = section_revision()
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class Rating(Base):
    """An answer without a name: no column leads back to the token or the patient. The day, not the time, is kept.
    Sealed `words`: {text}, under the rating's own key.
    """

    __tablename__ = "rating"
    __sealed__ = {"words": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    branch_id: Mapped[UUID] = mapped_column(index=True)
    score: Mapped[int]
    helped: Mapped[str | None]
    day: Mapped[date]
    words: Mapped[bytes | None] = sealed_section()
    words_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.id


class Complaint(Base):
    """A complaint has a person who answers for it, a category and a due date. Sealed `words`: {text, contact}.
    `state`: open, answered.
    """

    __tablename__ = "complaint"
    __sealed__ = {"words": "delivery", "reply": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(index=True)
    region_id: Mapped[UUID] = mapped_column(index=True)
    category: Mapped[str]
    responsible_id: Mapped[UUID]
    state: Mapped[str]
    filed_at: Mapped[datetime]
    due_on: Mapped[date]
    answered_at: Mapped[datetime | None]
    words: Mapped[bytes | None] = sealed_section()
    words_rev: Mapped[int] = section_revision()
    reply: Mapped[bytes | None] = sealed_section()
    reply_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.patient_id
