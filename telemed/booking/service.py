"""Use cases of booking: doctor, corner, kit and patient together, kept apart by one primary key.

The call list is in service_invitations.py, the roster and the search in service_slots.py; both are offered here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.booking import rules
from telemed.booking.events import BookingCancelled, BookingMissed, BookingMoved, VisitBooked
from telemed.booking.models import Booking, Doctor, Occupancy
from telemed.booking.service_invitations import (
    InvitationView,
    answer_invitation,
    invitation_for,
    invitation_reasons,
    invitations,
    invite,
    note_booked,
)
from telemed.booking.service_slots import (
    ShiftView,
    Slot,
    Talk,
    add_shift,
    doctors_ahead,
    doctors_now,
    doctors_of_region,
    free_slots,
    is_open_for,
    next_times,
    places_of,
    promises_video,
    remove_shift,
    roster,
    roster_zone,
    slot_end,
    talk_at,
    why_not_now,
)
from telemed.branches import service as branches
from telemed.errors import Conflict, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.patients.models import Patient
from telemed.services import Services

__all__ = [
    "RELATIONS",
    "DayEntry",
    "Held",
    "InvitationView",
    "ShiftView",
    "Slot",
    "Talk",
    "add_shift",
    "answer_invitation",
    "book",
    "booking_of",
    "cancel",
    "confirm",
    "day_list",
    "doctors_ahead",
    "doctors_of_region",
    "free_slots",
    "held",
    "hold",
    "invitation_reasons",
    "invitations",
    "invite",
    "is_planned",
    "mark_arrived",
    "mark_awaited",
    "mark_back",
    "mark_done",
    "miss",
    "move",
    "next_bookings_of_patient",
    "next_times",
    "people_to_tell",
    "places_of",
    "release_expired_holds",
    "remove_shift",
    "roster",
    "roster_zone",
    "talk_at",
    "walk_in",
]  # fmt: skip

RELATIONS: tuple[Relation, ...] = ()


# --- booking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What somebody wants to be booked. Without `ends_at` it must be a slot of the doctor's shift."""

    patient_id: UUID
    branch_id: UUID
    doctor_id: UUID
    starts_at: datetime
    kind: str = "planned"
    status: str = "booked"
    ends_at: datetime | None = None
    invitation_id: UUID | None = None
    needs_video: bool = False


def hold(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, doctor_id: UUID, starts_at: datetime,
    booking_id: UUID | None = None, invitation_id: UUID | None = None, *, needs_video: bool = False,
) -> UUID:  # fmt: skip
    """Hold a slot for three minutes while the patient thinks. Raises as `book` does."""
    wish = Wish(
        patient_id, branch_id, doctor_id, starts_at, status="held", invitation_id=invitation_id, needs_video=needs_video
    )
    return _take(services, who, wish, booking_id)


@dataclass(frozen=True)
class Held:
    """A slot that is held for a patient. `left_s`: 0 when the three minutes are over."""

    id: UUID
    patient_id: UUID
    doctor_name: str
    starts_at: datetime
    left_s: int
    status: str


def held(services: Services, who: Principal, booking_id: UUID) -> Held:
    """Return a booking that waits for its confirmation, or is booked by now."""
    with services.look(who, "booking.read", _subject(services, booking_id)) as tx:
        row = tx.get_one(Booking, booking_id)
        doctor = tx.get_one(Doctor, row.doctor_id)
        left = (row.hold_until - services.clock()).total_seconds() if row.hold_until and row.status == "held" else 0
        return Held(row.id, row.patient_id, doctor.display_name, row.starts_at, max(0, int(left)), row.status)


def book(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, doctor_id: UUID, starts_at: datetime,
    invitation_id: UUID | None = None, booking_id: UUID | None = None, *, needs_video: bool = False,
) -> UUID:  # fmt: skip
    """Book doctor, corner, kit and patient together; the same `booking_id` twice is one booking. Raises
    Conflict("slot_taken") when any of them is taken in any cell, ("booking_id_used") when the id is another booking's,
    ("no_video_here") when the talk needs a picture that the branch cannot promise.
    """
    wish = Wish(patient_id, branch_id, doctor_id, starts_at, invitation_id=invitation_id, needs_video=needs_video)
    return _take(services, who, wish, booking_id)


def confirm(services: Services, who: Principal, booking_id: UUID) -> None:
    """Turn a held slot into a booking, while it is held."""
    with services.act(who, "booking.book", _subject(services, booking_id)) as tx:
        row = _living(tx, booking_id)
        if row.status == "booked":
            return
        if row.hold_until is not None and row.hold_until <= services.clock():
            raise Conflict("hold_expired")
        row.status, row.hold_until = "booked", None
        _tell_booked(services, tx, row)


def walk_in(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, booking_id: UUID | None = None
) -> UUID:
    """Book a patient who stands at the counter: starts now, with the first doctor on duty who is free. A second press
    of the button gives the same booking. Raises Conflict with the true reason: branch_closed,
    branch_closes_soon, no_doctor_now, corner_taken, patient_booked_now.
    """
    now = services.clock().replace(second=0, microsecond=0)
    with services.look(who, "booking.book", Subject(patient_id=patient_id, branch_id=branch_id)) as tx:
        known = _present_walk_in(tx, patient_id, branch_id, now)
        if known is not None:
            return known.id
        branch = branches.branch_of(tx, branch_id)
        on_duty = doctors_now(tx, branch, now)
        # A demo is shown at any hour of the day.
        doctors = [(id, ends) for id, ends in on_duty if services.demo or is_open_for(branch, now, ends)]
        if not doctors and not (services.demo or branches.is_open_at(branch, now)):
            raise Conflict("branch_closed")
        if on_duty and not doctors:
            raise Conflict("branch_closes_soon")
    for doctor_id, ends_at in doctors:
        wish = Wish(patient_id, branch_id, doctor_id, now, "walk_in", ends_at=ends_at)
        try:
            return _take(services, who, wish, booking_id)
        except Conflict as error:
            if error.code != "slot_taken":
                raise
    with services.look(who, "booking.book", Subject(patient_id=patient_id, branch_id=branch_id)) as tx:
        raise Conflict(why_not_now(tx, branch_id, patient_id, doctors, now))


def _present_walk_in(tx: Session, patient_id: UUID, branch_id: UUID, now: datetime) -> Booking | None:
    return tx.scalar(
        select(Booking).where(
            Booking.patient_id == patient_id, Booking.branch_id == branch_id, Booking.kind == "walk_in",
            Booking.starts_at <= now, Booking.ends_at > now, Booking.status.in_(("booked", "arrived")),
        )
    )  # fmt: skip


def _take(services: Services, who: Principal, wish: Wish, booking_id: UUID | None) -> UUID:
    try:
        return _take_once(services, who, wish, booking_id)
    except IntegrityError:
        # Two submits of one id at the same moment: the slower one now finds the booking of the faster.
        with services.db.read() as tx:
            if booking_id is None or tx.get(Booking, booking_id) is None:
                raise
        return _take_once(services, who, wish, booking_id)


def _take_once(services: Services, who: Principal, wish: Wish, booking_id: UUID | None) -> UUID:
    with services.act(who, "booking.book", Subject(patient_id=wish.patient_id, branch_id=wish.branch_id)) as tx:
        known = tx.get(Booking, booking_id) if booking_id else None
        if known is not None:
            return _known(known, wish)
        row = _new_booking(services, tx, who, wish, booking_id)
        tx.add(row)
        tx.flush()
        _occupy(services, tx, row)
        if row.status == "booked":
            _tell_booked(services, tx, row)
        return row.id


def _known(row: Booking, wish: Wish) -> UUID:
    same = (wish.patient_id, wish.branch_id, wish.doctor_id, wish.starts_at)
    if (row.patient_id, row.branch_id, row.doctor_id, row.starts_at) != same:
        raise Conflict("booking_id_used")
    return row.id


def _new_booking(services: Services, tx: Session, who: Principal, wish: Wish, booking_id: UUID | None) -> Booking:
    assert who.id is not None
    if tx.get(Patient, wish.patient_id) is None:
        raise NotFound()
    branch = branches.branch_of(tx, wish.branch_id)
    corner, kit = places_of(tx, branch.id)
    now = services.clock()
    if wish.needs_video and not promises_video(tx, branch, wish.starts_at, now):
        raise Conflict("no_video_here")
    return Booking(
        id=booking_id or new_id(), patient_id=wish.patient_id, branch_id=branch.id, corner_id=corner, kit_id=kit,
        doctor_id=wish.doctor_id, invitation_id=invitation_for(tx, wish.invitation_id, wish.patient_id),
        kind=wish.kind, starts_at=wish.starts_at,
        ends_at=wish.ends_at or slot_end(services, tx, branch, wish.doctor_id, wish.starts_at), status=wish.status,
        hold_until=now + rules.HOLD if wish.status == "held" else None, version=1, created_by=who.id, created_at=now,
        needs_video=wish.needs_video,
    )  # fmt: skip


def _resources(row: Booking) -> tuple[UUID, UUID, UUID, UUID]:
    return row.doctor_id, row.corner_id, row.kit_id, row.patient_id


def _occupy(services: Services, tx: Session, row: Booking) -> None:
    """Take the booking's cells; the primary key is the judge. Raises Conflict("slot_taken").

    New cells come before old ones go (a move), all sorted: two moves that want each other's place then meet a row that
    stands, and never wait for each other in a ring.
    """
    wanted = set(rules.occupied(_resources(row), row.starts_at, row.ends_at))
    held = {
        (resource, cell)
        for resource, cell in tx.execute(
            select(Occupancy.resource_id, Occupancy.cell).where(Occupancy.booking_id == row.id)
        )
    }
    _release_holds(services, tx, row, {cell for _resource, cell in wanted})
    cells = [{"resource_id": r, "cell": c, "booking_id": row.id} for r, c in sorted(wanted - held)]
    try:
        if cells:
            tx.execute(insert(Occupancy).values(cells))
    except IntegrityError:
        raise Conflict("slot_taken") from None
    for resource, cell in sorted(held - wanted):
        tx.execute(delete(Occupancy).where(Occupancy.resource_id == resource, Occupancy.cell == cell))


def _release_holds(services: Services, tx: Session, row: Booking, cells: set[int]) -> None:
    in_the_way = select(Occupancy.booking_id).where(
        Occupancy.resource_id.in_(_resources(row)), Occupancy.cell.in_(cells), Occupancy.booking_id != row.id
    )
    _release(services, tx, Booking.id.in_(in_the_way))


def release_expired_holds(services: Services, tx: Session) -> None:
    """Give back every held slot whose three minutes are over; the recurring job."""
    _release(services, tx)


def _release(services: Services, tx: Session, *which: ColumnElement[bool]) -> None:
    """Cancel expired holds. The rows are locked and looked at again: one may just have been confirmed."""
    expired = select(Booking).where(Booking.status == "held", Booking.hold_until <= services.clock(), *which)
    for row in tx.scalars(expired.order_by(Booking.id).with_for_update()).all():
        _free_cells(tx, row, "cancelled", "hold_expired")


def _free_cells(tx: Session, row: Booking, status: str, code: str | None) -> None:
    row.status, row.ended_code, row.version = status, code, row.version + 1
    tx.execute(delete(Occupancy).where(Occupancy.booking_id == row.id))


def _tell_booked(services: Services, tx: Session, row: Booking) -> None:
    services.publish(
        tx, VisitBooked(row.id, row.patient_id, row.branch_id, row.doctor_id, row.starts_at, services.clock())
    )  # fmt: skip
    note_booked(services, tx, row.invitation_id)


# --- change -------------------------------------------------------------------------------------------------------


def cancel(services: Services, who: Principal, booking_id: UUID, version: int | None = None) -> None:
    """Give a booking up and free its cells. Raises Conflict when it changed meanwhile or is over."""
    with services.act(who, "booking.cancel", _subject(services, booking_id)) as tx:
        row = _living(tx, booking_id, version, allow_cancelled=True)
        if row.status == "cancelled":
            return
        if not rules.may_go(row.status, "cancelled"):
            raise Conflict("booking_over")
        _free_cells(tx, row, "cancelled", "cancelled")
        services.publish(tx, BookingCancelled(row.id, row.branch_id, row.doctor_id, services.clock()))


def move(
    services: Services, who: Principal, booking_id: UUID, doctor_id: UUID, starts_at: datetime, version: int
) -> None:
    """Move a booking to another slot in one transaction: the old cells go only when the new ones are taken."""
    with services.act(who, "booking.move", _subject(services, booking_id)) as tx:
        row = _living(tx, booking_id, version)
        branch = branches.branch_of(tx, row.branch_id)
        if row.needs_video and not promises_video(tx, branch, starts_at, services.clock()):
            raise Conflict("no_video_here")
        ends_at = slot_end(services, tx, branch, doctor_id, starts_at)
        row.doctor_id, row.starts_at, row.ends_at, row.version = doctor_id, starts_at, ends_at, row.version + 1
        tx.flush()
        _occupy(services, tx, row)
        services.publish(tx, BookingMoved(row.id, row.branch_id, doctor_id, starts_at, services.clock()))


def miss(services: Services, who: Principal, booking_id: UUID, version: int | None = None) -> None:
    """Note that the patient did not come; the rest of the time is free again. "Patient is here" takes it back.
    Raises Conflict("too_early") before the time has begun, or as `cancel` does.
    """
    with services.act(who, "booking.miss", _subject(services, booking_id)) as tx:
        row = tx.get(Booking, booking_id, with_for_update=True)
        if row is not None and row.status == "no_show":
            return
        row = _living(tx, booking_id, version)
        if not rules.may_go(row.status, "no_show"):
            raise Conflict("booking_over")
        if row.starts_at > services.clock():
            raise Conflict("too_early")
        _free_cells(tx, row, "no_show", None)
        services.publish(tx, BookingMissed(row.id, row.branch_id, row.doctor_id, services.clock()))


def _living(tx: Session, booking_id: UUID, version: int | None = None, *, allow_cancelled: bool = False) -> Booking:
    row = tx.get(Booking, booking_id, with_for_update=True)
    if row is None:
        raise NotFound()
    if row.status == "cancelled" and allow_cancelled:
        return row
    if row.status not in ("held", "booked"):
        raise Conflict("booking_over")
    if version is not None and row.version != version:
        raise Conflict("changed_meanwhile")
    return row


def booking_of(tx: Session, booking_id: UUID) -> Booking | None:
    """Return a booking, or None."""
    return tx.get(Booking, booking_id)


def mark_arrived(services: Services, tx: Session, booking_id: UUID) -> None:
    """Note that the patient came; inside the caller's transaction. Raises Conflict."""
    _mark(tx, booking_id, "arrived")


def mark_done(services: Services, tx: Session, booking_id: UUID) -> None:
    """Note that the visit is over, and free what is left of its time: a doctor who is done early may take the next.
    Inside the caller's transaction.
    """
    _mark(tx, booking_id, "done")
    now = services.clock()
    rest = rules.cells(now, now + rules.NOTICE).start
    tx.execute(delete(Occupancy).where(Occupancy.booking_id == booking_id, Occupancy.cell >= rest))


def is_planned(tx: Session, booking_id: UUID) -> bool:
    """Tell whether a booking was made before the day's visit: a walk-in is booked when somebody sits down."""
    return tx.get_one(Booking, booking_id).kind != "walk_in"


def mark_awaited(services: Services, tx: Session, booking_id: UUID) -> None:
    """Note that it was another person who came; inside the caller's transaction."""
    _mark(tx, booking_id, "booked")


def mark_back(services: Services, tx: Session, booking_id: UUID) -> None:
    """Note that the visit goes on after all: its time is taken again as far as it is still free. Inside the caller's
    transaction.
    """
    _mark(tx, booking_id, "arrived")
    row = tx.get_one(Booking, booking_id)
    wanted = rules.occupied(_resources(row), row.starts_at, row.ends_at)
    cells = {cell for _resource, cell in wanted}
    found = select(Occupancy.resource_id, Occupancy.cell).where(Occupancy.cell.in_(cells))
    taken = {(resource, cell) for resource, cell in tx.execute(found)}
    free = [{"resource_id": r, "cell": c, "booking_id": row.id} for r, c in wanted if (r, c) not in taken]
    if free:
        tx.execute(insert(Occupancy).values(free))


def _mark(tx: Session, booking_id: UUID, status: str) -> None:
    row = tx.get(Booking, booking_id, with_for_update=True)
    if row is None:
        raise NotFound()
    if row.status == status:
        return
    if not rules.may_go(row.status, status):
        raise Conflict("booking_over")
    row.status, row.version = status, row.version + 1


def _subject(services: Services, booking_id: UUID) -> Subject:
    with services.db.read() as tx:
        row = tx.get(Booking, booking_id)
        if row is None:
            raise NotFound()
        return Subject(patient_id=row.patient_id, branch_id=row.branch_id)


# --- lists --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DayEntry:
    """A booking in the clerk's day list."""

    id: UUID
    patient_id: UUID
    patient_name: str
    doctor_name: str
    starts_at: datetime
    ends_at: datetime
    status: str
    kind: str
    version: int
    needs_video: bool


def day_list(services: Services, who: Principal, branch_id: UUID, day: date | None = None) -> list[DayEntry]:
    """Return a branch day's bookings in order of time, with names; audited. Days are the branch's days."""
    with services.act(who, "booking.read_day", Subject(branch_id=branch_id)) as tx:
        branch = branches.branch_of(tx, branch_id)
        zone = ZoneInfo(branch.zone)
        begins = datetime.combine(day or services.clock().astimezone(zone).date(), time.min, zone)
        rows = tx.execute(
            select(Booking, Doctor)
            .join(Doctor, Doctor.id == Booking.doctor_id)
            .where(
                Booking.branch_id == branch_id, Booking.starts_at >= begins,
                Booking.starts_at < begins + timedelta(days=1), Booking.status != "cancelled",
            )
            .order_by(Booking.starts_at)
        ).all()  # fmt: skip
        return [_entry(services, tx, booking, doctor) for booking, doctor in rows]


def people_to_tell(
    services: Services, who: Principal, branch_id: UUID, *, only_video: bool = False
) -> list[tuple[DayEntry, str]]:
    """Return who is still to come today, with the telephone number, so that nobody sets out for nothing: all, or only
    those whom the doctor must see; audited.
    """
    coming = [
        one
        for one in day_list(services, who, branch_id)
        if one.status == "booked" and one.ends_at > services.clock() and (one.needs_video or not only_video)
    ]
    with services.act(who, "booking.read_day", Subject(branch_id=branch_id)) as tx:
        return [(one, patients.contact_of(services, tx, one.patient_id).get("phone", "")) for one in coming]


def next_bookings_of_patient(services: Services, who: Principal, patient_id: UUID) -> list[DayEntry]:
    """Return a patient's coming bookings; audited."""
    with services.act(who, "patient.read", patients.subject_of(services, patient_id)) as tx:
        rows = tx.execute(
            select(Booking, Doctor)
            .join(Doctor, Doctor.id == Booking.doctor_id)
            .where(
                Booking.patient_id == patient_id, Booking.ends_at > services.clock(),
                Booking.status.in_(("held", "booked")),
            )
            .order_by(Booking.starts_at)
        ).all()  # fmt: skip
        return [_entry(services, tx, booking, doctor) for booking, doctor in rows]


def _entry(services: Services, tx: Session, row: Booking, doctor: Doctor) -> DayEntry:
    return DayEntry(
        id=row.id, patient_id=row.patient_id, patient_name=patients.name_of(services, tx, row.patient_id),
        doctor_name=doctor.display_name, starts_at=row.starts_at, ends_at=row.ends_at, status=row.status,
        kind=row.kind, version=row.version, needs_video=row.needs_video,
    )  # fmt: skip
