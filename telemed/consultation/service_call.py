"""Use cases of the call: who belongs to it, its relay, its steps, the chat beside it, the line before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from telemed.access.accounts import who_are
from telemed.access.relations import Principal, Subject
from telemed.access.roles import is_open_to
from telemed.booking.models import Doctor
from telemed.branches import service as branches
from telemed.consultation import rules
from telemed.consultation.events import (
    AskedInOver,
    CallStarted,
    MessageWritten,
    PatientAskedIn,
    PhoneAsked,
    PhoneChosen,
)
from telemed.consultation.line import judged_roughly
from telemed.consultation.media_client import MediaClient
from telemed.consultation.media_plane import MediaPlane
from telemed.consultation.models import CallStep, ChatMessage, Consultation
from telemed.consultation.relations import subject_of
from telemed.consultation.service_asked_in import is_asked_in
from telemed.db import Glance
from telemed.errors import Conflict, Forbidden, Invalid, NotFound, SignInNeeded
from telemed.ids import new_id
from telemed.prepared import ask
from telemed.rules_text import length
from telemed.services import Services


def phone_of_other_side(services: Services, case_id: UUID, role: str) -> str:
    """Return the number that the other side answers: the doctor's for the corner, the branch's for the doctor."""
    with services.db.read() as tx:
        case = tx.get(Consultation, case_id)
        if case is None:
            return ""
        if role == "doctor":
            return branches.branch_of(tx, case.branch_id).phone
        doctor = tx.get(Doctor, case.doctor_id) if case.doctor_id else None
        return doctor.phone if doctor else ""


JOIN = "consultation.join_call"
# What a call's every message asks of its case: plain columns, prepared once.
_case = Consultation.__table__.c
_CASE = select(
    _case.id, _case.visit_id, _case.patient_id, _case.branch_id, _case.region_id, _case.state, _case.doctor_id
).where(_case.id == bindparam("case"))


@dataclass(frozen=True)
class CallNow:
    """A call as it stands at this moment."""

    subject: Subject
    state: str
    doctor_id: UUID | None

    @property
    def is_on(self) -> bool:
        return self.state in rules.WITH_DOCTOR

    def is_for(self, who: Principal) -> bool:
        """Tell whether this doctor is the case's own; everybody else is judged by relations alone."""
        return who.role != "doctor" or self.doctor_id == who.id


def call_now(tx: Glance, case_id: UUID) -> CallNow:
    """Return how a call stands. Raises NotFound."""
    row = ask(tx, _CASE, {"case": case_id}).first()
    if row is None:
        raise NotFound()
    subject = Subject(
        patient_id=row.patient_id, branch_id=row.branch_id, region_id=row.region_id, visit_id=row.visit_id,
        consultation_id=row.id,
    )  # fmt: skip
    return CallNow(subject, row.state, row.doctor_id)


def join_call(services: Services, who: Principal, case_id: UUID) -> str:
    """Check on every event that `who` belongs to the call, and return the role in it. Raises Conflict after the end."""
    with services.refusals(), _in_call(services, case_id, lambda _now: who):
        return str(who.role)


def speak(services: Services, session: str, case_id: UUID, listeners: Collection[str]) -> set[str]:
    """Check that the person of a session token belongs to the call, and return which of the other tokens may hear it right
    now, all by the database at one moment. Used inside `services.refusals`. Raises Conflict after the end, and Forbidden
    before any look at the case for a role that is in no call.
    """
    people: dict[str, Principal] = {}

    def speaker(now: Glance) -> Principal:
        people.update(who_are(services, now, {session, *listeners}))
        if session not in people:
            raise SignInNeeded()
        if not is_open_to(JOIN, people[session].role):
            raise Forbidden()
        return people[session]

    with _in_call(services, case_id, speaker) as (now, call):
        return _who_may_hear(services, now, call, {token: people[token] for token in listeners if token in people})


def may_hear(services: Services, case_id: UUID, listeners: Collection[str]) -> set[str]:
    """Return which of these session tokens may hear the call right now; asked again for each message that goes out."""
    if not listeners:
        return set()
    with services.db.glance() as now:
        try:
            return _who_may_hear(services, now, call_now(now, case_id), who_are(services, now, listeners))
        except NotFound:
            return set()


@contextmanager
def _in_call(
    services: Services, case_id: UUID, find: Callable[[Glance], Principal]
) -> Iterator[tuple[Glance, CallNow]]:
    with services.db.glance() as now:
        who, call = find(now), call_now(now, case_id)
        services.check(now, who, JOIN, call.subject)
        if not call.is_on:
            raise Conflict("no_call_now")
        if not call.is_for(who):
            raise NotFound()
        yield now, call


def _who_may_hear(services: Services, now: Glance, call: CallNow, people: dict[str, Principal]) -> set[str]:
    if not call.is_on:
        return set()
    return {
        token for token, who in people.items() if call.is_for(who) and services.may(now, who, JOIN, call.subject)
    }


def note_call_step(services: Services, who: Principal, case_id: UUID, kind: str, reason: str | None = None) -> None:
    """Record what happened in the call; the first `heard` on either side starts it."""
    with services.act(who, "consultation.join_call", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        now, was_asked_in = services.clock(), is_asked_in(tx, case)
        tx.add(CallStep(id=new_id(), consultation_id=case_id, role=str(who.role), kind=kind, reason=reason, at=now))
        if kind in ("joined", "left") and is_asked_in(tx, case) is not was_asked_in:
            news = AskedInOver if was_asked_in else PatientAskedIn
            services.publish(tx, news(case.id, case.visit_id, case.branch_id, now))
        if kind in rules.MODES:
            before, case.mode = case.mode, rules.lowest([kind, *_mode_of_other(tx, case, str(who.role))])
            if "telephone" in (before, case.mode) and before != case.mode:
                services.publish(tx, PhoneChosen(case.id, case.visit_id, case.branch_id, now))
        if kind == "heard" and case.state == "taken":
            case.state, case.call_started_at = "in_call", now
            services.publish(tx, CallStarted(case.id, case.visit_id, case.branch_id, now))


def _mode_of_other(tx: Session, case: Consultation, role: str) -> list[str]:
    """Return the newest step of the ladder on the other side, if there is one since the case was taken."""
    query = select(CallStep.kind).where(
        CallStep.consultation_id == case.id, CallStep.role != role, CallStep.kind.in_(rules.MODES)
    )
    if case.taken_at is not None:
        query = query.where(CallStep.at >= case.taken_at)
    return list(tx.scalars(query.order_by(CallStep.at.desc()).limit(1)))


def note_first_heard(services: Services, who: Principal, case_id: UUID) -> None:
    """Record once per side that it hears or sees the other: the sign of a call that really runs."""
    with services.db.read() as tx:
        case = tx.get(Consultation, case_id)
        known = select(CallStep.id).where(
            CallStep.consultation_id == case_id, CallStep.role == who.role, CallStep.kind == "heard"
        )
        if case is not None and case.taken_at is not None:  # a case given back begins anew with the next doctor
            known = known.where(CallStep.at >= case.taken_at)
        if tx.scalar(known.limit(1)) is not None:
            return
    note_call_step(services, who, case_id, "heard")


def ask_for_phone(services: Services, who: Principal, visit_id: UUID, *, wanted: bool) -> None:
    """Let the corner ask to be called by telephone, or take it back; the queue says so at once. Raises NotFound before
    the case is queued, Conflict("case_ended") when no doctor can call any more.
    """
    with services.db.read() as tx:
        case_id = tx.scalar(select(Consultation.id).where(Consultation.visit_id == visit_id))
    if case_id is None:
        raise NotFound()
    with services.act(who, "consultation.ask_phone", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id, with_for_update=True)
        assert case is not None
        if case.state not in ("waiting", *rules.WITH_DOCTOR):
            raise Conflict("case_ended")
        if (case.phone_asked_at is not None) == wanted:
            return
        now = services.clock()
        case.phone_asked_at = now if wanted else None
        kind, reason = ("telephone", "asked") if wanted else ("video", "clerk")
        tx.add(CallStep(id=new_id(), consultation_id=case.id, role=str(who.role), kind=kind, reason=reason, at=now))
        services.publish(tx, PhoneAsked(case.id, case.visit_id, case.branch_id, case.region_id, now))


def write_message(services: Services, who: Principal, case_id: UUID, text: str, message_id: UUID | None = None) -> UUID:
    """Store a line of chat once and return its id. Raises Invalid, or Conflict when no call is on."""
    text = text.strip()
    if not text or length(text) > rules.MESSAGE_MAX:
        raise Invalid(fields={"text": "too_long" if text else "required"})
    with services.act(who, "consultation.chat", subject_of(services, case_id)) as tx:
        case = tx.get(Consultation, case_id)
        assert case is not None
        assert who.id is not None
        if case.state not in rules.WITH_DOCTOR:
            raise Conflict("no_call_now")
        known = tx.get(ChatMessage, message_id) if message_id else None
        if known is not None:
            if known.consultation_id != case.id or known.author_id != who.id:
                raise Conflict("message_id_used")
            return known.id
        row = ChatMessage(
            id=message_id or new_id(), consultation_id=case.id, patient_id=case.patient_id, author_id=who.id,
            author_role=str(who.role), at=services.clock(), words_rev=0,
        )  # fmt: skip
        services.vault.seal(tx, row, "words", {"text": text})
        tx.add(row)
        services.publish(tx, MessageWritten(case.id, row.id, row.at))
        return row.id


@dataclass(frozen=True)
class MessageView:
    id: UUID
    author_role: str
    at: datetime
    text: str


def messages(services: Services, who: Principal, case_id: UUID) -> list[MessageView]:
    """Return the chat of a case in order; audited."""
    with services.act(who, "consultation.chat", subject_of(services, case_id)) as tx:
        rows = tx.scalars(
            select(ChatMessage).where(ChatMessage.consultation_id == case_id).order_by(ChatMessage.at, ChatMessage.id)
        )
        return [
            MessageView(row.id, row.author_role, row.at, services.vault.open(tx, row, "words")["text"]) for row in rows
        ]


def plane_of(services: Services) -> MediaPlane:
    """Return the media plane of this deployment."""
    plane: MediaPlane = services.outside["media_plane"]
    return plane


def finish_line_check(
    services: Services, who: Principal, media: MediaClient | None, check_id: str, figures: dict[str, Any]
) -> dict[str, Any]:
    """Return the result of a line check; a clerk's is kept for the branch. Without `media` the page could only measure
    roughly. Raises NotFound when the media process saw no connection.
    """
    if media is None:
        result = judged_roughly(figures["rtt_ms"], figures["up_kbit_s"], figures["down_kbit_s"])
    else:
        result = {**media.report_line_check(check_id, figures), "is_rough": False}
    if who.role == "clerk" and who.branch_id is not None:
        record_line_check(services, who, who.branch_id, result)
    return result


def record_line_check(services: Services, who: Principal, branch_id: UUID, result: dict[str, Any]) -> str:
    """Keep a branch's line measurement; return its class."""
    with services.act(who, "branch.check_line", Subject(branch_id=branch_id)) as tx:
        branches.record_line_check(services, tx, branch_id, result)
        return str(result["line_class"])
