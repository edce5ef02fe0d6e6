"""The dispatcher's use cases: rounds, the hand-over to the postman, returns. Parcels only, never what is inside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.models import Account
from telemed.access.relations import Principal, Subject
from telemed.branches.models import Branch
from telemed.branches.service_zones import zone_in
from telemed.delivery import rules
from telemed.delivery.models import CustodyEvent, Parcel, PhoneEvent, Round
from telemed.delivery.service_custody import flags_of, locked, move, subject_of
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.rules_text import by_name
from telemed.services import Services

PLAN_AHEAD = timedelta(days=14)
SHOWN_AFTER_END = timedelta(days=1)


@dataclass(frozen=True)
class ParcelRow:
    """A line of the dispatcher's lists. `trouble`: why the last try failed."""

    id: UUID
    number: str
    state: str
    branch_name: str
    place: str
    flags: list[str]
    weight_g: int | None
    postman_id: UUID | None
    postman_name: str
    round_id: UUID | None
    day: date | None
    since: datetime
    trouble: str | None


@dataclass(frozen=True)
class Unclear:
    """What a phone reported and the server could not apply: somebody must ask the postman."""

    event_id: UUID
    parcel_number: str
    postman_name: str
    status: str
    code: str
    received_at: datetime


@dataclass(frozen=True)
class Postman:
    """Who may be given a round. `is_own`: of the dispatcher's own branch."""

    id: UUID
    name: str
    branch_name: str
    is_own: bool


@dataclass(frozen=True)
class Dispatch:
    """The dispatcher's desk."""

    waiting: list[ParcelRow]
    assigned: list[ParcelRow]
    out: list[ParcelRow]
    ended: list[ParcelRow]
    unclear: list[Unclear]
    postmen: list[Postman]
    today: date
    to_be_packed: int


def parcels_for_dispatch(services: Services, who: Principal) -> Dispatch:
    """Return the region's parcels by what the dispatcher has to do with them."""
    now = services.clock()
    with services.look(who, "parcel.list", Subject(region_id=who.region_id)) as tx:
        recent = Parcel.state.not_in(rules.FINAL) | (Parcel.ended_at >= now - SHOWN_AFTER_END)
        parcels = tx.scalars(
            select(Parcel).where(Parcel.region_id == who.region_id, recent).order_by(Parcel.placed_at, Parcel.number)
        ).all()
        rows = _rows(tx, [p for p in parcels if not p.state.startswith("collect") and p.state != "ordered"])
        return Dispatch(
            waiting=[row for row in rows if row.state == "packed" and row.round_id is None],
            assigned=[row for row in rows if row.state == "packed" and row.round_id is not None],
            out=[row for row in rows if row.state in rules.WITH_POSTMAN],
            ended=[row for row in rows if row.state in rules.FINAL],
            unclear=_unclear(tx, who.region_id, now - 7 * SHOWN_AFTER_END),
            postmen=_choice_of_postmen(tx, who),
            today=_today(tx, who, now),
            to_be_packed=sum(parcel.state == "ordered" for parcel in parcels),
        )


def assign(
    services: Services, who: Principal, parcel_id: UUID, postman_id: UUID | None, day: date | None = None
) -> None:
    """Put a packed parcel on a postman's round. Raises Invalid or Conflict."""
    with services.act(who, "parcel.assign", subject_of(services, parcel_id)) as tx:
        parcel = locked(tx, parcel_id)
        if parcel.state != "packed":
            raise Conflict("parcel_ended" if parcel.state in rules.FINAL else "step_not_legal")
        today = _today(tx, who, services.clock())
        day = day or today
        faults = {}
        if postman_id not in {person.id for person in _postmen(tx, parcel.region_id)}:
            faults["postman_id"] = "not_found" if postman_id else "required"
        if not today <= day <= today + PLAN_AHEAD:
            faults["day"] = "date_in_past" if day < today else "too_far_ahead"
        if faults or postman_id is None:
            raise Invalid(fields=faults)
        parcel.postman_id, parcel.round_id = postman_id, _round(services, tx, parcel, postman_id, day).id


def take_off(services: Services, who: Principal, parcel_id: UUID) -> None:
    """Take a parcel off its round, as long as the postman has not got it. Raises Conflict after that."""
    with services.act(who, "parcel.assign", subject_of(services, parcel_id)) as tx:
        parcel = locked(tx, parcel_id)
        if parcel.state != "packed":
            raise Conflict("parcel_ended" if parcel.state in rules.FINAL else "already_given")
        parcel.postman_id = parcel.round_id = None


def give(services: Services, who: Principal, parcel_id: UUID) -> None:
    """Hand an assigned parcel over to its postman: from now on the postman answers for it."""
    with services.act(who, "parcel.assign", subject_of(services, parcel_id)) as tx:
        _give(services, tx, who, locked(tx, parcel_id))


def give_round(services: Services, who: Principal, round_id: UUID) -> int:
    """Hand over all packed parcels of a round; return how many."""
    with services.db.read() as tx:
        round_ = tx.get(Round, round_id)
        branch = tx.get(Branch, round_.branch_id) if round_ else None
    if round_ is None or branch is None:
        raise NotFound()
    with services.act(who, "parcel.assign", Subject(branch_id=branch.id, region_id=branch.region_id)) as tx:
        parcels = tx.scalars(
            select(Parcel).where(Parcel.round_id == round_id, Parcel.state == "packed").with_for_update()
        ).all()
        for parcel in parcels:
            _give(services, tx, who, parcel)
    return len(parcels)


def take_back(services: Services, who: Principal, parcel_id: UUID) -> None:
    """Take a parcel back for good: it goes to the pharmacy's quarantine, never to stock."""
    with services.act(who, "parcel.take_back", subject_of(services, parcel_id)) as tx:
        move(services, tx, locked(tx, parcel_id), "take_back", actor_id=who.id)


def take_again(services: Services, who: Principal, parcel_id: UUID) -> None:
    """Take a parcel back to the branch for another try."""
    with services.act(who, "parcel.take_back", subject_of(services, parcel_id)) as tx:
        parcel = locked(tx, parcel_id)
        if parcel.recalled_at is not None:
            raise Conflict("parcel_recalled")
        move(services, tx, parcel, "take_again", actor_id=who.id)
        parcel.postman_id = parcel.round_id = parcel.given_at = None


def lose(services: Services, who: Principal, parcel_id: UUID) -> None:
    """Declare a parcel lost."""
    with services.act(who, "parcel.take_back", subject_of(services, parcel_id)) as tx:
        move(services, tx, locked(tx, parcel_id), "lose", actor_id=who.id)


def _give(services: Services, tx: Session, who: Principal, parcel: Parcel) -> None:
    if parcel.postman_id is None:
        raise Conflict("not_assigned_yet")
    move(services, tx, parcel, "give", actor_id=who.id)
    parcel.given_at = services.clock()


def _round(services: Services, tx: Session, parcel: Parcel, postman_id: UUID, day: date) -> Round:
    known = tx.scalar(select(Round).where(Round.postman_id == postman_id, Round.day == day))
    if known is not None:
        return known
    made = Round(
        id=new_id(), postman_id=postman_id, branch_id=parcel.branch_id, day=day, created_at=services.clock()
    )  # fmt: skip
    tx.add(made)
    tx.flush()
    return made


def _postmen(tx: Session, region_id: UUID | None) -> list[Account]:
    postmen = tx.scalars(
        select(Account).where(
            Account.role == "postman", Account.region_id == region_id, Account.disabled_at.is_(None)
        )
    )
    return list(postmen)


def _choice_of_postmen(tx: Session, who: Principal) -> list[Postman]:
    """Return the region's postmen: those of the own branch first, then in the order of the reader's language."""
    branches = {row.id: row.name for row in tx.scalars(select(Branch).where(Branch.region_id == who.region_id))}
    found = [
        Postman(
            person.id, person.display_name, branches.get(person.branch_id, "") if person.branch_id else "",
            person.branch_id is not None and person.branch_id == who.branch_id,
        )
        for person in _postmen(tx, who.region_id)
    ]  # fmt: skip
    return sorted(found, key=lambda postman: (not postman.is_own, by_name(postman.name, who.language)))


def _today(tx: Session, who: Principal, now: datetime) -> date:
    """Return the branch's day, or the region's: a round is a day of the place, not of the server."""
    return now.astimezone(ZoneInfo(zone_in(tx, who.branch_id, who.region_id))).date()


def _rows(tx: Session, parcels: list[Parcel]) -> list[ParcelRow]:
    branches = {row.id: row for row in tx.scalars(select(Branch).where(Branch.id.in_({p.branch_id for p in parcels})))}
    people = {p.postman_id for p in parcels if p.postman_id}
    names = {p.id: p.display_name for p in tx.scalars(select(Account).where(Account.id.in_(people)))}
    rounds = {p.round_id for p in parcels if p.round_id}
    days = {r.id: r.day for r in tx.scalars(select(Round).where(Round.id.in_(rounds)))}
    troubles = _troubles(tx, {p.id for p in parcels})
    return [
        ParcelRow(
            id=p.id, number=p.number, state=p.state, branch_name=branches[p.branch_id].name,
            place=branches[p.branch_id].place, flags=flags_of(p), weight_g=p.weight_g, postman_id=p.postman_id,
            postman_name=names.get(p.postman_id, "") if p.postman_id else "", round_id=p.round_id,
            day=days.get(p.round_id) if p.round_id else None, trouble=troubles.get(p.id),
            since=p.ended_at or p.given_at or p.packed_at or p.placed_at,
        )
        for p in parcels
    ]  # fmt: skip


def _troubles(tx: Session, parcel_ids: set[UUID]) -> dict[UUID, str]:
    found = tx.execute(
        select(CustodyEvent.parcel_id, CustodyEvent.reason)
        .where(CustodyEvent.parcel_id.in_(parcel_ids), CustodyEvent.kind.in_(("attempt", "bring_back")))
        .order_by(CustodyEvent.recorded_at)
    ).all()
    return {row.parcel_id: row.reason for row in found if row.reason}


def _unclear(tx: Session, region_id: UUID | None, since: datetime) -> list[Unclear]:
    found = tx.execute(
        select(PhoneEvent, Parcel.number, Account.display_name)
        .join(Account, Account.id == PhoneEvent.postman_id)
        .outerjoin(Parcel, (Parcel.id == PhoneEvent.parcel_id) & (Parcel.region_id == region_id))
        .where(
            Account.region_id == region_id, PhoneEvent.status.in_(("conflict", "rejected")),
            PhoneEvent.received_at >= since,
        )
        .order_by(PhoneEvent.received_at.desc())
        .limit(50)
    ).all()  # fmt: skip
    return [
        Unclear(event.id, number or "", name, event.status, event.code or "", event.received_at)
        for event, number, name in found
    ]
