"""What the figures of calls mean, in one word for the coordinator. Pure.

The voice decides: people put up with a picture that stands still, not with words that are missing.
"""

from __future__ import annotations

# A good call conceals at most 2 to 3 % of the voice even on a thin line; at 5 % whole words are missing.
VOICE_LOST_PCT = 5.0
CUTS_AN_HOUR = 4.0  # one in each quarter of an hour: the length of a visit
PICTURE_STILL_PCT = 20.0
LONG_SET_UP_MS = 8000
TOO_LITTLE_MIN = 5.0  # of both sides together: one short try says nothing about a branch
CLEAR_CHANGE_PCT = 1.0

# From the worst to the best.
VERDICTS = ("voice_lost", "often_cut", "slow_to_begin", "picture_still", "well", "too_little")
TRENDS = ("better", "worse", "same", "new")


def verdict(
    *, minutes: float, concealed_pct: float | None, frozen_pct: float, cuts: int, set_up_ms: int | None
) -> str:
    """Return the first thing that is wrong with the calls, or well, or too_little."""
    if minutes < TOO_LITTLE_MIN:
        return "too_little"
    if concealed_pct is not None and concealed_pct >= VOICE_LOST_PCT:
        return "voice_lost"
    if cuts * 60 / minutes >= CUTS_AN_HOUR:
        return "often_cut"
    if set_up_ms is not None and set_up_ms >= LONG_SET_UP_MS:
        return "slow_to_begin"
    return "picture_still" if frozen_pct >= PICTURE_STILL_PCT else "well"


def trend(before_pct: float | None, now_pct: float | None) -> str:
    """Tell how the voice changed: better, worse, same, or new where one of the two is not known."""
    if before_pct is None or now_pct is None:
        return "new"
    if abs(now_pct - before_pct) < CLEAR_CHANGE_PCT:
        return "same"
    return "worse" if now_pct > before_pct else "better"
