"""Use cases of feedback: the one-time right to rate, the nameless rating, complaints with a person and a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.models import Account
from telemed.access.relations import NOBODY, SYSTEM, Principal, Relation, Subject
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.crypto import tokens
from telemed.errors import Conflict, Invalid, NotFound
from telemed.feedback import rules
from telemed.feedback.events import ComplaintAnswered, ComplaintFiled, RatingGiven
from telemed.feedback.models import Complaint, Rating, RatingToken
from telemed.ids import new_id
from telemed.patients.models import Patient
from telemed.rules_keyboards import token_readings
from telemed.rules_text import by_name, length
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()


# --- rating -------------------------------------------------------------------------------------------------------


def offer(services: Services, tx: Session, kind: str, about_id: UUID, patient_id: UUID, branch_id: UUID) -> None:
    """Give the patient the right to rate one visit or parcel once. Called by jobs, inside their transaction."""
    known = select(RatingToken.id).where(RatingToken.kind == kind, RatingToken.about_id == about_id)
    if tx.scalar(known) is not None:
        return
    now, token = services.clock(), tokens.new_token()
    row = RatingToken(
        id=new_id(), kind=kind, about_id=about_id, patient_id=patient_id, branch_id=branch_id,
        token_hash=tokens.token_hash(token), ticket_rev=0, issued_at=now, expires_at=now + rules.TOKEN_LIFE,
    )  # fmt: skip
    services.vault.seal(tx, row, "ticket", {"token": token})
    tx.add(row)
    subject = Subject(patient_id=patient_id)
    audit.record(tx, now, SYSTEM, "rating.offer", subject, allowed=True, reason="job")


@dataclass(frozen=True)
class Ticket:
    """A right to rate that was not used yet."""

    kind: str
    token: str
    issued_at: datetime


def tickets_of_patient(services: Services, who: Principal) -> list[Ticket]:
    """Return the patient's unused rights to rate; audited."""
    with services.act(who, "patient.read", Subject(patient_id=who.patient_id)) as tx:
        rows = tx.scalars(
            select(RatingToken)
            .where(
                RatingToken.patient_id == who.patient_id,
                RatingToken.used_at.is_(None),
                RatingToken.expires_at > services.clock(),
            )
            .order_by(RatingToken.issued_at.desc())
        )
        return [Ticket(row.kind, services.vault.open(tx, row, "ticket")["token"], row.issued_at) for row in rows]


def rate(services: Services, token: str, score: int | None, helped: str | None, words: str) -> None:
    """Store a rating without a name and end its token. Raises Invalid, NotFound; a second use is NotFound too."""
    wrong = {}
    if score not in rules.SCORES:
        wrong["score"] = "required"
    if helped and helped not in rules.HELPED:
        wrong["helped"] = "invalid"
    if length(words) > rules.WORDS_MAX:
        wrong["words"] = "too_long"
    if wrong:
        raise Invalid(fields=wrong)
    # The token is the right; NOBODY is audited, so that no row says who rated.
    with services.act(NOBODY, "rating.give") as tx:
        ticket = _living(services, tx, token)
        now = services.clock()
        branch = branches.branch_of(tx, ticket.branch_id)
        rating = Rating(
            id=new_id(), kind=ticket.kind, branch_id=ticket.branch_id, score=score, helped=helped or None,
            day=now.astimezone(ZoneInfo(branch.zone)).date(), words_rev=0,
        )  # fmt: skip
        if words.strip():
            services.vault.seal(tx, rating, "words", {"text": words.strip()})
        tx.add(rating)
        # That it was used, not when: the time would lead from the patient's ticket to the rating of that moment.
        ticket.used_at = ticket.issued_at
        assert score is not None
        services.publish(tx, RatingGiven(rating.id, rating.kind, rating.branch_id, score, now))


def _living(services: Services, tx: Session, token: str) -> RatingToken:
    hashes = [tokens.token_hash(reading) for reading in token_readings(token)]
    row = tx.scalar(select(RatingToken).where(RatingToken.token_hash.in_(hashes)).with_for_update())
    if row is None:
        raise NotFound("rating_token_unknown")  # mistyped perhaps: nothing has ended
    if row.used_at is not None or row.expires_at <= services.clock():
        raise NotFound("rating_token_over")
    return row


@dataclass(frozen=True)
class RatingSummary:
    """A branch's ratings of one kind."""

    branch_id: UUID
    place: str
    kind: str
    count: int
    mean: float
    helped: int


def ratings_summary(services: Services, who: Principal, at_least: int) -> list[RatingSummary]:
    """Return means per branch and kind of the coordinator's region; groups under `at_least` are left out."""
    with services.look(who, "rating.read", Subject(region_id=who.region_id)) as tx:
        helped = func.sum(case((Rating.helped == "yes", 1), else_=0))
        rows = tx.execute(
            select(Branch.id, Branch.place, Rating.kind, func.count(), func.avg(Rating.score), helped)
            .join(Branch, Branch.id == Rating.branch_id)
            .where(Branch.region_id == who.region_id)
            .group_by(Branch.id, Branch.place, Rating.kind)
        ).all()
        return [
            RatingSummary(branch_id, place, kind, count, float(mean), int(yes or 0))
            for branch_id, place, kind, count, mean, yes in sorted(rows, key=lambda row: (by_name(row[1]), row[2]))
            if count >= at_least
        ]


# --- complaints ---------------------------------------------------------------------------------------------------


def file_complaint(
    services: Services, who: Principal, patient_id: UUID, category: str, text: str, complaint_id: UUID | None = None
) -> str:
    """Register a complaint with its responsible person and due date; return its number. The same `complaint_id` twice
    is one complaint. Raises Invalid, or Conflict("nobody_responsible").
    """
    wrong = {}
    if category not in rules.CATEGORIES:
        wrong["category"] = "required"
    if not text.strip():
        wrong["text"] = "required"
    elif length(text) > rules.WORDS_MAX:
        wrong["text"] = "too_long"
    if wrong:
        raise Invalid(fields=wrong)
    subject = _patient_subject(services, patient_id)
    with services.act(who, "complaint.file", subject) as tx:
        assert subject.branch_id is not None
        known = tx.get(Complaint, complaint_id) if complaint_id else None
        if known is not None and known.patient_id == patient_id:
            return known.number
        branch = branches.branch_of(tx, subject.branch_id)
        now = services.clock()
        today = now.astimezone(ZoneInfo(branch.zone)).date()
        row = Complaint(
            id=(complaint_id if known is None else None) or new_id(), number=_next_number(tx, today),
            patient_id=patient_id, branch_id=branch.id,
            region_id=branch.region_id, category=category, responsible_id=_responsible(tx, branch.region_id),
            state="open", filed_at=now, due_on=rules.due_on(today), words_rev=0, reply_rev=0,
        )  # fmt: skip
        services.vault.seal(tx, row, "words", {"text": text.strip()})
        tx.add(row)
        services.publish(tx, ComplaintFiled(row.id, row.branch_id, row.region_id, row.responsible_id, now))
        return row.number


def _patient_subject(services: Services, patient_id: UUID) -> Subject:
    with services.db.read() as tx:
        patient = tx.get(Patient, patient_id)
        if patient is None:
            raise NotFound()
        return Subject(patient_id=patient.id, branch_id=patient.home_branch_id)


def _next_number(tx: Session, today: date) -> str:
    prefix = f"{today:%Y%m}-"
    last = tx.scalar(select(func.max(Complaint.number)).where(Complaint.number.like(f"{prefix}%")))
    return f"{prefix}{int(last.removeprefix(prefix)) + 1 if last else 1:04d}"


def _responsible(tx: Session, region_id: UUID) -> UUID:
    """Return the region's coordinator with the fewest open complaints. Raises Conflict when there is none."""
    open_ = select(func.count()).where(Complaint.responsible_id == Account.id, Complaint.state == "open")
    found = tx.scalar(
        select(Account.id)
        .where(Account.role == "coordinator", Account.region_id == region_id, Account.disabled_at.is_(None))
        .order_by(open_.scalar_subquery(), Account.login)
        .limit(1)
    )
    if found is None:
        raise Conflict("nobody_responsible")
    return found


@dataclass(frozen=True)
class ComplaintView:
    """A complaint with its clock."""

    id: UUID
    number: str
    place: str
    category: str
    state: str
    text: str
    reply: str
    filed_at: datetime
    due_on: date
    is_late: bool
    responsible: str
    is_mine: bool


def complaints(services: Services, who: Principal) -> list[ComplaintView]:
    """Return the region's complaints, the most pressing first; audited."""
    with services.act(who, "complaint.list", Subject(region_id=who.region_id)) as tx:
        rows = tx.execute(
            select(Complaint, Branch, Account)
            .join(Branch, Branch.id == Complaint.branch_id)
            .join(Account, Account.id == Complaint.responsible_id)
            .where(Complaint.region_id == who.region_id)
            .order_by(Complaint.state.desc(), Complaint.due_on)
        ).all()
        return [_complaint_view(services, tx, who, *row) for row in rows]


def complaints_of_patient(services: Services, who: Principal) -> list[ComplaintView]:
    """Return the patient's own complaints, newest first; audited."""
    with services.act(who, "patient.read", Subject(patient_id=who.patient_id)) as tx:
        rows = tx.execute(
            select(Complaint, Branch, Account)
            .join(Branch, Branch.id == Complaint.branch_id)
            .join(Account, Account.id == Complaint.responsible_id)
            .where(Complaint.patient_id == who.patient_id)
            .order_by(Complaint.filed_at.desc())
        ).all()
        return [_complaint_view(services, tx, who, *row) for row in rows]


def _complaint_view(
    services: Services, tx: Session, who: Principal, row: Complaint, branch: Branch, responsible: Account
) -> ComplaintView:
    today = services.clock().astimezone(ZoneInfo(branch.zone)).date()
    answered = row.state == "answered"
    return ComplaintView(
        id=row.id, number=row.number, place=branch.place, category=row.category, state=row.state,
        text=services.vault.open(tx, row, "words")["text"],
        reply=services.vault.open(tx, row, "reply").get("text", ""), filed_at=row.filed_at, due_on=row.due_on,
        is_late=rules.is_late(row.due_on, today, answered=answered), responsible=responsible.display_name,
        is_mine=row.responsible_id == who.id,
    )  # fmt: skip


def answer_complaint(services: Services, who: Principal, complaint_id: UUID, text: str) -> None:
    """Store the reply. Raises Invalid, or Conflict("complaint_answered") the second time."""
    if not text.strip() or length(text) > rules.WORDS_MAX:
        raise Invalid(fields={"text": "too_long" if text.strip() else "required"})
    with services.db.read() as tx:
        row = tx.get(Complaint, complaint_id)
        if row is None:
            raise NotFound()
        subject = Subject(branch_id=row.branch_id, region_id=row.region_id)
    with services.act(who, "complaint.answer", subject) as tx:
        row = tx.get(Complaint, complaint_id, with_for_update=True)
        assert row is not None
        if row.state == "answered":
            raise Conflict("complaint_answered")
        services.vault.seal(tx, row, "reply", {"text": text.strip()})
        row.state, row.answered_at = "answered", services.clock()
        services.publish(tx, ComplaintAnswered(row.id, row.branch_id, row.answered_at))
