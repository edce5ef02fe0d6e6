"""Use cases of the call list: whom to call, and how each call ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.booking import rules
from telemed.booking.events import InvitationAnswered, PatientInvited
from telemed.booking.models import Invitation
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.patients.models import Patient
from telemed.services import Services

CALLED_WITH = ("care", "notifications")  # who takes one of these consents back is called no more


@dataclass(frozen=True)
class InvitationView:
    """A patient to be called."""

    id: UUID
    patient_id: UUID
    patient_name: str
    phone: str
    attempts: int
    outcome: str | None
    refusal: str | None
    rests: bool


def invite(
    services: Services, who: Principal, patient_id: UUID, reason: str | None = None, invitation_id: UUID | None = None
) -> UUID:
    """Put a patient on the call list of the home branch, once: the same id, or a call that is still to be made, is the
    same invitation. A doctor must say why, and that is sealed; nobody else has a medical reason to pick.

    Raises Invalid for a reason that is missing, unknown or not this role's to give, Conflict("invitation_id_used") when
    the id belongs to another patient's, Conflict("consent_withdrawn") for who does not want to be called any more.
    """
    if who.role == "doctor" and reason not in rules.REASONS:
        raise Invalid(fields={"reason": "required"})
    if who.role != "doctor":
        if reason not in (None, rules.NO_MEDICAL_REASON):
            raise Invalid(fields={"reason": "invalid"})
        reason = None
    subject = patients.subject_of(services, patient_id)
    with services.act(who, "invitation.create", subject) as tx:
        # The patient's row is the queue for two presses of the button at the same moment.
        tx.get(Patient, patient_id, with_for_update=True)
        patients.refuse_withdrawn(tx, patient_id, *CALLED_WITH)
        known = tx.get(Invitation, invitation_id) if invitation_id else None
        if known is not None and known.patient_id != patient_id:
            raise Conflict("invitation_id_used")
        known = known or _open_invitation(tx, patient_id)
        if known is not None:
            _seal_reason(services, tx, known, reason)
            return known.id
        return _new_invitation(services, tx, who, subject, reason, invitation_id or new_id())


def _open_invitation(tx: Session, patient_id: UUID) -> Invitation | None:
    rows = tx.scalars(select(Invitation).where(Invitation.patient_id == patient_id))
    return next((row for row in rows if not rules.rests(row.attempts, row.outcome)), None)


def _new_invitation(
    services: Services, tx: Session, who: Principal, subject: Subject, reason: str | None, invitation_id: UUID
) -> UUID:
    assert who.id is not None
    assert subject.patient_id is not None
    assert subject.branch_id is not None
    now = services.clock()
    row = Invitation(
        id=invitation_id, patient_id=subject.patient_id, branch_id=subject.branch_id, clinical_rev=0,
        created_at=now, created_by=who.id, attempts=0,
    )  # fmt: skip
    _seal_reason(services, tx, row, reason)
    tx.add(row)
    services.publish(tx, PatientInvited(row.id, row.patient_id, row.branch_id, now))
    return row.id


def _seal_reason(services: Services, tx: Session, row: Invitation, reason: str | None) -> None:
    """Keep a doctor's reason with an invitation; the newest counts, a clerk's press takes none away."""
    if reason is not None:
        services.vault.seal(tx, row, "clinical", {"reason": reason})
        row.reason = ""


@dataclass(frozen=True)
class ReasonView:
    """Why a doctor wanted to see a patient, and when that was said. `reason` is a code of rules.REASONS."""

    invited_at: datetime
    reason: str


def invitation_reasons(services: Services, who: Principal, patient_id: UUID) -> list[ReasonView]:
    """Return for what a patient was invited, the newest first, those without a reason left out; audited."""
    with services.act(who, "invitation.read_reason", patients.subject_of(services, patient_id)) as tx:
        rows = tx.scalars(
            select(Invitation).where(Invitation.patient_id == patient_id).order_by(Invitation.created_at.desc()).limit(5)
        )
        # A row of an older release may not be sealed yet; its doctor reads it all the same.
        found = [(row.created_at, services.vault.open(tx, row, "clinical").get("reason") or row.reason) for row in rows]
    return [ReasonView(at, reason) for at, reason in found if reason in rules.REASONS]


def invitations(services: Services, who: Principal) -> list[InvitationView]:
    """Return the branch's call list with names and phones, those still to be called first; audited. Who took the consent
    back is on it no more from that moment, and again when it is given anew.
    """
    with services.act(who, "invitation.list", Subject(branch_id=who.branch_id, region_id=None)) as tx:
        rows = tx.scalars(
            select(Invitation).where(Invitation.branch_id == who.branch_id).order_by(Invitation.created_at).limit(200)
        ).all()
        views = [
            InvitationView(
                row.id, row.patient_id, patients.name_of(services, tx, row.patient_id),
                patients.contact_of(services, tx, row.patient_id).get("phone", ""), row.attempts,
                row.outcome, row.refusal, rules.rests(row.attempts, row.outcome),
            )
            for row in rows
            if not any(patients.is_withdrawn(tx, row.patient_id, purpose) for purpose in CALLED_WITH)
        ]  # fmt: skip
    return sorted(views, key=lambda view: view.rests)


def answer_invitation(
    services: Services, who: Principal, invitation_id: UUID, outcome: str, refusal: str | None = None
) -> None:
    """Record how a call ended: refused with a reason, or not reached (three times, then it rests). `booked` is recorded
    by the booking itself.
    """
    if outcome not in ("refused", "not_reached"):
        raise Invalid(fields={"outcome": "required"})
    if outcome == "refused" and refusal not in rules.REFUSALS:
        raise Invalid(fields={"refusal": "required"})
    with services.db.read() as tx:
        row = tx.get(Invitation, invitation_id)
        if row is None:
            raise NotFound()
        subject = Subject(patient_id=row.patient_id, branch_id=row.branch_id)
    with services.act(who, "invitation.answer", subject) as tx:
        row = tx.get(Invitation, invitation_id, with_for_update=True)
        assert row is not None
        if rules.rests(row.attempts, row.outcome):
            raise Conflict("invitation_over")
        _answer(services, tx, row, outcome, refusal if outcome == "refused" else None)


def invitation_for(tx: Session, invitation_id: UUID | None, patient_id: UUID) -> UUID | None:
    """Return the id if it is an invitation of this patient, else None."""
    row = tx.get(Invitation, invitation_id) if invitation_id else None
    return row.id if row is not None and row.patient_id == patient_id else None


def note_booked(services: Services, tx: Session, invitation_id: UUID | None) -> None:
    """Record that a call ended with a booking; inside the booking's transaction."""
    row = tx.get(Invitation, invitation_id, with_for_update=True) if invitation_id else None
    if row is not None and row.outcome != "booked":
        _answer(services, tx, row, "booked", None)


def _answer(services: Services, tx: Session, row: Invitation, outcome: str, refusal: str | None) -> None:
    row.attempts += 1
    row.outcome, row.refusal, row.outcome_at = outcome, refusal, services.clock()
    services.publish(tx, InvitationAnswered(row.id, row.branch_id, outcome, row.outcome_at))
