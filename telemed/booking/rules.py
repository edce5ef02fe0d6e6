"""Cells, slots, and the life of a booking and an invitation. Pure.

    held -> booked -> arrived -> done         the usual way
    held | booked -> cancelled                given up; its cells are free again
    booked -> no_show                         the day is over and nobody came
    arrived -> booked                         it was another person; this one is still awaited
    done -> arrived                           the end of the visit was taken back at once
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

CELL_S = 300
HOLD = timedelta(minutes=3)
NOTICE = timedelta(minutes=10)
SLOT_MINUTES = (10, 15, 20, 30)
ATTEMPTS_MAX = 3
STEPS: Mapping[str, frozenset[str]] = {
    "held": frozenset({"booked", "cancelled"}),
    "booked": frozenset({"arrived", "cancelled", "no_show"}),
    "arrived": frozenset({"done", "booked"}),
    "done": frozenset({"arrived"}),
    "cancelled": frozenset(),
    "no_show": frozenset({"arrived"}),
}
LIVING = ("held", "booked", "arrived")
NO_MEDICAL_REASON = "check_up"  # what a clerk's form of an older release names; it tells nothing and is not kept
REASONS = ("check_up", "hypertension", "diabetes", "after_hospital", "other")
OUTCOMES = ("booked", "refused", "not_reached")
# What kind of talk a line gives, by its class; a line that nobody measured promises nothing.
TALKS: Mapping[str | None, str] = {
    "good": "video",
    "fair": "video",
    "thin": "thin_video",
    "voice_photos": "voice_photos",
    "telephone": "telephone",
    None: "unknown",
}
TALKS_WITH_PICTURE = ("video", "thin_video")
REFUSALS = ("feels_well", "has_doctor", "cannot_come", "does_not_trust", "no_time", "other")


def may_go(status: str, to: str) -> bool:
    """Tell whether a booking may step from one status to another."""
    return to in STEPS[status]


def cells(starts_at: datetime, ends_at: datetime) -> range:
    """Return the 5-minute cells of UTC epoch that a stretch of time touches."""
    first = int(starts_at.timestamp()) // CELL_S
    return range(first, -(-int(ends_at.timestamp()) // CELL_S))


def nearest_cell(moment: datetime) -> datetime:
    """Return the border between two cells that is nearest to a moment: the moment itself when it stands on one."""
    cell = timedelta(seconds=CELL_S)
    before = moment - timedelta(seconds=moment.timestamp() % CELL_S)
    return before + cell if moment - before > cell / 2 else before


def first_cell(moment: datetime) -> datetime:
    """Return where the first whole cell from a moment on begins."""
    return moment + timedelta(seconds=-moment.timestamp() % CELL_S)


def occupied(resources: Iterable[UUID], starts_at: datetime, ends_at: datetime) -> list[tuple[UUID, int]]:
    """Return every (resource, cell) of a booking, sorted: two rivals then lock in the same order."""
    return sorted((resource, cell) for resource in resources for cell in cells(starts_at, ends_at))


def slots(starts_at: datetime, ends_at: datetime, minutes: int) -> list[tuple[datetime, datetime]]:
    """Return the whole slots of a shift. One that was planned off the grid is used from its first whole cell: a slot
    that touched a cell of its neighbour would take that one's time too.
    """
    length, found = timedelta(minutes=minutes), []
    starts_at = first_cell(starts_at)
    while starts_at + length <= ends_at:
        found.append((starts_at, starts_at + length))
        starts_at += length
    return found


def is_free(taken: set[tuple[UUID, int]], resources: Sequence[UUID], starts_at: datetime, ends_at: datetime) -> bool:
    """Tell whether no resource is taken in any cell of the stretch."""
    return not any(pair in taken for pair in occupied(resources, starts_at, ends_at))


def talk_to_expect(usual_line: str | None) -> str:
    """Return what a patient may count on at this branch: video, thin_video, voice_photos, telephone or unknown."""
    return TALKS[usual_line]


def promises_video(usual_line: str | None, *, is_today: bool, morning: str) -> bool:
    """Tell whether a talk that needs the picture may be booked: the line usually carries one, and for today nothing
    that the morning check found speaks against it.
    """
    if is_today and morning in ("no_video", "not_ready"):
        return False
    return talk_to_expect(usual_line) in TALKS_WITH_PICTURE


def rests(attempts: int, outcome: str | None) -> bool:
    """Tell whether an invitation is over: answered, or tried often enough."""
    return outcome in ("booked", "refused") or attempts >= ATTEMPTS_MAX
