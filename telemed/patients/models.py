"""Patients, their cards and their consents."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Patient(Base):
    """A person. Sealed `identity`: {family_name, given_name, patronymic, birth_date (a day or a year), sex, snils, policy};
    sealed `contact`: {phone, address, postal_index}. Display preferences are plain. `name_index`: family name, given name
    and year of birth, so that a few people share one; `name_birth_index` is the form before it, for who is not indexed
    anew yet.
    """

    __tablename__ = "patient"
    __sealed__ = {"identity": "identity", "contact": "identity"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    home_branch_id: Mapped[UUID] = mapped_column(index=True)
    identity: Mapped[bytes | None] = sealed_section()
    identity_rev: Mapped[int] = section_revision()
    contact: Mapped[bytes | None] = sealed_section()
    contact_rev: Mapped[int] = section_revision()
    phone_index: Mapped[bytes | None] = mapped_column(index=True)
    snils_index: Mapped[bytes | None] = mapped_column(unique=True)
    policy_index: Mapped[bytes | None] = mapped_column(unique=True)
    name_birth_index: Mapped[bytes] = mapped_column(index=True)
    name_index: Mapped[bytes | None] = mapped_column(index=True)
    language: Mapped[str]
    type_size: Mapped[str]
    hard_of_hearing: Mapped[bool]
    registered_at: Mapped[datetime]
    registered_by: Mapped[UUID]

    @property
    def subject_id(self) -> UUID:
        return self.id


class Card(Base):
    """A printed card. Its QR holds a random 128-bit token; the table holds the SHA-256; a new card ends the old one."""

    __tablename__ = "card"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    issued_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class PeopleIndex(Base):
    """How far the people are indexed anew: one row a form of the index. `cursor` is the last patient looked at; who was
    erased or cannot be opened is skipped and counted.
    """

    __tablename__ = "people_index"

    form: Mapped[int] = mapped_column(primary_key=True)
    cursor: Mapped[UUID | None]
    total: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    erased: Mapped[int] = mapped_column(default=0)
    damaged: Mapped[int] = mapped_column(default=0)
    began_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class PersonQuestion(Base):
    """What a person must decide about a record. `number_taken`: the number in `field` that was typed for this patient
    stands with `other_id`; it was not stored with the patient, only here. Sealed `claim`: {number}. `verdict`, once
    decided: left (it stays where it is), moved (it is this patient's).
    """

    __tablename__ = "person_question"
    __table_args__ = (UniqueConstraint("patient_id", "field"),)
    __sealed__ = {"claim": "identity"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    field: Mapped[str]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    other_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    branch_id: Mapped[UUID] = mapped_column(index=True)
    claim: Mapped[bytes | None] = sealed_section()
    claim_rev: Mapped[int] = section_revision()
    asked_at: Mapped[datetime]
    asked_by: Mapped[UUID]
    verdict: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class PersonPair(Base):
    """Two records that look like one person, and what a person said: `same` or `different`. Of `same` the record
    `hidden_id` is found no more; it keeps all that it has.
    """

    __tablename__ = "person_pair"

    first_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    second_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    verdict: Mapped[str]
    hidden_id: Mapped[UUID | None] = mapped_column(index=True)
    decided_at: Mapped[datetime]
    decided_by: Mapped[UUID | None]


class Consent(Base):
    """An agreement for one purpose, in one version and language. Withdrawal keeps the row."""

    __tablename__ = "consent"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    purpose: Mapped[str]
    version: Mapped[str]
    language: Mapped[str]
    given_at: Mapped[datetime]
    recorded_by: Mapped[UUID]
    withdrawn_at: Mapped[datetime | None]
