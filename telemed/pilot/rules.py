"""The funnel and its arithmetic: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

STEPS = ("invited", "booked", "came", "measured", "consulted", "prescribed", "delivered", "rated")
SMALL = 5  # counts under it are hidden outside a demo: a village knows who the one patient was
HIDDEN = None


def shown(count: int, *, hide_small: bool) -> int | None:
    """Return a count as it may be shown; None stands for "fewer than 5". Zero tells nothing and is shown."""
    return HIDDEN if hide_small and 0 < count < SMALL else count


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
