"""The life of a case as a table, the order of the queue, and what a note may hold.

    waiting -> taken -> in_call -> ended          the doctor's way
    waiting -> abandoned                          the patient left before a doctor came
    taken | in_call -> waiting                    the doctor gives the case back
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

STEPS: Mapping[str, frozenset[str]] = {
    "waiting": frozenset({"taken", "abandoned"}),
    "taken": frozenset({"in_call", "ended", "waiting"}),
    "in_call": frozenset({"ended", "waiting"}),
    "ended": frozenset(),
    "abandoned": frozenset(),
}
WITH_DOCTOR = ("taken", "in_call")
OUTCOMES = ("treated", "advised", "referred", "emergency", "not_reached")
MODES = ("video", "voice_photos", "telephone")
NOTE_FIELDS = ("complaint", "findings", "assessment", "plan")
NOTE_FIELD_MAX = 4000
MESSAGE_MAX = 500
URGENCY = ("RED", "AMBER", "YELLOW", "UNKNOWN", "GREEN")
CARE_BEFORE, CARE_AFTER = timedelta(days=7), timedelta(days=30)


def may_go(state: str, to: str) -> bool:
    """Tell whether a case may step from one state to another."""
    return to in STEPS[state]


def queue_key(level: str, queued_at: datetime) -> tuple[int, datetime]:
    """Return the sort key of a waiting case: the most urgent first, then who waits longest."""
    return URGENCY.index(level) if level in URGENCY else len(URGENCY), queued_at


def needs_the_doctor_now(level: str) -> bool:
    """Tell whether a case must interrupt the queue, also before the clerk has finished."""
    return level == "RED"

