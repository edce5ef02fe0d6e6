"""Use cases of the roster, and the search for stretches in which doctor, corner and kit are all free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, not_, select
from sqlalchemy.orm import Session

from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.booking import rules
from telemed.booking.models import Booking, Doctor, Occupancy, Shift
from telemed.branches import morning, service_lines, service_morning
from telemed.branches import service as branches
from telemed.branches.models import Branch, Corner, Kit, Region
from telemed.clock import iso
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.rules_text import by_name
from telemed.services import Services

SEARCH_DAYS_MAX = 60
SLOTS_SHOWN = 60
TIMES_SHOWN = 3  # a hurried clerk reads three times aloud, not sixty buttons
LONGEST_SHIFT = timedelta(hours=16)
LOOK_AHEAD = timedelta(minutes=max(rules.SLOT_MINUTES))


# --- roster -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShiftView:
    """A doctor's hours."""

    id: UUID
    doctor_name: str
    starts_at: datetime
    ends_at: datetime
    slot_minutes: int

    @property
    def is_on_grid(self) -> bool:
        """Tell whether the shift begins with a cell. Those of earlier years may not."""
        return rules.nearest_cell(self.starts_at) == self.starts_at


def roster(services: Services, who: Principal) -> list[ShiftView]:
    """Return the coming shifts: a doctor's own, a coordinator's region's."""
    with services.look(who, "roster.read", Subject(region_id=who.region_id)) as tx:
        query = select(Shift, Doctor).join(Doctor, Doctor.id == Shift.doctor_id).where(Shift.ends_at > services.clock())
        query = query.where(Doctor.id == who.id) if who.role == "doctor" else query.where(Doctor.region_id == who.region_id)
        rows = tx.execute(query.order_by(Shift.starts_at).limit(100)).all()
        return [ShiftView(s.id, d.display_name, s.starts_at, s.ends_at, s.slot_minutes) for s, d in rows]


def doctors_of_region(services: Services, who: Principal) -> list[tuple[UUID, str]]:
    """Return id and name of every doctor whom this coordinator may put on duty."""
    with services.look(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        doctors = tx.scalars(select(Doctor).where(Doctor.region_id == who.region_id))
        found = [(doctor.id, doctor.display_name) for doctor in doctors]
    return sorted(found, key=lambda doctor: by_name(doctor[1], who.language))


def roster_zone(services: Services, who: Principal) -> str:
    """Return the zone in which a region plans its hours."""
    with services.look(who, "roster.read", Subject(region_id=who.region_id)) as tx:
        region = tx.get(Region, who.region_id)
        if region is None:
            raise NotFound()
        return region.zone


def add_shift(
    services: Services, who: Principal, doctor_id: UUID, starts_at: datetime, ends_at: datetime, slot_minutes: int
) -> UUID:
    """Put a doctor on duty. Raises Invalid, also for hours that overlap another shift of the same doctor, and with the
    nearest good time for a begin off the five-minute grid.
    """
    if slot_minutes not in rules.SLOT_MINUTES:
        raise Invalid(fields={"slot_minutes": "required"})
    if not timedelta(minutes=slot_minutes) <= ends_at - starts_at <= LONGEST_SHIFT:
        raise Invalid(fields={"ends_at": "shift_length"})
    if (nearest := rules.nearest_cell(starts_at)) != starts_at:
        raise Invalid(fields={"starts_at": "off_the_grid"}, nearest=iso(nearest))
    if ends_at <= services.clock():
        raise Invalid(fields={"starts_at": "in_the_past"})
    with services.act(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        doctor = tx.get(Doctor, doctor_id, with_for_update=True)
        if doctor is None or doctor.region_id != who.region_id:
            raise NotFound()
        overlapping = select(Shift.id).where(
            Shift.doctor_id == doctor_id, Shift.starts_at < ends_at, Shift.ends_at > starts_at
        )
        if tx.scalar(overlapping.limit(1)) is not None:
            raise Invalid(fields={"starts_at": "shift_overlaps"})
        row = Shift(
            id=new_id(), doctor_id=doctor_id, starts_at=starts_at, ends_at=ends_at, slot_minutes=slot_minutes
        )  # fmt: skip
        tx.add(row)
        return row.id


@dataclass(frozen=True)
class OddShift:
    """A shift that does not begin on the five-minute grid, and when its first slot begins."""

    id: UUID
    doctor_name: str
    starts_at: datetime
    used_from: datetime


def shifts_off_grid(services: Services, who: Principal) -> list[OddShift]:
    """Return the region's shifts to come that an older release took off the grid; an operator's command sees all."""
    if who is SYSTEM:
        with services.db.read() as tx:
            return _off_grid(services, tx, None)
    with services.look(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        return _off_grid(services, tx, who.region_id)


def _off_grid(services: Services, tx: Session, region_id: UUID | None) -> list[OddShift]:
    query = select(Shift, Doctor).join(Doctor, Doctor.id == Shift.doctor_id).where(Shift.ends_at > services.clock())
    if region_id is not None:
        query = query.where(Doctor.region_id == region_id)
    rows = [
        OddShift(shift.id, doctor.display_name, shift.starts_at, rules.first_cell(shift.starts_at))
        for shift, doctor in tx.execute(query.order_by(Shift.starts_at))
    ]
    return [row for row in rows if row.starts_at != row.used_from]


def mend_shift(services: Services, who: Principal, shift_id: UUID) -> None:
    """Let a shift begin on the grid, where its first slot begins already: no booked time changes. Raises NotFound."""
    with services.act(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        row = tx.get(Shift, shift_id, with_for_update=True)
        doctor = tx.get(Doctor, row.doctor_id) if row is not None else None
        if row is None or doctor is None or doctor.region_id != who.region_id:
            raise NotFound()
        row.starts_at = rules.first_cell(row.starts_at)


def remove_shift(services: Services, who: Principal, shift_id: UUID) -> None:
    """Take a doctor off duty. Raises Conflict("shift_has_bookings", n=...) while patients are booked in these hours;
    they must be moved or cancelled first. A shift that is gone already changes nothing.
    """
    with services.act(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        row = tx.get(Shift, shift_id, with_for_update=True)
        if row is None:
            return
        if tx.get_one(Doctor, row.doctor_id).region_id != who.region_id:
            raise NotFound()
        booked = select(func.count()).where(
            Booking.doctor_id == row.doctor_id, Booking.status.in_(rules.LIVING),
            Booking.starts_at < row.ends_at, Booking.ends_at > row.starts_at,
        )  # fmt: skip
        if count := tx.scalar(booked):
            raise Conflict("shift_has_bookings", n=count)
        tx.delete(row)


# --- the talk to expect -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Talk:
    """What kind of talk to expect at a branch, and whether one that needs the picture may be booked (and for today)."""

    kind: str
    video: bool
    video_today: bool


def talk_at(services: Services, who: Principal, branch_id: UUID) -> Talk:
    """Return what to tell a patient who books here."""
    with services.look(who, "booking.search", Subject(branch_id=branch_id)) as tx:
        branch, now = branches.branch_of(tx, branch_id), services.clock()
        return Talk(
            rules.talk_to_expect(service_lines.usual_line(tx, branch_id, now)),
            video=promises_video(tx, branch, now + timedelta(days=1), now),
            video_today=promises_video(tx, branch, now, now),
        )


def promises_video(tx: Session, branch: Branch, starts_at: datetime, now: datetime) -> bool:
    """Tell whether a talk that needs the picture may be booked for a moment at a branch."""
    return rules.promises_video(
        service_lines.usual_line(tx, branch.id, now),
        is_today=morning.day_of(branch.zone, starts_at) == morning.day_of(branch.zone, now),
        morning=service_morning.word_of_today(tx, branch, now),
    )


# --- free slots ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slot:
    """A stretch in which doctor, corner and kit are all free."""

    doctor_id: UUID
    doctor_name: str
    specialty: str
    starts_at: datetime
    ends_at: datetime


def free_slots(
    services: Services, who: Principal, branch_id: UUID, from_day: date | None = None, days: int = 14, *,
    needs_video: bool = False, doctor_id: UUID | None = None,
) -> list[Slot]:  # fmt: skip
    """Return the next free slots of a branch within its opening hours, at least ten minutes ahead, of every doctor or of
    one; when the talk needs the picture, only those for which it can be promised.
    """
    if not 1 <= days <= SEARCH_DAYS_MAX:
        raise Invalid(fields={"days": "period_invalid"})
    with services.look(who, "booking.search", Subject(branch_id=branch_id)) as tx:
        branch = branches.branch_of(tx, branch_id)
        now = services.clock()
        earliest = now + rules.NOTICE
        if from_day is not None:
            earliest = max(earliest, datetime.combine(from_day, time.min, ZoneInfo(branch.zone)))
        found = _free(tx, branch, earliest, earliest + timedelta(days=days), now, doctor_id)
        if not needs_video:
            return found
        today, tomorrow = morning.day_of(branch.zone, now), now + timedelta(days=1)
        in_time, later = promises_video(tx, branch, now, now), promises_video(tx, branch, tomorrow, now)
        return [slot for slot in found if (in_time if morning.day_of(branch.zone, slot.starts_at) == today else later)]


def next_times(slots: Iterable[Slot], most: int | None = TIMES_SHOWN) -> list[Slot]:
    """Return one slot for each time, the soonest first: whichever doctor, the patient hears a time once."""
    times: dict[datetime, Slot] = {}
    for slot in sorted(slots, key=lambda slot: (slot.starts_at, slot.doctor_name)):
        times.setdefault(slot.starts_at, slot)
    return list(times.values())[:most]


def doctors_ahead(services: Services, who: Principal, branch_id: UUID) -> list[tuple[UUID, str]]:
    """Return id and name of each doctor who is on duty in the days that a search covers."""
    with services.look(who, "booking.search", Subject(branch_id=branch_id)) as tx:
        branch, now = branches.branch_of(tx, branch_id), services.clock()
        on_duty = select(Shift.doctor_id).where(
            Shift.ends_at > now, Shift.starts_at < now + timedelta(days=SEARCH_DAYS_MAX)
        )
        doctors = tx.scalars(select(Doctor).where(Doctor.region_id == branch.region_id, Doctor.id.in_(on_duty)))
        return sorted(((doctor.id, doctor.display_name) for doctor in doctors), key=lambda doctor: doctor[1])


def why_not_now(
    tx: Session, branch_id: UUID, patient_id: UUID, doctors: Iterable[tuple[UUID, datetime]], now: datetime
) -> str:
    """Return the code of what stands in the way of a patient who is here. `doctors`: who is on duty, and until when a talk
    that begins now would last. While a doctor is free it is not the doctors.
    """
    until = list(doctors)
    if not until:
        return "no_doctor_now"
    places = set(places_of(tx, branch_id))
    span = rules.cells(now, max(ends for _doctor, ends in until))
    taken = _taken(tx, {*places, patient_id, *(doctor for doctor, _ends in until)}, span, now)
    free = [ends for doctor, ends in until if rules.is_free(taken, [doctor], now, ends)]
    if not free:
        return "no_doctor_now"
    is_patient_free = any(rules.is_free(taken, [patient_id], now, ends) for ends in free)
    return "corner_taken" if is_patient_free else "patient_booked_now"


def is_patient_booked(services: Services, who: Principal, patient_id: UUID, branch_id: UUID, at: datetime) -> bool:
    """Tell whether the patient has another time that overlaps: then nobody was faster, it is the patient's own booking."""
    until = at + timedelta(minutes=min(rules.SLOT_MINUTES))
    with services.look(who, "booking.search", Subject(branch_id=branch_id)) as tx:
        own = select(Booking.id).where(
            Booking.patient_id == patient_id, Booking.status.in_(rules.LIVING), Booking.starts_at < until,
            Booking.ends_at > at, not_(and_(Booking.status == "held", Booking.hold_until <= services.clock())),
        )  # fmt: skip
        return tx.scalar(own.limit(1)) is not None


def _free(
    tx: Session, branch: Branch, earliest: datetime, latest: datetime, now: datetime, doctor_id: UUID | None
) -> list[Slot]:
    places = places_of(tx, branch.id)
    shifts = (
        select(Shift, Doctor)
        .join(Doctor, Doctor.id == Shift.doctor_id)
        .where(Doctor.region_id == branch.region_id, Shift.ends_at > earliest, Shift.starts_at < latest)
    )
    if doctor_id is not None:
        shifts = shifts.where(Doctor.id == doctor_id)
    rows = tx.execute(shifts.order_by(Shift.starts_at)).all()
    taken = _taken(tx, {*places, *(doctor.id for _shift, doctor in rows)}, rules.cells(earliest, latest), now)
    found = [
        Slot(doctor.id, doctor.display_name, doctor.specialty, begins, ends)
        for shift, doctor in rows
        for begins, ends in rules.slots(shift.starts_at, shift.ends_at, shift.slot_minutes)
        if earliest <= begins < latest
        and is_open_for(branch, begins, ends)
        and rules.is_free(taken, (*places, doctor.id), begins, ends)
    ]
    return sorted(found, key=lambda slot: slot.starts_at)[:SLOTS_SHOWN]


def _taken(tx: Session, resources: Iterable[UUID], span: range, now: datetime) -> set[tuple[UUID, int]]:
    """Return the taken cells; a hold that is over takes none, although a job has still to clear it away."""
    rows = tx.execute(
        select(Occupancy.resource_id, Occupancy.cell)
        .join(Booking, Booking.id == Occupancy.booking_id)
        .where(
            Occupancy.resource_id.in_(resources), Occupancy.cell >= span.start, Occupancy.cell < span.stop,
            not_(and_(Booking.status == "held", Booking.hold_until <= now)),
        )
    )  # fmt: skip
    return {(row.resource_id, row.cell) for row in rows}


def is_open_for(branch: Branch, begins: datetime, ends: datetime) -> bool:
    """Tell whether a branch is open from the first to the last minute of a stretch."""
    return branches.is_open_at(branch, begins) and branches.is_open_at(branch, ends - timedelta(minutes=1))


def places_of(tx: Session, branch_id: UUID) -> tuple[UUID, UUID]:
    """Return corner and kit of a branch. Raises Conflict("no_corner")."""
    corner = tx.scalar(select(Corner.id).where(Corner.branch_id == branch_id).limit(1))
    kit = tx.scalar(select(Kit.id).where(Kit.branch_id == branch_id).limit(1))
    if corner is None or kit is None:
        raise Conflict("no_corner")
    return corner, kit


def slot_end(services: Services, tx: Session, branch: Branch, doctor_id: UUID, starts_at: datetime) -> datetime:
    """Return when the doctor's slot that begins then is over: the same slots, notice and opening hours as in the
    search. Raises Invalid when there is no such slot.
    """
    doctor = tx.get(Doctor, doctor_id)
    if doctor is None or doctor.region_id != branch.region_id:
        raise NotFound()
    if starts_at < services.clock() + rules.NOTICE:
        raise Invalid(fields={"starts_at": "too_soon"})
    for shift in tx.scalars(
        select(Shift).where(Shift.doctor_id == doctor_id, Shift.starts_at <= starts_at, Shift.ends_at > starts_at)
    ):
        for begins, ends in rules.slots(shift.starts_at, shift.ends_at, shift.slot_minutes):
            if begins == starts_at and is_open_for(branch, begins, ends):
                return ends
    raise Invalid(fields={"starts_at": "no_such_slot"})


def doctors_now(tx: Session, branch: Branch, now: datetime) -> list[tuple[UUID, datetime]]:
    """Return each doctor of the region whose shift has room for one more slot from now on, and when it would end. A shift
    that begins where this one ends goes on with it: a duty of many hours is planned day by day.
    """
    rows = tx.execute(
        select(Shift, Doctor)
        .join(Doctor, Doctor.id == Shift.doctor_id)
        .where(Doctor.region_id == branch.region_id, Shift.starts_at <= now + LOOK_AHEAD, Shift.ends_at > now)
        .order_by(Doctor.display_name, Shift.starts_at)
    )
    slot_ends: dict[UUID, datetime] = {}
    duty_ends: dict[UUID, datetime] = {}
    for shift, doctor in rows:
        if shift.starts_at <= duty_ends.get(doctor.id, now):
            duty_ends[doctor.id] = max(shift.ends_at, duty_ends.get(doctor.id, now))
            slot_ends.setdefault(doctor.id, now + timedelta(minutes=shift.slot_minutes))
    return [(doctor_id, end) for doctor_id, end in slot_ends.items() if end <= duty_ends[doctor_id]]
