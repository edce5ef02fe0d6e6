"""Pages of booking: the call list, free slots, the day list, the roster."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectChoice, SelectField

from telemed.booking import rules, service, service_slots
from telemed.branches import service as branches
from telemed.branches import service_morning
from telemed.clock import iso, parse_iso
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id, parse_id
from telemed.patients import service as patients
from telemed.rules_typed import Unreadable, read_day
from telemed.web import forms, words
from telemed.web.guard import guard, services, who

pages = Blueprint("booking", __name__)
LENGTHS = [SelectChoice(str(minutes), str(minutes)) for minutes in rules.SLOT_MINUTES]
DAYS_AROUND = timedelta(days=3660)


@pages.get("/invitations")
@guard("invitation.list")
def invitations() -> ResponseReturnValue:
    """Show whom to call, and how each call ended."""
    found = service.invitations(services(), who())
    return render_template("booking/invitations.html", invitations=found, refusals=rules.REFUSALS)


@pages.post("/invitations")
@guard("invitation.create")
def invite() -> ResponseReturnValue:
    """Put a patient on the call list. Only a doctor says why; a clerk's form of an older release named a reason."""
    is_doctor = who().role == "doctor"
    reason = request.form.get("reason", "") if is_doctor else None
    target, own = request.form.get("next", ""), "home.open_home" if is_doctor else "booking.invitations"
    try:
        service.invite(services(), who(), _id("patient_id"), reason, parse_id(request.form.get("id")))
    except Invalid:
        flash("Choose why the patient is to be invited.", "warn")
    except Conflict as error:
        if error.code != "consent_withdrawn":
            raise
        flash(words.say_code(error.code), "warn")
    else:
        flash("The patient is on the call list.", "success")
    return redirect(target if forms.is_own_path(target) else url_for(own))


@pages.post("/invitations/<uuid:invitation_id>/answer")
@guard("invitation.answer")
def answer(invitation_id: UUID) -> ResponseReturnValue:
    """Record how a call ended."""
    try:
        service.answer_invitation(
            services(), who(), invitation_id, request.form.get("outcome", ""), request.form.get("refusal") or None
        )
    except Invalid:
        flash("Choose why the patient refused.", "warn")
    except Conflict:
        flash("This invitation was answered already.", "warn")
    return redirect(url_for("booking.invitations"))


@pages.get("/booking/slots")
@guard("booking.search")
def slots() -> ResponseReturnValue:
    """Show the next free times for a patient."""
    return _slots_page(_id("patient_id"))


@pages.post("/booking")
@guard("booking.book")
def book() -> ResponseReturnValue:
    """Book a slot, or move a booking to it; when somebody was faster, show the next free times."""
    patient_id, doctor_id, starts_at = _id("patient_id"), _id("doctor_id"), _moment("starts_at")
    moved = parse_id(request.form.get("move"))
    try:
        if moved:
            service.move(services(), who(), moved, doctor_id, starts_at, _version() or 0)
        else:
            service.book(
                services(), who(), patient_id, _branch_id(), doctor_id, starts_at,
                parse_id(request.form.get("invitation_id")), parse_id(request.form.get("booking_id")),
                needs_video=_needs_video(),
            )  # fmt: skip
    except (Conflict, Invalid) as error:
        return _slots_page(patient_id, _why_not(error, patient_id, starts_at)), error.status
    flash("The booking is moved." if moved else "The time is booked.", "success")
    if _is_from_call_list():
        return redirect(url_for("morning.calls"))
    return redirect(url_for("booking.day", date=starts_at.astimezone(_zone()).date().isoformat()))


@pages.post("/booking/hold")
@guard("booking.book")
def hold() -> ResponseReturnValue:
    """Hold a slot for three minutes, so that nobody takes it while the patient thinks."""
    patient_id, doctor_id, starts_at = _id("patient_id"), _id("doctor_id"), _moment("starts_at")
    try:
        booking_id = service.hold(
            services(), who(), patient_id, _branch_id(), doctor_id, starts_at,
            parse_id(request.form.get("booking_id")), parse_id(request.form.get("invitation_id")),
            needs_video=_needs_video(),
        )  # fmt: skip
    except (Conflict, Invalid) as error:
        return _slots_page(patient_id, _why_not(error, patient_id, starts_at)), error.status
    return redirect(url_for("booking.held", booking_id=booking_id))


@pages.get("/booking/<uuid:booking_id>/held")
@guard("booking.read")
def held(booking_id: UUID) -> ResponseReturnValue:
    """Show the slot that is held, with the time that is left to say yes."""
    words.use_zone(_zone().key)
    slot = service.held(services(), who(), booking_id)
    patient = patients.patient_card(services(), who(), slot.patient_id)
    return render_template("booking/held.html", slot=slot, patient=patient)


@pages.post("/booking/<uuid:booking_id>/confirm")
@guard("booking.book")
def confirm(booking_id: UUID) -> ResponseReturnValue:
    """Book the held slot; when its three minutes are over, show the next free times."""
    slot = service.held(services(), who(), booking_id)
    try:
        service.confirm(services(), who(), booking_id)
    except Conflict:
        return _slots_page(slot.patient_id, "hold_expired"), 409
    flash("The time is booked.", "success")
    return redirect(url_for("booking.day", date=slot.starts_at.astimezone(_zone()).date().isoformat()))


@pages.post("/booking/<uuid:booking_id>/release")
@guard("booking.cancel")
def release(booking_id: UUID) -> ResponseReturnValue:
    """Give a held slot back and show the free times again."""
    slot = service.held(services(), who(), booking_id)
    try:
        service.cancel(services(), who(), booking_id)
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("booking.slots", patient_id=slot.patient_id))


@pages.post("/booking/<uuid:booking_id>/miss")
@guard("booking.miss")
def miss(booking_id: UUID) -> ResponseReturnValue:
    """Note that the patient did not come."""
    try:
        service.miss(services(), who(), booking_id, _version())
    except Conflict as error:
        flash(words.say_code(error.code), "warn")
    return redirect(url_for("booking.day"))


@pages.post("/booking/<uuid:booking_id>/cancel")
@guard("booking.cancel")
def cancel(booking_id: UUID) -> ResponseReturnValue:
    """Give a booking up."""
    try:
        service.cancel(services(), who(), booking_id, _version())
        flash("The booking is cancelled; the time is free again.", "success")
    except Conflict:
        flash("The booking has changed meanwhile; look at the list again.", "warn")
    if _is_from_call_list():
        return redirect(url_for("morning.calls"))
    return redirect(url_for("my.page" if who().role == "patient" else "booking.day"))


@pages.get("/day")
@guard("booking.read_day")
def day() -> ResponseReturnValue:
    """Show a day's bookings with the next thing to do for each."""
    chosen = _day()
    entries = service.day_list(services(), who(), _branch_id(), chosen)
    words.use_zone(_zone().key)
    return render_template(
        "booking/day.html", entries=entries, day=chosen, now=services().clock(), before=chosen - timedelta(days=1),
        after=chosen + timedelta(days=1), morning=service_morning.of_today(services(), who(), _branch_id()),
    )  # fmt: skip


@pages.get("/roster")
@guard("roster.read")
def roster() -> ResponseReturnValue:
    """Show the coming shifts; a coordinator plans them here."""
    return _roster_page(_shift_form())


@pages.post("/roster")
@guard("roster.edit")
def add_shift() -> ResponseReturnValue:
    """Put a doctor on duty; a refused form keeps its words."""
    form = _shift_form()
    if form is None or not form.validate():
        return _roster_page(form), 422
    zone = ZoneInfo(service.roster_zone(services(), who()))
    starts_at, ends_at = form.period(zone)
    try:
        service.add_shift(
            services(), who(), UUID(form.doctor_id.data), starts_at, ends_at, int(form.slot_minutes.data)
        )  # fmt: skip
    except Invalid as error:
        form.take(error, **_nearest(error, starts_at, zone))
        return _roster_page(form), 422
    flash("The shift is planned.", "success")
    return redirect(url_for("booking.roster"))


@pages.post("/roster/<uuid:shift_id>/remove")
@guard("roster.edit")
def remove_shift(shift_id: UUID) -> ResponseReturnValue:
    """Take a doctor off duty, unless patients are booked."""
    try:
        service.remove_shift(services(), who(), shift_id)
        flash("The shift is removed.", "success")
    except Conflict as error:
        flash(words.say_code(error.code, **error.facts), "warn")
    return redirect(url_for("booking.roster"))


class ShiftForm(forms.PageForm):
    """A doctor's hours on one day, in the region's time."""

    doctor_id = SelectField("Doctor", validators=[forms.required()])
    day = forms.DayField("Day", forms.required())
    starts_at = forms.HourField("From", forms.required())
    ends_at = forms.HourField("To", forms.required())
    slot_minutes = SelectField("Minutes a patient", choices=LENGTHS, default="15")

    def validate_day(self, field: forms.DayField) -> None:
        """Refuse years that nobody plans for."""
        if field.data is not None and not 2000 <= field.data.year <= 2200:
            raise forms.stop("not_a_date")

    def period(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return begin and end in UTC; an end before the begin is one of the next day."""
        begins, ends = self.starts_at.data, self.ends_at.data
        last_day = self.day.data + timedelta(days=int(ends <= begins))
        return (
            datetime.combine(self.day.data, begins, zone).astimezone(UTC),
            datetime.combine(last_day, ends, zone).astimezone(UTC),
        )


def _nearest(error: Invalid, starts_at: datetime, zone: ZoneInfo) -> dict[str, str]:
    """Return the nearest good time of a refused begin, by the region's clock and on the same day."""
    if "nearest" not in error.facts:
        return {}
    begin, nearest = starts_at.astimezone(zone), parse_iso(str(error.facts["nearest"])).astimezone(zone)
    if nearest.date() > begin.date():
        nearest -= timedelta(seconds=rules.CELL_S)
    return {"nearest": f"{nearest:%H:%M}"}


def _shift_form() -> ShiftForm | None:
    """Return the form for who may plan, else None."""
    if who().role != "coordinator":
        return None
    form = ShiftForm()
    form.doctor_id.choices = [SelectChoice("", words.say("Not chosen"))] + [
        SelectChoice(str(id), name) for id, name in service.doctors_of_region(services(), who())
    ]
    return form


def _roster_page(form: ShiftForm | None) -> str:
    words.use_zone(service.roster_zone(services(), who()))
    return render_template("booking/roster.html", shifts=service.roster(services(), who()), form=form)


def _why_not(error: Conflict | Invalid, patient_id: UUID, starts_at: datetime) -> str:
    if isinstance(error, Invalid):
        return error.said
    own = error.code == "slot_taken" and not request.form.get("move")
    if own and service_slots.is_patient_booked(services(), who(), patient_id, _branch_id(), starts_at):
        return "patient_booked_now"
    return error.code


def _slots_page(patient_id: UUID, code: str | None = None) -> str:
    branch_id = _branch_id()
    words.use_zone(_zone().key)
    day, doctor = _day() if request.values.get("date") else None, parse_id(request.values.get("doctor"))
    found = service.free_slots(
        services(), who(), branch_id, day, 1 if day else 14, needs_video=_needs_video(), doctor_id=doctor
    )
    return render_template(
        "booking/slots.html",
        patient=patients.patient_card(services(), who(), patient_id),
        slots=service.next_times(found, None if day else service_slots.TIMES_SHOWN),
        day=day,
        chosen_doctor=doctor,
        doctors=service.doctors_ahead(services(), who(), branch_id),
        code=code,
        talk=service.talk_at(services(), who(), branch_id),
        needs_video=_needs_video(),
        booking_id=new_id(),
        invitation_id=request.values.get("invitation_id", ""),
        move=request.values.get("move", ""),
        version=request.values.get("version", ""),
        back=request.values.get("back", ""),
        morning=service_morning.of_today(services(), who(), branch_id),
        iso=iso,
    )


def _needs_video() -> bool:
    """Tell whether the doctor must see the patient."""
    return request.values.get("needs_video") == "yes"


def _is_from_call_list() -> bool:
    """Tell whether the clerk works off the list of those who should not come today."""
    return request.values.get("back") == "calls" and who().role == "clerk"


def _branch_id() -> UUID:
    branch_id = who().branch_id
    if branch_id is None:
        raise NotFound()
    return branch_id


def _id(name: str) -> UUID:
    found = parse_id(request.values.get(name))
    if found is None:
        raise NotFound()
    return found


def _moment(name: str) -> datetime:
    try:
        return parse_iso(request.form.get(name, ""))
    except ValueError:
        raise Invalid(fields={name: "not_a_time"}) from None


def _version() -> int | None:
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _zone() -> ZoneInfo:
    """Return the branch's zone: its days are the days of the list."""
    with services().db.read() as tx:
        return ZoneInfo(branches.branch_of(tx, _branch_id()).zone)


def _day() -> date:
    """Return the chosen day, else the branch's today. Far years are no working days and would overflow."""
    today = services().clock().astimezone(_zone()).date()
    try:
        chosen = read_day(request.values.get("date", ""))
    except Unreadable:
        return today
    return chosen if abs(chosen - today) < DAYS_AROUND else today
