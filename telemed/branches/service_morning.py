"""Use cases of the morning check: the clerk answers step by step, the meters answer for themselves, a rule judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches import morning, rules
from telemed.branches import service as branches
from telemed.branches.events import MorningChecked
from telemed.branches.models import Branch, Meter, MorningCheck
from telemed.errors import Invalid, NotFound
from telemed.ids import new_id
from telemed.rules_text import by_name
from telemed.services import Services

GATEWAY_AWAY = ("silent", "joined", "no_radio", "radio_off")  # lights with which no meter is heard


@dataclass(frozen=True)
class MorningMeter:
    """A meter as the morning check shows it. `strips` and `calibration`: in_date, ends_soon, expired, unknown."""

    id: UUID
    kind: str
    name: str
    is_seen: bool
    battery_pct: int | None
    battery_low: bool
    strips: str
    strips_expire_on: date | None
    calibration: str
    calibration_due_on: date | None


@dataclass(frozen=True)
class Morning:
    """A branch's morning. `word`: ready, no_video, not_ready; or, when nobody has checked today: early, due, closed."""

    branch_id: UUID
    name: str
    place: str
    zone: str
    phone: str
    day: date
    word: str
    reasons: tuple[morning.Reason, ...]
    finished_at: datetime | None


@dataclass(frozen=True)
class Walk(Morning):
    """The run that the clerk is in: `step` is the next to answer, None when all are; `outcomes` what is known."""

    step: str | None
    outcomes: Mapping[str, str]
    line_is_fresh: bool
    light: str
    meters: list[MorningMeter]


def of_today(services: Services, who: Principal, branch_id: UUID | None) -> Morning:
    """Return how ready a branch is today."""
    with services.look(who, "branch.read", Subject(branch_id=branch_id)) as tx:
        if branch_id is None:
            raise NotFound()
        return _morning(tx, branches.branch_of(tx, branch_id), services.clock())


def of_region(services: Services, who: Principal) -> list[Morning]:
    """Return how ready each branch of the coordinator's region is today, in order of place."""
    with services.look(who, "branch.read", Subject(region_id=who.region_id)) as tx:
        rows = tx.scalars(select(Branch).where(Branch.region_id == who.region_id))
        in_order = sorted(rows, key=lambda row: (by_name(row.place, who.language), row.name))
        return [_morning(tx, branch, services.clock()) for branch in in_order]


def _morning(tx: Session, branch: Branch, now: datetime) -> Morning:
    day = morning.day_of(branch.zone, now)
    check = _newest(tx, branch, now, finished=True)
    reasons = morning.judge(outcomes_of(check)).reasons if check else ()
    word = check.verdict if check and check.verdict else morning.when_due(branch.hours, branch.zone, now)
    return Morning(
        branch_id=branch.id, name=branch.name, place=branch.place, zone=branch.zone, phone=branch.phone, day=day,
        word=word, reasons=reasons, finished_at=check.finished_at if check else None,
    )  # fmt: skip


def word_of_today(tx: Session, branch: Branch, now: datetime) -> str:
    """Return the day's word on a branch, inside the caller's transaction."""
    return _morning(tx, branch, now).word


def walk(services: Services, who: Principal, branch_id: UUID | None) -> Walk:
    """Return where the clerk is in today's run; after a finished one, its result."""
    with services.look(who, "branch.check_morning", Subject(branch_id=branch_id)) as tx:
        if branch_id is None:
            raise NotFound()
        branch, now = branches.branch_of(tx, branch_id), services.clock()
        today = _morning(tx, branch, now)
        check = _newest(tx, branch, now)
        known = outcomes_of(check) if check else {}
        gateway = branches.gateway_of(tx, branch_id)
        return Walk(
            **vars(today), step=next((step for step in morning.STEPS if step not in known), None), outcomes=known,
            line_is_fresh=morning.is_line_fresh(branch.line_checked_at, now),
            light=rules.light(gateway.status, gateway.last_seen_at, now) if gateway else "absent",
            meters=[_view(row, branch.zone, now) for row in _meters(tx, branch_id)],
        )  # fmt: skip


def answer(services: Services, who: Principal, step: str, outcome: str) -> None:
    """Keep the answer to one step of today's run and begin the run with the first. Line and meters answer for
    themselves, whatever the page says; the meters end the run with the verdict. Raises Invalid.
    """
    if step not in morning.STEPS or (step in ("camera", "sound") and outcome not in morning.PERSONS_ANSWERS):
        raise Invalid(fields={"outcome": "required"})
    with services.act(who, "branch.check_morning", Subject(branch_id=who.branch_id)) as tx:
        assert who.branch_id is not None
        branch, now = branches.branch_of(tx, who.branch_id), services.clock()
        check = _running(services, tx, who, branch)
        if step == "line":
            outcome = _line(branch, now)
        if step == "meters":
            _end(services, tx, check, branch)
        else:
            setattr(check, step, outcome)


def begin_again(services: Services, who: Principal) -> None:
    """Begin a new run; the verdict of the one before stays until this one is finished."""
    with services.act(who, "branch.check_morning", Subject(branch_id=who.branch_id)) as tx:
        assert who.branch_id is not None
        _begin(services, tx, who, branches.branch_of(tx, who.branch_id))


def note_dates(
    services: Services, who: Principal, meter_id: UUID, *, calibration_due_on: date | None,
    strips_expire_on: date | None,
) -> None:  # fmt: skip
    """Keep until when a meter's calibration and its strips are good. Raises NotFound for another branch's meter."""
    with services.act(who, "branch.check_morning", Subject(branch_id=who.branch_id)) as tx:
        meter = tx.get(Meter, meter_id, with_for_update=True)
        if meter is None or meter.branch_id != who.branch_id or meter.removed_at is not None:
            raise NotFound()
        meter.calibration_due_on = calibration_due_on
        meter.strips_expire_on = strips_expire_on if meter.kind == "glucose" else None


def _running(services: Services, tx: Session, who: Principal, branch: Branch) -> MorningCheck:
    check = _newest(tx, branch, services.clock())
    return check if check is not None and check.finished_at is None else _begin(services, tx, who, branch)


def _begin(services: Services, tx: Session, who: Principal, branch: Branch) -> MorningCheck:
    assert who.id is not None
    now = services.clock()
    check = MorningCheck(
        id=new_id(), branch_id=branch.id, day=morning.day_of(branch.zone, now), checked_by=who.id, begun_at=now
    )
    tx.add(check)
    tx.flush()
    return check


def _end(services: Services, tx: Session, check: MorningCheck, branch: Branch) -> None:
    now = services.clock()
    gateway = branches.gateway_of(tx, branch.id)
    light = rules.light(gateway.status, gateway.last_seen_at, now) if gateway else "joined"
    facts, today = [_facts(row, branch.zone, now) for row in _meters(tx, branch.id)], morning.day_of(branch.zone, now)
    for name, outcome in morning.meter_outcomes(facts, gateway_is_there=light not in GATEWAY_AWAY, today=today).items():
        setattr(check, name, outcome)
    check.verdict, check.finished_at = morning.judge(outcomes_of(check)).word, now
    services.publish(tx, MorningChecked(branch.id, check.verdict, now))


def _line(branch: Branch, now: datetime) -> str:
    return branch.line_class if branch.line_class and morning.is_line_fresh(branch.line_checked_at, now) else "unmeasured"


def _newest(tx: Session, branch: Branch, now: datetime, *, finished: bool = False) -> MorningCheck | None:
    """Return the newest run that counts at this moment; one that runs over midnight goes on and counts."""
    is_todays = MorningCheck.day == morning.day_of(branch.zone, now)
    is_fresh = MorningCheck.begun_at > now - morning.OVER_MIDNIGHT
    query = select(MorningCheck).where(MorningCheck.branch_id == branch.id, is_todays | is_fresh)
    if finished:
        query = query.where(MorningCheck.finished_at.is_not(None))
    return tx.scalar(query.order_by(MorningCheck.begun_at.desc(), MorningCheck.id.desc()).limit(1))


def outcomes_of(check: MorningCheck) -> dict[str, str]:
    """Return what each check of a run said; those not made yet are left out."""
    return {name: outcome for name in morning.CHECKS if (outcome := getattr(check, name)) is not None}


def _meters(tx: Session, branch_id: UUID) -> list[Meter]:
    rows = select(Meter).where(Meter.branch_id == branch_id, Meter.removed_at.is_(None)).order_by(Meter.kind, Meter.name)
    return list(tx.scalars(rows))


def _facts(row: Meter, zone: str, now: datetime) -> morning.Meter:
    seen_on = morning.seen_on(zone, row.last_seen_at, now)
    return morning.Meter(row.kind, seen_on, row.battery_pct, row.strips_expire_on, row.calibration_due_on)


def _view(row: Meter, zone: str, now: datetime) -> MorningMeter:
    today = morning.day_of(zone, now)
    is_low = row.battery_pct is not None and row.battery_pct < rules.BATTERY_LOW_PCT
    return MorningMeter(
        id=row.id, kind=row.kind, name=row.model or row.name, is_seen=_facts(row, zone, now).seen_on == today,
        battery_pct=row.battery_pct, battery_low=is_low, strips=morning.in_date(row.strips_expire_on, today),
        strips_expire_on=row.strips_expire_on, calibration=morning.in_date(row.calibration_due_on, today),
        calibration_due_on=row.calibration_due_on,
    )  # fmt: skip
