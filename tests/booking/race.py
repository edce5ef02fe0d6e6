"""Rivals for the same doctors, corners and patients, and the judge who counts what they got."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

from sqlalchemy import select

from telemed.booking import service
from telemed.booking.models import Booking, Doctor, Occupancy, Shift
from telemed.booking.rules import LIVING, occupied
from telemed.bootstrap import build_services
from telemed.errors import Conflict
from telemed.ids import new_id
from telemed.services import Services
from telemed.settings import Settings
from tests import cast
from tests.make import Hands

SECOND_DOCTOR = cast.known_id("second doctor")
DAY = cast.NOON + timedelta(hours=1)
RIVALS = ((cast.ANNA, cast.MARIA), (cast.ANNA, cast.IVAN), (cast.BORIS, cast.PELAGEYA))
LENGTHS = {cast.VERA.id: 15, SECOND_DOCTOR: 20}
HOURS = 3


def prepare(services: Services) -> None:
    """Put two doctors on duty, with slots of different lengths that cut into each other."""
    hands = Hands(services)
    hands.add(
        Doctor(id=SECOND_DOCTOR, region_id=cast.LAKE, specialty="therapist", display_name="Юрий Лосев", phone="+7816")
    )
    for doctor_id, minutes in LENGTHS.items():
        hands.add(
            Shift(
                id=new_id(), doctor_id=doctor_id, starts_at=DAY, ends_at=DAY + timedelta(hours=HOURS),
                slot_minutes=minutes,
            )
        )  # fmt: skip


def compete(services: Services, seed: int, attempts: int) -> Counter[str]:
    """Book, cancel and move at random for a while; count what happened. Anything but a plain no is an error."""
    chance, told, own = random.Random(seed), Counter[str](), {}
    for _ in range(attempts):
        clerk, patient = chance.choice(RIVALS)
        doctor_id = chance.choice(list(LENGTHS))
        minutes = LENGTHS[doctor_id] * chance.randrange(HOURS * 60 // LENGTHS[doctor_id])
        starts_at = DAY + timedelta(minutes=minutes)
        what = chance.choices(("book", "cancel", "move"), (6, 2, 2))[0] if own else "book"
        try:
            if what == "book":
                found = service.book(services, clerk.who, patient.id, clerk.branch_id, doctor_id, starts_at)
                own[found] = clerk
            else:
                booking_id = chance.choice(list(own))
                change(services, what, own, booking_id, doctor_id, starts_at)
        except Conflict as no:
            told[no.code] += 1
        else:
            told[what] += 1
    return told


def change(
    services: Services, what: str, own: dict[UUID, cast.Person], booking_id: UUID, doctor_id: UUID, starts_at: datetime
) -> None:
    """Cancel or move one of the rival's own bookings."""
    if what == "cancel":
        service.cancel(services, own.pop(booking_id).who, booking_id)
        return
    with services.db.read() as tx:
        row = service.booking_of(tx, booking_id)
        assert row is not None
    service.move(services, own[booking_id].who, booking_id, doctor_id, starts_at, row.version)


def compete_in_own_process(settings: Settings, seed: int, attempts: int) -> Counter[str]:
    """The same from another process, with its own services on the same database."""
    services = build_services(settings, clock=lambda: cast.NOON)
    try:
        return in_threads(4, lambda n: compete(services, seed * 100 + n, attempts))
    finally:
        services.db.close()


def in_threads(count: int, work: Callable[[int], Counter[str]]) -> Counter[str]:
    """Let that many rivals begin at the same moment; return the sum of what they tell."""
    gate = threading.Barrier(count)

    def run(number: int) -> Counter[str]:
        gate.wait(timeout=30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(run, range(count)), Counter())


def overlaps(services: Services) -> int:
    """Count pairs of living bookings that share doctor, corner, kit or patient at the same time: from their times alone,
    without the cells.
    """
    with services.db.read() as tx:
        rows = tx.scalars(select(Booking).where(Booking.status.in_(LIVING))).all()
    return sum(
        a.starts_at < b.ends_at
        and b.starts_at < a.ends_at
        and bool(
            {a.doctor_id, a.corner_id, a.kit_id, a.patient_id} & {b.doctor_id, b.corner_id, b.kit_id, b.patient_id}
        )
        for a, b in combinations(rows, 2)
    )


def cells_are_whole(services: Services) -> bool:
    """Tell whether the stored cells are exactly those of the living bookings."""
    with services.db.read() as tx:
        rows = tx.scalars(select(Booking).where(Booking.status.in_(LIVING))).all()
        stored = {(c.resource_id, c.cell, c.booking_id) for c in tx.scalars(select(Occupancy))}
    return stored == {
        (resource, cell, row.id)
        for row in rows
        for resource, cell in occupied(
            (row.doctor_id, row.corner_id, row.kit_id, row.patient_id), row.starts_at, row.ends_at
        )
    }
