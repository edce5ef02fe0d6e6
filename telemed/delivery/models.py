"""Orders, parcels, custody, rounds, postmen's phones, and what those phones sent."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Order(Base):
    """Medicines to be packed for one patient. `state`: placed, packed, cancelled. Sealed `items`: what to pack (for the
    pharmacist); sealed `delivery`: {name, address, phone, place} (for dispatcher and postman).
    """

    __tablename__ = "medicine_order"
    __sealed__ = {"items": "clinical", "delivery": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    prescription_id: Mapped[UUID] = mapped_column(ForeignKey("prescription.id"), unique=True)
    visit_id: Mapped[UUID | None]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    region_id: Mapped[UUID] = mapped_column(index=True)
    state: Mapped[str]
    items: Mapped[bytes | None] = sealed_section()
    items_rev: Mapped[int] = section_revision()
    delivery: Mapped[bytes | None] = sealed_section()
    delivery_rev: Mapped[int] = section_revision()
    placed_at: Mapped[datetime]
    packed_at: Mapped[datetime | None]
    packed_by: Mapped[UUID | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class Parcel(Base):
    """An order under way; the row stands from the order on, so that the patient's slip can be printed at the visit.
    `state` is the transition table in delivery/rules.py. Sealed `proof`: {secret, code} for the patient's slip and
    page only; `proof_hash` is the SHA-256 of the secret, which the postman's phone holds. `code`: nine digits that can
    be spoken, made with the slip where a parcel has none yet; `code_wrong` counts the wrong ones. `holder`: pharmacy,
    branch, postman, patient, nobody. `recalled_at`: the prescription was cancelled when the parcel was already out.
    """

    __tablename__ = "parcel"
    __sealed__ = {"proof": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("medicine_order.id"), unique=True)
    number: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    branch_id: Mapped[UUID] = mapped_column(index=True)
    region_id: Mapped[UUID] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    holder: Mapped[str]
    postman_id: Mapped[UUID | None] = mapped_column(index=True)
    round_id: Mapped[UUID | None] = mapped_column(ForeignKey("postal_round.id"))
    proof: Mapped[bytes | None] = sealed_section()
    proof_rev: Mapped[int] = section_revision()
    proof_hash: Mapped[bytes]
    code_wrong: Mapped[int] = mapped_column(default=0, server_default="0")
    needs_document: Mapped[bool]
    weight_g: Mapped[int | None]
    placed_at: Mapped[datetime]
    packed_at: Mapped[datetime | None]
    given_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    verified: Mapped[bool | None]
    ended_code: Mapped[str | None]
    recalled_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class Round(Base):
    """One postman's day."""

    __tablename__ = "postal_round"
    __table_args__ = (UniqueConstraint("postman_id", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    postman_id: Mapped[UUID] = mapped_column(index=True)
    branch_id: Mapped[UUID]
    day: Mapped[date]
    created_at: Mapped[datetime]


class CustodyEvent(Base):
    """A step of a parcel: from whom to whom, by whom. A parcel's final step exists at most once."""

    __tablename__ = "custody_event"
    __table_args__ = (UniqueConstraint("parcel_id", "final_mark"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    parcel_id: Mapped[UUID] = mapped_column(ForeignKey("parcel.id"), index=True)
    kind: Mapped[str]
    from_state: Mapped[str]
    to_state: Mapped[str]
    from_holder: Mapped[str]
    to_holder: Mapped[str]
    actor_id: Mapped[UUID | None]
    postman_id: Mapped[UUID | None]
    device_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    happened_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    clock_suspect: Mapped[bool] = mapped_column(default=False)
    final_mark: Mapped[bool | None]  # True on the one final step, else NULL: NULLs do not clash


class Phone(Base):
    """A postman's phone that keeps a round offline."""

    __tablename__ = "phone"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    postman_id: Mapped[UUID] = mapped_column(index=True)
    registered_at: Mapped[datetime]
    last_sync_at: Mapped[datetime | None]
    watermark: Mapped[int] = mapped_column(default=0)
    revoked_at: Mapped[datetime | None]


class PhoneEvent(Base):
    """What a phone recorded with no network, as it came, and what became of it. Sealed `body`: the event."""

    __tablename__ = "phone_event"
    __table_args__ = (UniqueConstraint("device_id", "device_seq"),)
    __sealed__ = {"body": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("phone.id"))
    device_seq: Mapped[int]
    postman_id: Mapped[UUID]
    parcel_id: Mapped[UUID | None]
    body: Mapped[bytes | None] = sealed_section()
    body_rev: Mapped[int] = section_revision()
    body_hash: Mapped[str]
    status: Mapped[str]
    code: Mapped[str | None]
    received_at: Mapped[datetime]

    @property
    def subject_id(self) -> UUID:
        return self.postman_id


class PhoneClash(Base):
    """A second event under an id or number that was used before: never applied, never forgotten."""

    __tablename__ = "phone_clash"
    __table_args__ = (UniqueConstraint("event_id", "device_id", "body_hash"),)
    __sealed__ = {"body": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("phone.id"))
    device_seq: Mapped[int]
    postman_id: Mapped[UUID]
    body: Mapped[bytes | None] = sealed_section()
    body_rev: Mapped[int] = section_revision()
    body_hash: Mapped[str]
    code: Mapped[str]
    received_at: Mapped[datetime]

    @property
    def subject_id(self) -> UUID:
        return self.postman_id
