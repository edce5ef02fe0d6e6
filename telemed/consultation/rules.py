"""The life of a case as a table, the order of the queue, and what a note may hold.

    waiting -> taken -> in_call -> ended          the doctor's way
    waiting -> abandoned                          it was the wrong person, or the patient took the consent back
    abandoned -> waiting                          that was taken back at once
    taken | in_call -> waiting                    the doctor gives the case back, or hands it to another doctor

A case that still waits when its patient goes home is *stored*: nobody sits at the corner, a doctor answers in writing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

STEPS: Mapping[str, frozenset[str]] = {
    "waiting": frozenset({"taken", "abandoned"}),
    "taken": frozenset({"in_call", "ended", "waiting"}),
    "in_call": frozenset({"ended", "waiting"}),
    "ended": frozenset(),
    "abandoned": frozenset({"waiting"}),
}
WITH_DOCTOR = ("taken", "in_call")
OUTCOMES = ("treated", "advised", "referred", "emergency", "not_reached")
MODES = ("video", "thin_video", "voice_photos", "telephone")  # the steps of the ladder, from the best down
PERSONS_STEPS = ("automatic", "code_same", "code_differs", "say_again", "camera_lost", "camera_back")
STEP_REASONS = ("start", "line_thin", "line_slow", "line_better", "doctor", "clerk", "asked", "dropped")
PLACE_KEPT = timedelta(minutes=10)
LINE_FRESH = timedelta(hours=12)
QUALITY_SHOWN = timedelta(days=30)
QUALITY_NOW = timedelta(days=7)
QUALITY_WEEKS = 8
NOTE_FIELDS = ("complaint", "findings", "assessment", "plan")
NOTE_FIELD_MAX = 4000
MESSAGE_MAX = 500
URGENCY = ("RED", "AMBER", "YELLOW", "UNKNOWN", "GREEN")
CARE_BEFORE, CARE_AFTER = timedelta(days=7), timedelta(days=30)
HANDOVER_MAX = 1000
ADDENDUM_MAX = 2000
STORED_ANSWER_WITHIN = timedelta(hours=24)
HANDED_KEPT = timedelta(minutes=15)
VITALS_NEEDED = 2
# Why a clerk may send a case that is not complete; the doctor sees the reason.
CANNOT_WAIT = "cannot_wait"
DESPITE = ("meter_silent", "patient_cannot_say", CANNOT_WAIT)


def may_go(state: str, to: str) -> bool:
    """Tell whether a case may step from one state to another."""
    return to in STEPS[state]


def queue_key(level: str, queued_at: datetime) -> tuple[int, datetime]:
    """Return the sort key of a waiting case: the most urgent first, then who waits longest."""
    return URGENCY.index(level) if level in URGENCY else len(URGENCY), queued_at


def keeps_place(level: str, corner_left_at: datetime | None, now: datetime) -> bool:
    """Tell whether a case given back keeps its place: always while the corner is there, ten minutes after it was lost."""
    return needs_the_doctor_now(level) or corner_left_at is None or now - corner_left_at <= PLACE_KEPT


def is_kept_for(handed_at: datetime, stored_at: datetime | None, now: datetime) -> bool:
    """Tell whether a case that was handed over still waits for that one doctor. A patient who sits at the corner does so
    for a quarter of an hour, a written answer until its time is over; then it is anybody's.
    """
    return now < (stored_at + STORED_ANSWER_WITHIN if stored_at else handed_at + HANDED_KEPT)


def lowest(modes: Iterable[str]) -> str:
    """Return the lowest step of the ladder among those of the two sides."""
    return max(modes, key=MODES.index, default=MODES[0])


def needs_the_doctor_now(level: str) -> bool:
    """Tell whether a case must interrupt the queue, also before the clerk has finished."""
    return level == "RED"



def asks_for_a_doctor(level: str, *, has_doubtful: bool) -> bool:
    """Tell whether a patient who went home unseen is called back: above GREEN, or of no known urgency because a result
    was doubtful or none.
    """
    return level in ("RED", "AMBER", "YELLOW") or (level == "UNKNOWN" and has_doubtful)


def missing(answers: Mapping[str, Any], vitals: Collection[str], level: str) -> tuple[str, ...]:
    """Return what a case still lacks before a doctor should get it: complaint, vitals, medicines, allergies, question.

    A case that reaches a doctor empty costs both sides a second appointment. RED lacks nothing: it must not wait.
    The complaint counts as given once every symptom has its yes or no. Vitals are counted by kind: a second glucose
    tells no more than the first, while a branch with nothing but a pressure meter has two, pressure and pulse.
    """
    if needs_the_doctor_now(level):
        return ()
    found = [] if answers else ["complaint"]
    if len(vitals) < VITALS_NEEDED:
        found.append("vitals")
    return (*found, *(name for name in ("medicines", "allergies", "question") if not str(answers.get(name, "")).strip()))
