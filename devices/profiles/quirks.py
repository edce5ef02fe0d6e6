"""What certain meters do otherwise than the standard. Each entry names its evidence; each has a packet as test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirk:
    """How a model differs. `reversed_numbering`: sequence number 0 is the newest record, for the collector."""

    big_endian_tail: bool = False
    user_id_always: bool = False
    trailing_allowed: bool = False
    ketone_meal: int | None = None
    reversed_numbering: bool = False


STANDARD = Quirk()
BEURER = Quirk(big_endian_tail=True, user_id_always=True)
# Model as the device information service gives it, in lower case, by its beginning.
TABLE: tuple[tuple[str, Quirk], ...] = (
    # derdilla/blood-pressure-monitor-fl, commit 3ac8958c, with recorded packets
    ("bm85", BEURER),
    ("bm59", BEURER),
    ("elite 900", BEURER),
    # xDrip meter service and its test: meal code 6 marks a ketone strip
    ("caresens dual", Quirk(ketone_meal=6)),
    # xDrip: reversed numbers, no context
    ("taidoc", Quirk(reversed_numbering=True)),
    ("diamond mini", Quirk(reversed_numbering=True)),
)


def quirk_of(model: str | None) -> Quirk:
    """Return how a model differs; an unknown model follows the standard."""
    name = (model or "").strip().lower()
    return next((quirk for beginning, quirk in TABLE if name.startswith(beginning)), STANDARD)
