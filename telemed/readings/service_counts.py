"""The doctored-values indicator: per branch and day, how many upper pressures lie just below and just above the limit.
A job opens the values and keeps the counts; no person sees a value for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Subject
from telemed.branches.morning import day_of
from telemed.branches.service_zones import zone_in
from telemed.crypto.envelope import Unsealable
from telemed.readings import rules
from telemed.readings.models import IN_RECORD, CountedUpTo, PressureCount, Reading
from telemed.services import Services

SETTLE = timedelta(minutes=10)  # a transaction that began before may still commit with an older time
AT_ONCE = 5000
FIRST = 1


class Bands(NamedTuple):
    """How many usable pressures, and how many of them just below and just above the limit."""

    readings: int
    from_130: int
    from_140: int


def count_pressures(services: Services, tx: Session) -> None:
    """Add what was stored since the last time to the counts; each reading counts once. Typed values count: they are the
    ones a person can round.
    """
    mark = tx.get(CountedUpTo, FIRST)
    begin = mark.stored_at if mark is not None else datetime(2000, 1, 1, tzinfo=services.clock().tzinfo)
    rows = _new_rows(tx, begin, services.clock() - SETTLE)
    if not rows:
        return
    audit.record(tx, services.clock(), SYSTEM, "reading.count", Subject(), allowed=True, reason="job")
    found: dict[tuple[UUID, date], list[int]] = defaultdict(lambda: [0, 0, 0])
    zones: dict[UUID, str] = {}
    for row in rows:
        zones.setdefault(row.branch_id, zone_in(tx, row.branch_id))
        _count(found[row.branch_id, day_of(zones[row.branch_id], row.stored_at)], _systolic(services, tx, row))
    for (branch_id, day), numbers in found.items():
        _add(tx, branch_id, day, numbers)
    if mark is None:
        mark = CountedUpTo(id=FIRST, stored_at=begin)
        tx.add(mark)
    mark.stored_at = rows[-1].stored_at


def _new_rows(tx: Session, begin: datetime, end: datetime) -> list[Reading]:
    """Return whole moments only: a batch shares one, and a limit in its middle would leave its rest uncounted."""
    of_interest = (Reading.kind == "blood_pressure") & (Reading.status == "usable") & IN_RECORD
    since = select(Reading.stored_at).where(of_interest, Reading.stored_at > begin, Reading.stored_at <= end)
    last = tx.scalar(since.order_by(Reading.stored_at).offset(AT_ONCE).limit(1)) or end
    query = select(Reading).where(of_interest, Reading.stored_at > begin, Reading.stored_at <= last)
    return list(tx.scalars(query.order_by(Reading.stored_at)))


def _systolic(services: Services, tx: Session, row: Reading) -> Any:
    try:
        return services.vault.open(tx, row, "clinical")["decoded"].get("systolic_mmhg")
    except Unsealable:  # an erased patient's
        return None


def _count(numbers: list[int], systolic: Any) -> None:
    if not rules.is_number(systolic):
        return
    numbers[0] += 1
    for place, (low, high) in enumerate(rules.BANDS, start=1):
        numbers[place] += low <= systolic < high


def _add(tx: Session, branch_id: UUID, day: date, numbers: list[int]) -> None:
    row = tx.get(PressureCount, (branch_id, day))
    if row is None:
        row = PressureCount(branch_id=branch_id, day=day, readings=0, from_130=0, from_140=0)
        tx.add(row)
    row.readings, row.from_130, row.from_140 = (
        row.readings + numbers[0], row.from_130 + numbers[1], row.from_140 + numbers[2],
    )  # fmt: skip


def bands_of(tx: Session, branch_ids: Collection[UUID], from_day: date, to_day: date) -> dict[UUID, Bands]:
    """Return the counts of branches in a period; the caller decides who may see them, and hides small ones."""
    rows = tx.execute(
        select(
            PressureCount.branch_id, func.sum(PressureCount.readings), func.sum(PressureCount.from_130),
            func.sum(PressureCount.from_140),
        )
        .where(PressureCount.branch_id.in_(branch_ids), PressureCount.day.between(from_day, to_day))
        .group_by(PressureCount.branch_id)
    )  # fmt: skip
    return {branch_id: Bands(int(readings), int(below), int(above)) for branch_id, readings, below, above in rows}
