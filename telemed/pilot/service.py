"""Use cases of the pilot: count a step once, show the funnel per branch, export it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.branches.models import Branch
from telemed.branches.service_zones import zone_in
from telemed.delivery.models import Parcel
from telemed.errors import Invalid
from telemed.ids import new_id
from telemed.pilot import rules
from telemed.pilot.models import JourneyFact
from telemed.pilot.service_people import People, people_of, waits_of
from telemed.readings.rules import RATIO_ODD, band_ratio
from telemed.readings.service_counts import Bands, bands_of
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
DEFAULT_DAYS = 90


def count(
    services: Services, tx: Session, step: str, about_id: UUID, branch_id: UUID, at: datetime,
    *, case_id: UUID | None = None, started_at: datetime | None = None,
) -> None:  # fmt: skip
    """Store that a step was reached, once per thing it is about. Called by jobs, inside their transaction."""
    known = select(JourneyFact.id).where(JourneyFact.step == step, JourneyFact.about_id == about_id)
    if tx.scalar(known) is not None:
        return
    tx.add(
        JourneyFact(
            id=new_id(), step=step, about_id=about_id, case_id=case_id, branch_id=branch_id, at=at,
            started_at=started_at,
        )
    )  # fmt: skip


def ordered_at(tx: Session, parcel_id: UUID) -> datetime | None:
    """Return when a parcel's order was placed."""
    parcel = tx.get(Parcel, parcel_id)
    return parcel.placed_at if parcel else None


@dataclass(frozen=True)
class BranchRow:
    """One branch's funnel: people who reached each step. A count of None is "fewer than 5"; times are medians or None."""

    branch_id: UUID | None
    postal_index: str
    place: str
    rural: bool
    counts: dict[str, int | None]
    waiting_min: float | None
    delivery_h: float | None


@dataclass(frozen=True)
class Funnel:
    """The region's funnel of a period, branch by branch, with its total."""

    from_day: date
    to_day: date
    rows: list[BranchRow]
    total: BranchRow


def funnel(services: Services, who: Principal, from_day: date | None = None, to_day: date | None = None) -> Funnel:
    """Return the funnel of the coordinator's region (all regions for the auditor); days are the region's days."""
    return _funnel(services, who, "pilot.read", from_day, to_day)


def _funnel(
    services: Services, who: Principal, action: str, from_day: date | None, to_day: date | None
) -> Funnel:  # fmt: skip
    with services.look(who, action, Subject(region_id=who.region_id)) as tx:
        branches, zone = _branches(tx, who), _zone(tx, who)
        from_day, to_day = _period(services.clock().astimezone(zone).date(), from_day, to_day)
        span = datetime.combine(from_day, time.min, zone), datetime.combine(to_day + timedelta(days=1), time.min, zone)
        ids, hide = [branch.id for branch in branches], not services.demo
        counted = _Counted(people_of(tx, ids, *span), waits_of(tx, ids, *span), _deliveries(tx, ids, *span))
        rows = [counted.row(branch, [branch.id], hide_small=hide) for branch in branches]
        for step in rules.STEPS:
            for row, count in zip(rows, rules.hide_the_lonely([row.counts[step] for row in rows]), strict=True):
                row.counts[step] = count
        total = counted.row(None, ids, hide_small=hide)
        return Funnel(from_day, to_day, rows, total)


def _period(today: date, from_day: date | None, to_day: date | None) -> tuple[date, date]:
    to_day = to_day or today
    if from_day is None and to_day >= rules.FIRST_DAY:
        from_day = to_day - timedelta(days=DEFAULT_DAYS - 1)
    if from_day is None or not rules.is_period(from_day, to_day):
        raise Invalid(fields={"from": "period_invalid"})
    return from_day, to_day


def _deliveries(tx: Session, branch_ids: list[UUID], begins: datetime, ends: datetime) -> dict[UUID, list[float]]:
    """Return by branch for how many hours each parcel of the period was under way."""
    hours: dict[UUID, list[float]] = defaultdict(list)
    of_period = (JourneyFact.step == "delivered", JourneyFact.at >= begins, JourneyFact.at < ends)
    for fact in tx.scalars(select(JourneyFact).where(JourneyFact.branch_id.in_(branch_ids), *of_period)):
        span = rules.minutes(fact.started_at, fact.at)
        if span is not None:
            hours[fact.branch_id].append(span / 60)
    return hours


def _zone(tx: Session, who: Principal) -> ZoneInfo:
    return ZoneInfo(zone_in(tx, who.branch_id, who.region_id))


def _branches(tx: Session, who: Principal) -> list[Branch]:
    query = select(Branch).order_by(Branch.postal_index)
    if who.role == "coordinator":
        query = query.where(Branch.region_id == who.region_id)
    return list(tx.scalars(query))


@dataclass(frozen=True)
class _Counted:
    """What the funnel of a period is made of, by branch: people by step, minutes of waiting, hours of delivery."""

    people: People
    waits: dict[UUID, list[float]]
    deliveries: dict[UUID, list[float]]

    def row(self, branch: Branch | None, branch_ids: list[UUID], *, hide_small: bool) -> BranchRow:
        """Return the row of one branch, or without one of all of them: who was seen at two counts once."""
        by_step = {
            step: len(set().union(*(self.people[one][step] for one in branch_ids if one in self.people)))
            for step in rules.STEPS
        }
        return BranchRow(
            branch_id=branch.id if branch else None,
            postal_index=branch.postal_index if branch else "",
            place=branch.place if branch else "",
            rural=branch.rural if branch else False,
            counts={step: rules.shown(by_step[step], hide_small=hide_small) for step in rules.STEPS},
            waiting_min=_median_of(self.waits, branch_ids, hide_small=hide_small),
            delivery_h=_median_of(self.deliveries, branch_ids, hide_small=hide_small),
        )


def _median_of(spans: dict[UUID, list[float]], branch_ids: list[UUID], *, hide_small: bool) -> float | None:
    known = [span for one in branch_ids for span in spans.get(one, ())]
    if hide_small and len(known) < rules.SMALL:
        return None
    return rules.median(known)


@dataclass(frozen=True)
class BandRow:
    """One branch's pressures of a period around the limit. A count of None is "fewer than 5"; a ratio of None says that
    there are too few to tell.
    """

    postal_index: str
    place: str
    readings: int | None
    below: int | None
    above: int | None
    ratio: float | None
    is_odd: bool


def pressure_bands(services: Services, who: Principal, from_day: date, to_day: date) -> list[BandRow]:
    """Return the doctored-values indicator of the coordinator's branches that measured in the period."""
    with services.look(who, "pilot.read", Subject(region_id=who.region_id)) as tx:
        branches = _branches(tx, who)
        found = bands_of(tx, [branch.id for branch in branches], from_day, to_day)
        return [_band_row(branch, found[branch.id], hide=not services.demo) for branch in branches if branch.id in found]


def _band_row(branch: Branch, bands: Bands, *, hide: bool) -> BandRow:
    counts = [rules.shown(count, hide_small=hide) for count in bands]
    ratio = None if None in counts else band_ratio(bands.from_130, bands.from_140)
    is_odd = ratio is not None and ratio >= RATIO_ODD
    return BandRow(branch.postal_index, branch.place, *counts, ratio, is_odd)


def exported_funnel(services: Services, who: Principal, from_day: date | None = None, to_day: date | None = None) -> Funnel:
    """Return the funnel to be saved as a file; None where a count is hidden. Raises Invalid for a period upside down."""
    return _funnel(services, who, "pilot.export", from_day, to_day)
