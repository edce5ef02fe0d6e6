"""Accounts, sign-in sessions, the audit chain, stored answers, and the deployment's own identity."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.crypto.vault import sealed_section, section_revision
from telemed.db import Base


class Deployment(Base):
    """One row: which installation this is. A new epoch after a restore makes devices send again what they hold."""

    __tablename__ = "deployment"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    epoch: Mapped[UUID]
    demo: Mapped[bool]
    created_at: Mapped[datetime]


class Account(Base):
    """A member of staff. Patients have no password: they show their card (see patients)."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    display_name: Mapped[str]
    password_hash: Mapped[str]
    branch_id: Mapped[UUID | None]
    region_id: Mapped[UUID | None]
    language: Mapped[str] = mapped_column(default="ru")
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class SignInSession(Base):
    """A revocable session. The browser holds the token, the table its SHA-256."""

    __tablename__ = "sign_in_session"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[UUID | None] = mapped_column(index=True)
    patient_id: Mapped[UUID | None] = mapped_column(index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SignInAttempt(Base):
    """A wrong try, kept under a hash of whom it was aimed at, for the rate limit."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    target_hash: Mapped[bytes] = mapped_column(index=True)
    at: Mapped[datetime]


class AuditRow(Base):
    """One decision: who did or tried what, to which pseudonym. Each row carries the hash of the one before."""

    __tablename__ = "audit"

    no: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime]
    actor_id: Mapped[UUID | None]
    role: Mapped[str]
    action: Mapped[str]
    subject: Mapped[dict[str, str]] = mapped_column(JSON)
    allowed: Mapped[bool]
    reason: Mapped[str]
    previous: Mapped[str]
    hash: Mapped[str]


class StoredAnswer(Base):
    """The claim of an `Idempotency-Key`, then its answer, so that a repeat gets the same one.

    `leased_until` stands while `attempt` is being worked on, and is empty once the answer is stored.
    """

    __tablename__ = "stored_answer"
    __table_args__ = (UniqueConstraint("actor_id", "route", "key"),)
    __sealed__ = {"answer": "delivery"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID]
    route: Mapped[str]
    key: Mapped[str]
    request_hash: Mapped[str]
    answer: Mapped[bytes | None] = sealed_section()
    answer_rev: Mapped[int] = section_revision()
    attempt: Mapped[int]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def subject_id(self) -> UUID:
        return self.actor_id


class Draft(Base):
    """Words of a form that were not sent, of one person about one subject. `ended_page` is the page that sent them: a
    save of that page that arrives later keeps nothing.
    """

    __tablename__ = "draft"
    __table_args__ = (UniqueConstraint("author_id", "form", "about"),)
    __sealed__ = {"words": "clinical"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    author_id: Mapped[UUID]
    form: Mapped[str]
    about: Mapped[str]
    words: Mapped[bytes | None] = sealed_section()
    words_rev: Mapped[int] = section_revision()
    ended_page: Mapped[str] = mapped_column(default="")
    saved_at: Mapped[datetime] = mapped_column(index=True)

    @property
    def subject_id(self) -> UUID:
        return self.author_id
