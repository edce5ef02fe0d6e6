"""Doctor, corner, kit and patient are booked together, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from telemed.access.relations import Principal
from telemed.booking import service
from telemed.booking.models import Booking, Occupancy
from telemed.clock import iso
from telemed.errors import Conflict, Forbidden, Invalid, NotFound, SignInNeeded
from telemed.ids import new_id
from telemed.services import Services
from tests import cast
from tests.conftest import Clock
from tests.make import Hands, corner_of, kit_of

ANNA, BORIS = cast.ANNA.who, cast.BORIS.who
SOON = cast.NOON + timedelta(minutes=30)
LATER = cast.NOON + timedelta(minutes=60)


@pytest.fixture(autouse=True)
def shift(hands):
    return hands.shift()


def book(services, starts_at=SOON, *, who=ANNA, patient=cast.MARIA, branch=cast.OZERKI, doctor=cast.VERA, **more):
    return service.book(services, who, patient.id, branch, doctor.id, starts_at, **more)


def stored(services, booking_id):
    with services.db.read() as tx:
        return service.booking_of(tx, booking_id)


def cells(services, booking_id):
    with services.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(Occupancy).where(Occupancy.booking_id == booking_id))


def refusal(kind, work, *args, **more):
    with pytest.raises(kind) as refused:
        work(*args, **more)
    return next(iter(refused.value.fields.values())) if isinstance(refused.value, Invalid) else refused.value.code


def test_a_booking_takes_doctor_corner_kit_and_patient(services):
    found = book(services)

    assert stored(services, found).status == "booked"
    assert cells(services, found) == 4 * 3  # 15 minutes are three cells


@pytest.mark.parametrize(
    ("who", "patient", "branch"),
    [(ANNA, cast.IVAN, cast.OZERKI), (BORIS, cast.PELAGEYA, cast.SOSNOVO)],
    ids=["the corner is taken", "the doctor is taken elsewhere"],
)
def test_a_taken_time_is_refused(services, who, patient, branch):
    book(services)

    assert refusal(Conflict, book, services, who=who, patient=patient, branch=branch) == "slot_taken"
    assert stored(services, book(services, LATER, who=who, patient=patient, branch=branch)).status == "booked"


def test_a_patient_is_not_in_two_branches_at_once(services, hands):
    second = cast.GLEB  # of the other region, but the patient's time is the patient's
    hands.shift(second)
    book(services)

    answer = refusal(Conflict, book, services, who=cast.RITA.who, branch=cast.RECHNOYE, doctor=second)
    assert answer == "slot_taken"


def test_the_same_form_twice_is_one_booking(services):
    booking_id = new_id()

    assert book(services, booking_id=booking_id) == book(services, booking_id=booking_id) == booking_id


@pytest.mark.parametrize("other", [{"patient": cast.IVAN}, {"starts_at": LATER}])
def test_an_id_that_was_used_for_something_else_is_refused(services, other):
    booking_id = book(services)

    assert refusal(Conflict, book, services, booking_id=booking_id, **other) == "booking_id_used"


def test_an_id_of_another_branch_is_refused_without_telling_whose(services):
    foreign = book(services, who=BORIS, patient=cast.PELAGEYA, branch=cast.SOSNOVO)

    assert refusal(Conflict, book, services, booking_id=foreign) == "booking_id_used"


@pytest.mark.parametrize(
    ("starts_at", "code"),
    [
        (cast.NOON - timedelta(minutes=15), "too_soon"),
        (cast.NOON, "too_soon"),
        (SOON + timedelta(minutes=1), "no_such_slot"),
        (cast.NOON + timedelta(days=2), "no_such_slot"),
    ],
    ids=["in the past", "less than ten minutes away", "between two slots", "nobody on duty"],
)
@pytest.mark.parametrize("way", ["book", "hold", "move"])
def test_only_slots_that_the_search_offers_are_taken(services, starts_at, code, way):
    if way == "move":
        found = book(services)
        answer = refusal(Invalid, service.move, services, ANNA, found, cast.VERA.id, starts_at, 1)
    else:
        answer = refusal(
            Invalid, getattr(service, way), services, ANNA, cast.MARIA.id, cast.OZERKI, cast.VERA.id, starts_at
        )

    assert answer == code


def test_nothing_is_booked_while_the_branch_is_closed(services, hands):
    """The branch opens from 8 to 20 o'clock in Moscow; the doctor's shift goes beyond."""
    evening = cast.NOON.replace(hour=16)
    hands.shift(starts_at=evening, hours=3)
    assert book(services, evening + timedelta(minutes=45))  # 19:45 to 20:00

    assert refusal(Invalid, book, services, evening + timedelta(hours=1)) == "no_such_slot"


def test_a_doctor_of_another_region_is_not_found(services, hands):
    hands.shift(cast.GLEB)

    assert refusal(NotFound, book, services, doctor=cast.GLEB) == "not_found"


def test_an_unknown_patient_is_not_found(services):
    with pytest.raises(NotFound):
        service.book(services, ANNA, new_id(), cast.OZERKI, cast.VERA.id, SOON)


@pytest.mark.parametrize("who", [BORIS, cast.RITA.who])
def test_a_clerk_of_another_branch_may_not_book_cancel_or_move_here(services, who):
    found = book(services)

    assert refusal(NotFound, book, services, LATER, who=who)
    assert refusal(NotFound, service.cancel, services, who, found)
    assert refusal(NotFound, service.move, services, who, found, cast.VERA.id, LATER, 1)
    assert refusal(NotFound, service.confirm, services, who, found)
    assert stored(services, found).status == "booked"


@pytest.mark.parametrize("who", [cast.VERA.who, cast.DINA.who, cast.FEDOR.who, cast.OLEG.who, cast.MARIA.who])
def test_no_other_role_books(services, who):
    assert refusal(Forbidden, book, services, who=who) == "forbidden"


def test_a_stranger_is_sent_to_sign_in(services):
    assert refusal(SignInNeeded, book, services, who=Principal(id=None, role=None))


# --- hold ---------------------------------------------------------------------------------------------------------


def hold(services, starts_at=SOON, patient=cast.MARIA):
    return service.hold(services, ANNA, patient.id, cast.OZERKI, cast.VERA.id, starts_at)


def test_a_held_slot_is_taken_for_three_minutes_and_then_free_again(services, clock):
    hold(services)
    clock.forward(minutes=2, seconds=59)
    assert refusal(Conflict, book, services, patient=cast.IVAN) == "slot_taken"
    assert SOON not in offered(services)

    clock.forward(seconds=1)
    assert SOON in offered(services)
    assert stored(services, book(services, patient=cast.IVAN)).status == "booked"


def test_the_recurring_job_gives_back_what_nobody_confirmed(services, clock):
    held, confirmed = hold(services), hold(services, LATER, cast.IVAN)
    service.confirm(services, ANNA, confirmed)
    clock.forward(minutes=3)
    with services.db.write() as tx:
        service.release_expired_holds(services, tx)

    assert (stored(services, held).status, cells(services, held)) == ("cancelled", 0)
    assert (stored(services, confirmed).status, cells(services, confirmed)) == ("booked", 12)


def test_a_hold_that_is_over_cannot_be_confirmed(services, clock):
    held = hold(services)
    clock.forward(minutes=3)

    assert refusal(Conflict, service.confirm, services, ANNA, held) == "hold_expired"


def test_confirming_twice_is_confirming_once(services):
    held = hold(services)
    service.confirm(services, ANNA, held)
    service.confirm(services, ANNA, held)

    assert stored(services, held).status == "booked"


# --- cancel and move ----------------------------------------------------------------------------------------------


def test_a_cancelled_time_is_free_at_once(services):
    found = book(services)
    service.cancel(services, ANNA, found, 1)
    service.cancel(services, ANNA, found, 1)

    assert stored(services, found).status == "cancelled"
    assert book(services, patient=cast.IVAN)


def test_patients_cancel_their_own_booking_and_no_other(services):
    found, others = book(services), book(services, LATER, patient=cast.IVAN)
    service.cancel(services, cast.MARIA.who, found)

    assert stored(services, found).status == "cancelled"
    assert refusal(NotFound, service.cancel, services, cast.MARIA.who, others)


def test_a_move_takes_the_new_time_and_frees_the_old(services):
    found = book(services)
    service.move(services, ANNA, found, cast.VERA.id, LATER, 1)

    assert stored(services, found).starts_at == LATER
    assert cells(services, found) == 12
    assert book(services, patient=cast.IVAN)


def test_a_move_that_fails_leaves_everything_as_it_was(services):
    found = book(services)
    book(services, LATER, patient=cast.IVAN)

    assert refusal(Conflict, service.move, services, ANNA, found, cast.VERA.id, LATER, 1) == "slot_taken"
    assert (stored(services, found).starts_at, stored(services, found).version) == (SOON, 1)
    assert cells(services, found) == 12


def test_a_move_may_overlap_the_bookings_own_old_time(services, hands):
    hands.shift(starts_at=cast.NOON + timedelta(minutes=5))  # the same doctor, slots five minutes later
    found = book(services)
    service.move(services, ANNA, found, cast.VERA.id, SOON + timedelta(minutes=5), 1)

    assert cells(services, found) == 12


def test_a_page_that_is_out_of_date_changes_nothing(services):
    found = book(services)
    service.move(services, ANNA, found, cast.VERA.id, LATER, 1)

    assert refusal(Conflict, service.cancel, services, ANNA, found, 1) == "changed_meanwhile"
    assert refusal(Conflict, service.move, services, ANNA, found, cast.VERA.id, SOON, 1) == "changed_meanwhile"


def test_who_has_arrived_is_neither_moved_nor_cancelled(services):
    found = book(services)
    with services.db.write() as tx:
        service.mark_arrived(services, tx, found)

    assert refusal(Conflict, service.cancel, services, ANNA, found) == "booking_over"
    assert refusal(Conflict, service.move, services, ANNA, found, cast.VERA.id, LATER, 2) == "booking_over"


def test_a_cancelled_booking_does_not_arrive(services):
    found = book(services)
    service.cancel(services, ANNA, found)
    with services.db.write() as tx:
        assert refusal(Conflict, service.mark_arrived, services, tx, found) == "booking_over"


# --- search -------------------------------------------------------------------------------------------------------


def offered(services, **more):
    return [slot.starts_at for slot in service.free_slots(services, ANNA, cast.OZERKI, **more)]


def test_the_search_offers_whole_free_slots_at_least_ten_minutes_ahead(services):
    found = offered(services)

    assert found[0] == cast.NOON + timedelta(minutes=15)
    assert found == sorted(found)
    book(services, found[0])
    assert found[0] not in offered(services)


def test_the_search_keeps_to_the_opening_hours(services, hands):
    hands.shift(starts_at=cast.NOON.replace(hour=16), hours=3)

    assert max(offered(services)) == cast.NOON.replace(hour=16, minute=45)


def test_the_search_begins_on_the_chosen_day(services, hands):
    tomorrow = cast.NOON + timedelta(days=1)
    hands.shift(starts_at=tomorrow)

    assert offered(services, from_day=tomorrow.date())[0] == tomorrow


@pytest.mark.parametrize("days", [0, -1, 61])
def test_the_search_has_a_horizon(services, days):
    assert refusal(Invalid, service.free_slots, services, ANNA, cast.OZERKI, None, days) == "period_invalid"


def test_another_branchs_clerk_may_not_search_here(services):
    assert refusal(NotFound, service.free_slots, services, BORIS, cast.OZERKI)


# --- walk-in ------------------------------------------------------------------------------------------------------


def walk_in(services, patient=cast.MARIA):
    return service.walk_in(services, ANNA, patient.id, cast.OZERKI)


def test_who_stands_here_is_booked_now_with_a_free_doctor(services):
    row = stored(services, walk_in(services))

    assert (row.kind, row.starts_at, row.ends_at) == ("walk_in", cast.NOON, cast.NOON + timedelta(minutes=15))


def test_pressing_twice_books_once(services, clock):
    first = walk_in(services)
    clock.forward(minutes=1)

    assert walk_in(services) == first


def test_without_a_free_doctor_nobody_is_booked_now(services):
    walk_in(services)

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "no_doctor_now"


def test_a_walk_in_has_room_in_the_doctors_shift(services, clock):
    clock.forward(hours=7, minutes=45)
    assert stored(services, walk_in(services)).ends_at == cast.NOON + timedelta(hours=8)
    clock.forward(minutes=1)

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "no_doctor_now"


def test_a_walk_in_may_reach_into_the_shift_that_follows_at_once(services, hands, clock):
    """A doctor on duty around the clock has a shift a day; at a quarter to midnight the counter found nobody."""
    hands.shift(starts_at=cast.NOON + timedelta(hours=8))
    clock.forward(hours=7, minutes=50)

    assert stored(services, walk_in(services)).ends_at == cast.NOON + timedelta(hours=8, minutes=5)


def test_a_walk_in_needs_an_open_branch_except_in_a_demo(services, hands, clock):
    clock.forward(hours=9)  # nine in the evening
    hands.shift()
    assert services.demo
    assert refusal(Conflict, walk_in, replace(services, demo=False)) == "branch_closed"

    assert walk_in(services)


# --- lists --------------------------------------------------------------------------------------------------------


def test_the_day_list_names_the_branchs_own_patients_only(services):
    book(services)
    book(services, LATER, who=BORIS, patient=cast.PELAGEYA, branch=cast.SOSNOVO)

    assert [entry.patient_name[:6] for entry in service.day_list(services, ANNA, cast.OZERKI)] == ["Ёлкина"]
    assert refusal(NotFound, service.day_list, services, BORIS, cast.OZERKI)
    assert refusal(Forbidden, service.day_list, services, cast.VERA.who, cast.OZERKI)


def test_a_day_is_the_branchs_day(services, hands, clock):
    """Half past midnight in Moscow is still yesterday in UTC."""
    clock.now = cast.NOON.replace(hour=21, minute=30)
    hands.booking(starts_at=clock.now, ends_at=clock.now + timedelta(minutes=15))

    assert len(service.day_list(services, ANNA, cast.OZERKI)) == 1
    assert service.day_list(services, ANNA, cast.OZERKI, cast.NOON.date()) == []


def test_a_patient_sees_the_own_coming_bookings(services):
    found = book(services)

    assert [entry.id for entry in service.next_bookings_of_patient(services, cast.MARIA.who, cast.MARIA.id)] == [found]
    assert refusal(NotFound, service.next_bookings_of_patient, services, cast.IVAN.who, cast.MARIA.id)


def test_a_failed_booking_leaves_no_row(services):
    book(services)
    refusal(Conflict, book, services, patient=cast.IVAN)
    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Booking)) == 1


# --- roster -------------------------------------------------------------------------------------------------------


def test_the_coordinator_plans_the_regions_doctors(services):
    begins, ends = cast.NOON + timedelta(days=1), cast.NOON + timedelta(days=1, hours=4)
    service.add_shift(services, cast.GALINA.who, cast.VERA.id, begins, ends, 20)

    assert [shift.slot_minutes for shift in service.roster(services, cast.GALINA.who)] == [15, 20]
    assert [shift.slot_minutes for shift in service.roster(services, cast.VERA.who)] == [15, 20]
    assert service.roster(services, cast.KIRA.who) == []
    assert refusal(NotFound, service.add_shift, services, cast.KIRA.who, cast.VERA.id, begins, ends, 20)
    assert refusal(Forbidden, service.add_shift, services, ANNA, cast.VERA.id, begins, ends, 20)


@pytest.mark.parametrize(
    ("hours", "minutes", "code"),
    [
        (0, 15, "shift_length"), (-1, 15, "shift_length"), (17, 15, "shift_length"), (0.25, 20, "shift_length"),
        (4, 7, "required"),
    ],
)
def test_a_shift_that_makes_no_sense_is_refused(services, hours, minutes, code):
    ends = cast.NOON + timedelta(hours=hours)
    work = (service.add_shift, services, cast.GALINA.who, cast.VERA.id, cast.NOON, ends, minutes)

    assert refusal(Invalid, *work) == code


def test_a_shift_over_another_one_of_the_doctor_is_refused(services):
    hours = (cast.NOON + timedelta(hours=7), cast.NOON + timedelta(hours=9))

    assert refusal(Invalid, service.add_shift, services, cast.GALINA.who, cast.VERA.id, *hours, 15) == "shift_overlaps"


def test_a_shift_is_removed_only_when_nobody_is_booked_in_it(services):
    booking_id = book(services)
    (shift,) = service.roster(services, cast.GALINA.who)
    assert refusal(Conflict, service.remove_shift, services, cast.GALINA.who, shift.id) == "shift_has_bookings"
    assert refusal(NotFound, service.remove_shift, services, cast.KIRA.who, shift.id)

    service.cancel(services, ANNA, booking_id)
    service.remove_shift(services, cast.GALINA.who, shift.id)
    service.remove_shift(services, cast.GALINA.who, shift.id)
    assert service.roster(services, cast.GALINA.who) == []


def test_who_did_not_come_frees_the_time_and_may_still_come(services, clock):
    booking_id = book(services)
    assert refusal(Conflict, service.miss, services, ANNA, booking_id) == "too_early"
    clock.forward(minutes=40)
    service.miss(services, ANNA, booking_id)
    service.miss(services, ANNA, booking_id)
    assert [entry.status for entry in service.day_list(services, ANNA, cast.OZERKI)] == ["no_show"]
    with services.db.write() as tx:
        assert tx.scalars(select(Occupancy).where(Occupancy.booking_id == booking_id)).all() == []
        service.mark_arrived(services, tx, booking_id)

    assert [entry.status for entry in service.day_list(services, ANNA, cast.OZERKI)] == ["arrived"]


def test_a_visit_that_ends_early_frees_the_doctor_for_the_next_patient(
    services: Services, hands: Hands, clock: Clock
) -> None:
    hands.shift(cast.VERA)
    first = service.walk_in(services, cast.ANNA.who, cast.MARIA.id, cast.OZERKI)
    with services.db.write() as tx:
        service.mark_arrived(services, tx, first)
    clock.forward(minutes=2)
    with pytest.raises(Conflict):
        service.walk_in(services, cast.ANNA.who, cast.IVAN.id, cast.OZERKI)

    with services.db.write() as tx:
        service.mark_done(services, tx, first)

    assert service.walk_in(services, cast.ANNA.who, cast.IVAN.id, cast.OZERKI)


# --- the grid -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "second", "nearest"), [(3, 0, 5), (2, 0, 0), (7, 0, 5), (58, 0, 60), (0, 1, 0), (14, 59, 15), (33, 0, 35)]
)
def test_a_shift_off_the_grid_is_refused_with_the_nearest_good_time(services, minute, second, nearest):
    """Bookings take five-minute cells: from a shift that begins at 09:03 one booking would remove three slots."""
    hour = cast.NOON.replace(hour=5) + timedelta(days=2)
    begins = hour + timedelta(minutes=minute, seconds=second)

    with pytest.raises(Invalid) as refused:
        service.add_shift(services, cast.GALINA.who, cast.VERA.id, begins, hour + timedelta(hours=4), 15)

    assert refused.value.fields == {"starts_at": "off_the_grid"}
    assert refused.value.facts["nearest"] == iso(hour + timedelta(minutes=nearest))


@pytest.mark.parametrize("minute", [0, 5, 10, 15, 55])
def test_a_shift_on_the_grid_is_taken(services, minute):
    begins = cast.NOON.replace(hour=5) + timedelta(days=2, minutes=minute)

    assert service.add_shift(services, cast.GALINA.who, cast.VERA.id, begins, begins + timedelta(hours=4), 15)


def test_of_an_old_shift_off_the_grid_one_booking_removes_one_slot(services, hands):
    tomorrow = cast.NOON + timedelta(days=1)
    hands.shift(starts_at=tomorrow + timedelta(minutes=3), hours=2)
    before = [slot for slot in service.free_slots(services, ANNA, cast.OZERKI) if slot.starts_at > tomorrow]
    chosen = before[2]

    service.book(services, ANNA, cast.MARIA.id, cast.OZERKI, cast.VERA.id, chosen.starts_at)

    after = [slot for slot in service.free_slots(services, ANNA, cast.OZERKI) if slot.starts_at > tomorrow]
    assert before[0].starts_at == tomorrow + timedelta(minutes=5)
    assert [slot for slot in before if slot not in after] == [chosen]


# --- why not now, and when instead --------------------------------------------------------------------------------


def other_doctors(hands, count=2):
    """Put more doctors of the Lake region on duty; Vera is one already."""
    found = []
    for n in range(count):
        person = cast.Person(f"doctor{n}", "doctor", f"Врач {n}", None, cast.LAKE)
        with hands.services.db.write() as tx:
            hands._account(tx, person, "-")
        hands.shift(person)
        found.append(person)
    return found


def test_it_is_the_corner_and_not_the_doctors_while_a_doctor_is_free(services, hands):
    other_doctors(hands)
    walk_in(services)

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "corner_taken"


def test_it_is_the_corner_too_when_it_is_needed_before_the_talk_would_end(services, hands, clock):
    other_doctors(hands)
    hands.booking(cast.MARIA, starts_at=clock() + timedelta(minutes=10), ends_at=clock() + timedelta(minutes=25))
    with services.db.write() as tx:
        row = tx.scalars(select(Booking)).one()
        service._occupy(services, tx, row)

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "corner_taken"


def test_it_is_the_doctors_when_none_of_them_is_free(services, hands, clock):
    """Somebody else's branch has the only doctor; this corner is empty."""
    row_id = hands.booking(cast.PELAGEYA, starts_at=clock(), ends_at=clock() + timedelta(minutes=15))
    with services.db.write() as tx:
        service._occupy(services, tx, tx.get_one(Booking, row_id))

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "no_doctor_now"


def test_it_is_the_patient_who_is_booked_elsewhere_at_this_time(services, hands, clock):
    [other, _third] = other_doctors(hands)
    row_id = hands.booking(
        cast.IVAN, other, branch_id=cast.SOSNOVO, corner_id=corner_of(cast.SOSNOVO), kit_id=kit_of(cast.SOSNOVO),
        starts_at=clock() + timedelta(minutes=5), ends_at=clock() + timedelta(minutes=20),
    )  # fmt: skip
    with services.db.write() as tx:
        service._occupy(services, tx, tx.get_one(Booking, row_id))

    assert refusal(Conflict, walk_in, services, cast.IVAN) == "patient_booked_now"


def test_a_time_is_offered_once_however_many_doctors_are_free(services, hands):
    other_doctors(hands)
    slots = service.free_slots(services, ANNA, cast.OZERKI)
    times = service.next_times(slots)

    assert len({slot.starts_at for slot in slots}) < len(slots)
    assert [slot.starts_at for slot in times] == [cast.NOON + timedelta(minutes=15 * n) for n in (1, 2, 3)]


def test_it_is_the_branch_when_it_closes_before_the_visit_would_end(services, hands, clock):
    clock.now = cast.NOON.replace(hour=16, minute=50)  # ten to eight in Moscow; the branch closes at eight
    hands.shift(starts_at=clock())

    assert refusal(Conflict, walk_in, replace(services, demo=False)) == "branch_closes_soon"
