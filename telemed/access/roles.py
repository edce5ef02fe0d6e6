"""The action table: which role may do what, and on which condition. What is not written here is denied.

A condition names relations: `+` joins those that must all hold, `|` separates alternatives, `always` needs none.
Relations are registered by the slices that know the facts (see relations.py). Post staff give no medical care: they
see status, never values, diagnoses or drug names. The admin has no clinical read.
"""

from __future__ import annotations

ROLES = (
    "patient",
    "clerk",
    "doctor",
    "pharmacist",
    "dispatcher",
    "postman",
    "coordinator",
    "admin",
    "auditor",
    "gateway",
)
ANYONE = "anyone"  # signed in or not

ACTIONS: dict[str, dict[str, str]] = {
    # everybody
    "page.public": {ANYONE: "always"},
    "session.sign_in": {ANYONE: "always"},
    "session.sign_out": {ANYONE: "always"},
    "session.choose_language": {ANYONE: "always"},
    "home.open": {role: "always" for role in ROLES if role != "gateway"},
    "live.connect": {role: "always" for role in ROLES if role != "gateway"},
    "draft.keep": {ANYONE: "always"},  # whose words it are is told by the session, also by one that stood idle too long
    "draft.read": {role: "always" for role in ROLES if role != "gateway"},  # one's own
    "system.read_health": {ANYONE: "always"},
    "system.read_metrics": {ANYONE: "always"},  # answered to loopback addresses only
    # 1 patients
    "patient.register": {"clerk": "own_branch"},
    "patient.find": {"clerk": "own_branch"},
    "patient.choose": {"clerk": "own_branch"},  # one of several found, by a second fact
    "patient.take_over": {"clerk": "own_branch"},  # a person of another branch, by name, birth date and document
    "patient.check_data": {"coordinator": "own_region"},  # what is wrong in the register, masked
    "patient.mend_data": {"coordinator": "own_region"},
    "patient.read": {"clerk": "own_branch|under_way", "doctor": "care", "patient": "own"},
    "patient.correct": {"clerk": "own_branch+open_visit"},
    "patient.set_preferences": {"clerk": "own_branch", "patient": "own"},
    "patient.issue_card": {"clerk": "own_branch"},
    "patient.show_card": {ANYONE: "always"},
    "consent.give": {"clerk": "own_branch"},
    "consent.withdraw": {"clerk": "own_branch", "patient": "own"},
    "consent.read": {"clerk": "own_branch|under_way", "doctor": "care", "patient": "own"},
    # 2 branches
    "branch.read": {"clerk": "own_branch", "coordinator": "own_region", "admin": "always"},
    "branch.issue_join_code": {"clerk": "own_branch", "coordinator": "own_region"},
    "branch.enrol_meter": {"clerk": "own_branch"},  # pairing and its passkey included
    "branch.forget_meter": {"clerk": "own_branch"},
    "branch.revoke_gateway": {"clerk": "own_branch", "coordinator": "own_region", "admin": "always"},
    "branch.check_line": {"clerk": "own_branch"},
    "branch.check_morning": {"clerk": "own_branch"},
    "region.read": {"coordinator": "own_region"},
    "region.set_regime": {"coordinator": "own_region"},
    "branch.set_rule": {"coordinator": "own_region"},  # by which guideline: no clerk's choice
    "gateway.join": {ANYONE: "always"},
    "gateway.heartbeat": {"gateway": "own_branch"},
    # 3 booking
    "invitation.create": {"clerk": "own_branch", "coordinator": "own_region", "doctor": "care"},
    "invitation.read_reason": {"doctor": "care"},  # a clerk calls without knowing why
    "invitation.list": {"clerk": "own_branch", "coordinator": "own_region"},
    "invitation.answer": {"clerk": "own_branch"},
    "booking.search": {"clerk": "own_branch"},
    "booking.book": {"clerk": "own_branch"},
    "booking.cancel": {"clerk": "own_branch", "patient": "own"},
    "booking.move": {"clerk": "own_branch"},
    "booking.miss": {"clerk": "own_branch"},
    "booking.read_day": {"clerk": "own_branch"},
    "booking.read": {"clerk": "own_branch", "doctor": "care", "patient": "own"},
    "roster.read": {"doctor": "always", "coordinator": "own_region"},
    "roster.edit": {"coordinator": "own_region"},
    # 4 check-up
    "visit.open": {"clerk": "own_branch"},
    "visit.read": {"clerk": "own_branch", "doctor": "care", "patient": "own"},
    "visit.answer": {"clerk": "own_branch+open_visit"},
    "visit.read_answers": {"doctor": "care", "patient": "own"},
    "visit.ask_measurement": {"clerk": "own_branch+open_visit"},
    "visit.simulate": {"clerk": "own_branch+open_visit"},  # a demo deployment only
    "meter.simulate": {"clerk": "own_branch"},  # a demo deployment only
    "visit.finish": {"clerk": "own_branch+open_visit"},
    "visit.close": {"clerk": "own_branch+open_visit"},
    "visit.undo_ending": {"clerk": "own_branch"},  # within half a minute
    # 5 readings
    "reading.submit": {"gateway": "own_branch"},
    "reading.read": {"doctor": "care", "patient": "own"},
    "reading.read_status": {"clerk": "own_branch", "doctor": "care"},
    "reading.type_in": {"clerk": "own_branch+open_visit"},
    "quarantine.list": {"clerk": "own_branch"},
    "quarantine.claim": {"clerk": "own_branch"},  # says whose reading it was, without its values
    "quarantine.confirm": {"doctor": "care"},  # the second person
    # a visit of the wrong person: its clerk says whose the readings are, another person confirms
    "aside.list": {"clerk": "own_branch", "doctor": "own_region", "coordinator": "own_region"},
    "aside.ask_cancel": {"clerk": "own_branch"},
    "aside.erase": {"doctor": "own_region", "coordinator": "own_region"},
    "aside.give_back": {"coordinator": "own_region"},
    # 6 consultation
    "queue.read": {"doctor": "own_region"},
    "consultation.take": {"doctor": "own_region"},
    "consultation.read": {"clerk": "own_branch+open_visit", "doctor": "care", "patient": "own"},
    "consultation.join_call": {"clerk": "own_branch+open_visit", "doctor": "care"},
    "consultation.ask_phone": {"clerk": "own_branch+open_visit"},
    "consultation.chat": {"clerk": "own_branch+open_visit", "doctor": "care"},
    "consultation.add_photo": {"clerk": "own_branch+open_visit", "doctor": "care"},
    "consultation.read_photo": {"doctor": "care", "patient": "own"},
    "consultation.read_quality": {"coordinator": "own_region"},
    "consultation.write_note": {"doctor": "care"},
    "consultation.read_note": {"doctor": "care|own_case", "patient": "own"},
    "consultation.list_ended": {"doctor": "always"},  # one's own, whoever asks
    "consultation.add_addendum": {"doctor": "own_case"},
    "consultation.end": {"doctor": "care"},
    "consultation.hand_over": {"doctor": "care"},
    "consultation.tell": {"clerk": "own_branch"},
    "line.check": {"clerk": "own_branch", "doctor": "always"},
    # 7 prescription
    "prescription.write": {"doctor": "care"},
    "prescription.sign": {"doctor": "care"},
    "prescription.cancel": {"doctor": "care|own_case"},  # it may be valid for longer than the care lasts
    "prescription.read": {"doctor": "care|own_case", "patient": "own"},
    # 8 delivery
    "order.list": {"pharmacist": "own_region"},
    "order.read_items": {"pharmacist": "own_region"},
    "order.pack": {"pharmacist": "own_region"},
    "order.print_slip": {"clerk": "own_branch", "patient": "own"},
    "parcel.list": {"dispatcher": "own_region"},
    "parcel.assign": {"dispatcher": "own_region"},
    "parcel.take_back": {"dispatcher": "own_region"},
    "parcel.track": {"patient": "own"},
    "parcel.read_state": {"clerk": "own_branch", "doctor": "care"},
    "phone.register": {"postman": "always"},
    "round.read": {"postman": "assigned"},
    "round.sync": {"postman": "always"},  # each event is judged by itself: `parcel.hand_over`
    "parcel.hand_over": {"postman": "assigned"},
    # 9 feedback
    "rating.give": {ANYONE: "always"},  # the one-time token is the right
    "rating.read": {"coordinator": "own_region"},
    "complaint.file": {"clerk": "own_branch", "patient": "own"},
    "complaint.list": {"coordinator": "own_region"},
    "complaint.answer": {"coordinator": "own_region"},
    # 10 pilot
    "pilot.read": {"coordinator": "own_region", "auditor": "always"},
    "pilot.export": {"coordinator": "own_region", "auditor": "always"},
    # system
    "audit.read": {"auditor": "always"},
    "account.list": {"admin": "always"},
    "account.create": {"admin": "always"},
    "account.disable": {"admin": "always"},
}


def alternatives(condition: str) -> tuple[frozenset[str], ...]:
    """Return the sets of relations of which one must hold whole; `always` is the empty set."""
    if condition == "always":
        return (frozenset(),)
    return tuple(frozenset(part.strip().split("+")) for part in condition.split("|"))


def conditions_of(action: str, role: str | None) -> tuple[frozenset[str], ...]:
    """Return what `role` needs for `action`; an empty tuple means never. Unknown actions raise KeyError."""
    row = ACTIONS[action]
    found: list[frozenset[str]] = []
    for key in (role, ANYONE):
        if key is not None and key in row:
            found += alternatives(row[key])
    return tuple(found)


def is_open_to(action: str, role: str | None) -> bool:
    """Tell whether `role` may do `action` on any condition at all."""
    return bool(conditions_of(action, role))
