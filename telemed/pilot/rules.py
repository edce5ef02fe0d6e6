"""The funnel and its arithmetic: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

STEPS = ("invited", "booked", "came", "measured", "consulted", "prescribed", "delivered", "rated")
SMALL = 5  # counts under it are hidden outside a demo: a village knows who the one patient was
HIDDEN = None
FIRST_DAY, LAST_DAY, DAYS_MAX = date(2000, 1, 1), date(2100, 1, 1), 3700


def nested(steps: Mapping[str, set[UUID]]) -> dict[str, set[UUID]]:
    """Return who counts at each step, each set a part of the one before: who reached a later step is in the earlier ones;
    who rated counts when the medicine arrived.
    """
    found: dict[str, set[UUID]] = {"rated": steps.get("rated", set()) & steps.get("delivered", set())}
    later: set[UUID] = set()
    for step in reversed(STEPS[:-1]):
        later = later | steps.get(step, set())
        found[step] = later
    return {step: found[step] for step in STEPS}


def shown(count: int, *, hide_small: bool) -> int | None:
    """Return a count as it may be shown; None stands for "fewer than 5". Zero tells nothing and is shown."""
    return HIDDEN if hide_small and 0 < count < SMALL else count


def hide_the_lonely(counts: Sequence[int | None]) -> list[int | None]:
    """Return the counts of one step with a second one hidden where only one is: else it is the total less the rest."""
    known = [count for count in counts if count]
    if list(counts).count(HIDDEN) != 1 or not known:
        return list(counts)
    second = list(counts).index(min(known))
    return [HIDDEN if place == second else count for place, count in enumerate(counts)]


def is_period(from_day: date, to_day: date) -> bool:
    """Tell whether two days make a period that somebody may ask for."""
    return FIRST_DAY <= from_day <= to_day <= LAST_DAY and (to_day - from_day).days <= DAYS_MAX


def median(values: Sequence[float]) -> float | None:
    """Return the middle value, or None without values."""
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def minutes(started_at: datetime | None, at: datetime) -> float | None:
    """Return the minutes between two moments, or None when the start is unknown."""
    return (at - started_at).total_seconds() / 60 if started_at else None


def safe_cell(value: object) -> str:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
