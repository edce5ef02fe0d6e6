"""What a branch's line usually carries, out of its measurements over time. Pure.

A booking is made for another day, so the newest measurement alone must not decide: one storm would take the picture
from a branch for weeks, one quiet night would promise it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

# From the best to the worst; tests/branches/test_lines.py holds this to consultation/line.py, which stands downstream.
CLASSES = ("good", "fair", "thin", "voice_photos", "telephone")
WITH_PICTURE = ("good", "fair", "thin")
LOOKED_BACK = timedelta(days=14)
COUNTED = 7


def usual(newest_first: Sequence[str]) -> str | None:
    """Return the middle class of the newest seven, of two middle ones the worse; None when nothing was measured."""
    ranks = sorted(CLASSES.index(one) for one in newest_first[:COUNTED])
    return CLASSES[ranks[len(ranks) // 2]] if ranks else None
