"""Ratings and complaints: their limits, categories and due dates."""

from __future__ import annotations

from datetime import date, timedelta

SCORES = (1, 2, 3, 4, 5)
HELPED = ("yes", "partly", "no", "too_early")
WORDS_MAX = 1000
CATEGORIES = ("waiting", "politeness", "treatment", "medicine", "delivery", "device", "data", "other")
REPLY_WITHIN_DAYS = 30  # 59-FZ: an appeal is answered within 30 days of its registration
KINDS = ("visit", "parcel")
TOKEN_LIFE = timedelta(days=60)


def due_on(filed: date) -> date:
    """Return the last day on which a complaint of that day may be answered."""
    return filed + timedelta(days=REPLY_WITHIN_DAYS)


def is_late(due: date, today: date, *, answered: bool) -> bool:
    """Tell whether an open complaint is past its due date."""
    return not answered and today > due
