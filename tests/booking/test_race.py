"""Nobody is booked twice, however many try at once; and the test would see it if it happened."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Uuid, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.booking import service
from telemed.booking.models import Booking, Occupancy
from telemed.db import Database
from telemed.errors import Conflict
from telemed.ids import new_id
from tests import cast
from tests.booking import race
from tests.make import Hands

pytestmark = pytest.mark.db
OPEN = Table("open_occupancy", MetaData(), Column("resource_id", Uuid), Column("cell", Integer))


def test_sixteen_rivals_with_different_lengths_cancels_and_moves_leave_no_overlap(db_services):
    race.prepare(db_services)
    told = race.in_threads(16, lambda seed: race.compete(db_services, seed, attempts=12))

    assert told["book"] > 5
    assert told["slot_taken"] > 20, "they really got into each other's way"
    assert told["cancel"] > 0
    assert told["move"] > 0
    assert race.overlaps(db_services) == 0
    assert race.cells_are_whole(db_services)


@pytest.mark.parametrize("db_settings", ["postgresql"], indirect=True)
def test_four_processes_leave_no_overlap(db_services, db_settings):
    race.prepare(db_services)
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [pool.submit(race.compete_in_own_process, db_settings, seed, 8) for seed in range(4)]
        told = sum((run.result(timeout=50) for run in runs), Counter())

    assert told["slot_taken"] > 20
    assert race.overlaps(db_services) == 0
    assert race.cells_are_whole(db_services)


def take_with_key(tx: Session, corner: UUID, cell: int, booking_id: UUID) -> None:
    """Take a cell as the product does: the primary key decides."""
    tx.execute(insert(Occupancy).values(resource_id=corner, cell=cell, booking_id=booking_id))


def check_then_insert(tx: Session, corner: UUID, cell: int, _booking_id: UUID) -> None:
    """Take a cell as it must not be done: look first, then write, and no key."""
    if tx.scalar(select(func.count()).select_from(OPEN).where(OPEN.c.cell == cell)):
        raise Conflict("slot_taken")
    tx.execute(insert(OPEN).values(resource_id=corner, cell=cell))


def winners(db: Database, booking_id: UUID, take: Callable[[Session, UUID, int, UUID], None], cells: int = 25) -> int:
    """Let sixteen rivals go for one cell after the other, all at the same moment; count who believes to have won."""
    gate = threading.Barrier(16)

    def run(_number: int) -> int:
        won = 0
        for cell in range(cells):
            gate.wait(timeout=30)
            try:
                with db.write() as tx:
                    take(tx, cast.OZERKI, cell, booking_id)
                won += 1
            except (Conflict, IntegrityError):
                pass
        return won

    with ThreadPoolExecutor(16) as pool:
        return sum(pool.map(run, range(16)))


def test_the_key_alone_keeps_rivals_apart(db_services):
    """Without the audit trail's lock, which makes the use cases wait for each other on PostgreSQL."""
    booking_id = Hands(db_services).booking()

    assert winners(db_services.db, booking_id, take_with_key) == 25


@pytest.mark.parametrize("db_settings", ["postgresql"], indirect=True)
def test_the_same_race_with_check_then_insert_books_twice(db_services):
    """The premise of the tests above: without the key, the same rivals do get in each other's way."""
    OPEN.create(db_services.db.engine)

    assert winners(db_services.db, new_id(), check_then_insert) > 25


def test_two_submits_of_one_form_at_the_same_moment_are_one_booking(db_services):
    race.prepare(db_services)
    booking_id, gate = new_id(), threading.Barrier(8)

    def submit(_number: int) -> UUID:
        gate.wait(timeout=30)
        return service.book(
            db_services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI, cast.VERA.id, race.DAY, booking_id=booking_id
        )

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(submit, range(8)))

    assert answers == {booking_id}
    with db_services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Booking)) == 1
    assert race.cells_are_whole(db_services)


def test_two_bookings_may_not_swap_into_each_other(db_services):
    """Two moves that want each other's time at once end with a no, not with two winners or a deadlock."""
    race.prepare(db_services)
    times = [race.DAY, race.DAY.replace(minute=15)]
    ids = [
        service.book(db_services, cast.ANNA.who, person.id, cast.OZERKI, cast.VERA.id, at)
        for person, at in zip((cast.MARIA, cast.IVAN), times, strict=True)
    ]
    gate = threading.Barrier(2)

    def swap(number: int) -> str:
        gate.wait(timeout=30)
        try:
            service.move(db_services, cast.ANNA.who, ids[number], cast.VERA.id, times[1 - number], 1)
        except Conflict as no:
            return no.code
        return "moved"

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(swap, range(2)))

    assert answers == ["slot_taken", "slot_taken"]
    assert race.cells_are_whole(db_services)
