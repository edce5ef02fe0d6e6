"""Use cases of booking: invitations, rosters, free slots, and bookings that one primary key keeps apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Relation, Subject
from telemed.booking import rules
from telemed.booking.events import BookingCancelled, BookingMoved, InvitationAnswered, PatientInvited, VisitBooked
from telemed.booking.models import Booking, Doctor, Invitation, Occupancy, Shift
from telemed.branches import service as branches
from telemed.branches.models import Branch, Corner, Kit
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.patients.models import Patient
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
SEARCH_DAYS_MAX = 60
SLOTS_SHOWN = 60
WALK_IN = timedelta(minutes=15)


# --- invitations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InvitationView:
    """A patient to be called."""

    id: UUID
    patient_id: UUID
    patient_name: str
    phone: str
    reason: str
    attempts: int
    outcome: str | None
    refusal: str | None
    rests: bool


def invite(services: Services, who: Principal, patient_id: UUID, reason: str, invitation_id: UUID | None = None) -> UUID:
    """Put a patient on the call list of the home branch; the same id twice is one invitation."""
    if reason not in rules.REASONS:
        raise Invalid(fields={"reason": "required"})
    subject = patients.subject_of(services, patient_id)
    with services.act(who, "invitation.create", subject) as tx:
        known = tx.get(Invitation, invitation_id) if invitation_id else None
        if known is not None:
            return known.id
        assert who.id is not None
        assert subject.branch_id is not None
        now = services.clock()
        row = Invitation(
            id=invitation_id or new_id(), patient_id=patient_id, branch_id=subject.branch_id, reason=reason,
            created_at=now, created_by=who.id, attempts=0,
        )  # fmt: skip
        tx.add(row)
        services.publish(tx, PatientInvited(row.id, patient_id, row.branch_id, now))
        return row.id


def invitations(services: Services, who: Principal) -> list[InvitationView]:
    """Return the branch's call list with names and phones, those still to be called first; audited."""
    with services.act(who, "invitation.list", Subject(branch_id=who.branch_id, region_id=None)) as tx:
        rows = tx.scalars(
            select(Invitation).where(Invitation.branch_id == who.branch_id).order_by(Invitation.created_at).limit(200)
        ).all()
        views = [
            InvitationView(
                row.id, row.patient_id, patients.name_of(services, tx, row.patient_id),
                patients.contact_of(services, tx, row.patient_id).get("phone", ""), row.reason, row.attempts,
                row.outcome, row.refusal, rules.rests(row.attempts, row.outcome),
            )
            for row in rows
        ]  # fmt: skip
    return sorted(views, key=lambda view: view.rests)


def answer_invitation(
    services: Services, who: Principal, invitation_id: UUID, outcome: str, refusal: str | None = None
) -> None:
    """Record how a call ended: refused with a reason, or not reached (three times, then it rests). `booked` is recorded
    by the booking itself.
    """
    if outcome not in ("refused", "not_reached"):
        raise Invalid(fields={"outcome": "required"})
    if outcome == "refused" and refusal not in rules.REFUSALS:
        raise Invalid(fields={"refusal": "required"})
    with services.db.read() as tx:
        row = tx.get(Invitation, invitation_id)
        if row is None:
            raise NotFound()
        subject = Subject(patient_id=row.patient_id, branch_id=row.branch_id)
    with services.act(who, "invitation.answer", subject) as tx:
        row = tx.get(Invitation, invitation_id, with_for_update=True)
        assert row is not None
        if rules.rests(row.attempts, row.outcome):
            raise Conflict("invitation_over")
        _answer(services, tx, row, outcome, refusal if outcome == "refused" else None)


def _answer(services: Services, tx: Session, row: Invitation, outcome: str, refusal: str | None) -> None:
    row.attempts += 1
    row.outcome, row.refusal, row.outcome_at = outcome, refusal, services.clock()
    services.publish(tx, InvitationAnswered(row.id, row.branch_id, outcome, row.outcome_at))


# --- roster and free slots ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShiftView:
    id: UUID
    doctor_name: str
    starts_at: datetime
    ends_at: datetime
    slot_minutes: int


def roster(services: Services, who: Principal) -> list[ShiftView]:
    """Return the coming shifts: a doctor's own, a coordinator's region's."""
    with services.look(who, "roster.read", Subject(region_id=who.region_id)) as tx:
        query = select(Shift, Doctor).join(Doctor, Doctor.id == Shift.doctor_id).where(Shift.ends_at > services.clock())
        query = query.where(Doctor.id == who.id) if who.role == "doctor" else query.where(Doctor.region_id == who.region_id)
        rows = tx.execute(query.order_by(Shift.starts_at).limit(100)).all()
        return [ShiftView(s.id, d.display_name, s.starts_at, s.ends_at, s.slot_minutes) for s, d in rows]


def add_shift(
    services: Services, who: Principal, doctor_id: UUID, starts_at: datetime, ends_at: datetime, slot_minutes: int
) -> UUID:
    """Put a doctor on duty. Raises Invalid."""
    if not starts_at < ends_at <= starts_at + timedelta(hours=16) or slot_minutes not in (10, 15, 20, 30):
        raise Invalid(fields={"starts_at": "period_invalid"})
    with services.act(who, "roster.edit", Subject(region_id=who.region_id)) as tx:
        doctor = tx.get(Doctor, doctor_id)
        if doctor is None or doctor.region_id != who.region_id:
            raise NotFound()
        row = Shift(
            id=new_id(), doctor_id=doctor_id, starts_at=starts_at, ends_at=ends_at, slot_minutes=slot_minutes
        )  # fmt: skip
        tx.add(row)
        return row.id


@dataclass(frozen=True)
class Slot:
    """A stretch in which doctor, corner and kit are all free."""

    doctor_id: UUID
    doctor_name: str
    specialty: str
    starts_at: datetime
    ends_at: datetime


def free_slots(
    services: Services, who: Principal, branch_id: UUID, from_day: date | None = None, days: int = 14
) -> list[Slot]:
    """Return the next free slots of a branch within its opening hours, at least ten minutes ahead."""
    if not 1 <= days <= SEARCH_DAYS_MAX:
        raise Invalid(fields={"days": "period_invalid"})
    with services.look(who, "booking.search", Subject(branch_id=branch_id)) as tx:
        branch = branches.branch_of(tx, branch_id)
        earliest = services.clock() + rules.NOTICE
        if from_day is not None:
            earliest = max(earliest, datetime.combine(from_day, time.min, ZoneInfo(branch.zone)))
        return _free(tx, branch, earliest, earliest + timedelta(days=days))


def _free(tx: Session, branch: Branch, earliest: datetime, latest: datetime) -> list[Slot]:
    places = _places(tx, branch.id)
    rows = tx.execute(
        select(Shift, Doctor)
        .join(Doctor, Doctor.id == Shift.doctor_id)
        .where(Doctor.region_id == branch.region_id, Shift.ends_at > earliest, Shift.starts_at < latest)
        .order_by(Shift.starts_at)
    ).all()
    resources = {*places, *(doctor.id for _shift, doctor in rows)}
    taken = {
        (row.resource_id, row.cell)
        for row in tx.execute(
            select(Occupancy.resource_id, Occupancy.cell).where(
                Occupancy.resource_id.in_(resources),
                Occupancy.cell >= rules.cells(earliest, latest).start,
                Occupancy.cell < rules.cells(earliest, latest).stop,
            )
        )
    }
    found = [
        Slot(doctor.id, doctor.display_name, doctor.specialty, begins, ends)
        for shift, doctor in rows
        for begins, ends in rules.slots(shift.starts_at, shift.ends_at, shift.slot_minutes)
        if earliest <= begins < latest
        and branches.is_open_at(branch, begins)
        and rules.is_free(taken, (*places, doctor.id), begins, ends)
    ]
    return sorted(found, key=lambda slot: slot.starts_at)[:SLOTS_SHOWN]


def _places(tx: Session, branch_id: UUID) -> tuple[UUID, UUID]:
    """Return corner and kit of a branch. Raises Conflict("no_corner")."""
    corner = tx.scalar(select(Corner.id).where(Corner.branch_id == branch_id).limit(1))
    kit = tx.scalar(select(Kit.id).where(Kit.branch_id == branch_id).limit(1))
    if corner is None or kit is None:
        raise Conflict("no_corner")
    return corner, kit


# --- booking ------------------------------------------------------------------------------------------------------


def hold(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, doctor_id: UUID, starts_at: datetime,
    booking_id: UUID | None = None,
) -> UUID:  # fmt: skip
    """Hold a slot for three minutes while the patient thinks."""
    return _take(services, who, patient_id, branch_id, doctor_id, starts_at, booking_id, status="held")


def book(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, doctor_id: UUID, starts_at: datetime,
    invitation_id: UUID | None = None, booking_id: UUID | None = None,
) -> UUID:  # fmt: skip
    """Book doctor, corner, kit and patient together; the same `booking_id` twice is one booking. Raises
    Conflict("slot_taken") when any of them is taken in any cell.
    """
    return _take(services, who, patient_id, branch_id, doctor_id, starts_at, booking_id, invitation_id=invitation_id)


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
    """Book a patient who stands at the counter: starts now, with the first doctor on duty who is free. Raises
    Conflict("no_doctor_now").
    """
    now = services.clock().replace(second=0, microsecond=0)
    with services.db.read() as tx:
        branch = branches.branch_of(tx, branch_id)
        doctors = tx.scalars(
            select(Doctor.id)
            .join(Shift, Shift.doctor_id == Doctor.id)
            .where(Doctor.region_id == branch.region_id, Shift.starts_at <= now, Shift.ends_at > now)
            .order_by(Doctor.display_name)
            .distinct()
        ).all()
    for doctor_id in doctors:
        try:
            return _take(services, who, patient_id, branch_id, doctor_id, now, booking_id, kind="walk_in")
        except Conflict as error:
            if error.code != "slot_taken":
                raise
    raise Conflict("no_doctor_now")


def _take(
    services: Services, who: Principal, patient_id: UUID, branch_id: UUID, doctor_id: UUID, starts_at: datetime,
    booking_id: UUID | None, *, status: str = "booked", kind: str = "planned", invitation_id: UUID | None = None,
) -> UUID:  # fmt: skip
    subject = Subject(patient_id=patient_id, branch_id=branch_id)
    try:
        with services.act(who, "booking.book", subject) as tx:
            known = tx.get(Booking, booking_id) if booking_id else None
            if known is not None:
                return known.id
            row = _new_booking(services, tx, who, subject, doctor_id, starts_at, kind, booking_id)
            row.status, row.invitation_id = status, _invitation(tx, invitation_id, patient_id)
            row.hold_until = services.clock() + rules.HOLD if status == "held" else None
            tx.add(row)
            tx.flush()
            _occupy(services, tx, row)
            if status == "booked":
                _tell_booked(services, tx, row)
            return row.id
    except IntegrityError:
        raise Conflict("slot_taken") from None


def _new_booking(
    services: Services, tx: Session, who: Principal, subject: Subject, doctor_id: UUID, starts_at: datetime,
    kind: str, booking_id: UUID | None,
) -> Booking:  # fmt: skip
    assert subject.branch_id is not None
    assert who.id is not None
    if tx.get(Patient, subject.patient_id) is None:
        raise NotFound()
    branch = branches.branch_of(tx, subject.branch_id)
    corner, kit = _places(tx, branch.id)
    length = WALK_IN if kind == "walk_in" else _slot_length(services, tx, branch, doctor_id, starts_at)
    return Booking(
        id=booking_id or new_id(), patient_id=subject.patient_id, branch_id=branch.id, corner_id=corner, kit_id=kit,
        doctor_id=doctor_id, kind=kind, starts_at=starts_at, ends_at=starts_at + length, status="booked", version=1,
        created_by=who.id, created_at=services.clock(),
    )  # fmt: skip


def _slot_length(services: Services, tx: Session, branch: Branch, doctor_id: UUID, starts_at: datetime) -> timedelta:
    """Return how long the doctor's slot at that moment is. Raises Invalid when there is no such slot."""
    doctor = tx.get(Doctor, doctor_id)
    if doctor is None or doctor.region_id != branch.region_id:
        raise NotFound()
    if starts_at < services.clock() + rules.NOTICE - timedelta(minutes=5):
        raise Invalid(fields={"starts_at": "date_in_past"})
    shifts = tx.scalars(
        select(Shift).where(Shift.doctor_id == doctor_id, Shift.starts_at <= starts_at, Shift.ends_at > starts_at)
    )
    for shift in shifts:
        if any(begins == starts_at for begins, _ends in rules.slots(shift.starts_at, shift.ends_at, shift.slot_minutes)):
            return timedelta(minutes=shift.slot_minutes)
    raise Invalid(fields={"starts_at": "no_such_slot"})


def _invitation(tx: Session, invitation_id: UUID | None, patient_id: UUID) -> UUID | None:
    row = tx.get(Invitation, invitation_id) if invitation_id else None
    return row.id if row is not None and row.patient_id == patient_id else None


def _occupy(services: Services, tx: Session, row: Booking) -> None:
    """Take the cells in one sorted INSERT; the primary key is the judge. Expired holds on them are released first."""
    resources = (row.doctor_id, row.corner_id, row.kit_id, row.patient_id)
    pairs = rules.occupied(resources, row.starts_at, row.ends_at)
    _release_holds(services, tx, resources, {cell for _resource, cell in pairs})
    tx.execute(
        insert(Occupancy), [{"resource_id": r, "cell": c, "booking_id": row.id} for r, c in pairs]
    )  # fmt: skip


def _release_holds(services: Services, tx: Session, resources: Sequence[UUID], cells: set[int]) -> None:
    expired = tx.scalars(
        select(Booking)
        .join(Occupancy, Occupancy.booking_id == Booking.id)
        .where(
            Occupancy.resource_id.in_(resources), Occupancy.cell.in_(cells), Booking.status == "held",
            Booking.hold_until <= services.clock(),
        )
        .distinct()
    ).all()  # fmt: skip
    for row in expired:
        _free_cells(tx, row, "cancelled", "hold_expired")


def release_expired_holds(services: Services, tx: Session) -> None:
    """Give back every held slot whose three minutes are over; the recurring job."""
    for row in tx.scalars(select(Booking).where(Booking.status == "held", Booking.hold_until <= services.clock())):
        _free_cells(tx, row, "cancelled", "hold_expired")


def _free_cells(tx: Session, row: Booking, status: str, code: str | None) -> None:
    row.status, row.ended_code, row.version = status, code, row.version + 1
    tx.execute(delete(Occupancy).where(Occupancy.booking_id == row.id))


def _tell_booked(services: Services, tx: Session, row: Booking) -> None:
    now = services.clock()
    services.publish(
        tx, VisitBooked(row.id, row.patient_id, row.branch_id, row.doctor_id, row.starts_at, now)
    )  # fmt: skip
    invitation = tx.get(Invitation, row.invitation_id) if row.invitation_id else None
    if invitation is not None and invitation.outcome != "booked":
        _answer(services, tx, invitation, "booked", None)


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
    try:
        with services.act(who, "booking.move", _subject(services, booking_id)) as tx:
            row = _living(tx, booking_id, version)
            branch = branches.branch_of(tx, row.branch_id)
            length = _slot_length(services, tx, branch, doctor_id, starts_at)
            tx.execute(delete(Occupancy).where(Occupancy.booking_id == row.id))
            row.doctor_id, row.starts_at, row.ends_at = doctor_id, starts_at, starts_at + length
            row.version += 1
            tx.flush()
            _occupy(services, tx, row)
            services.publish(
                tx, BookingMoved(row.id, row.branch_id, row.doctor_id, row.starts_at, services.clock())
            )  # fmt: skip
    except IntegrityError:
        raise Conflict("slot_taken") from None


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
    """Note that the visit is over; inside the caller's transaction."""
    _mark(tx, booking_id, "done")


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
        kind=row.kind, version=row.version,
    )  # fmt: skip

