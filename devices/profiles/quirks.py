"""What certain meters do otherwise than the standard. Each entry names its evidence; packets: tests/recordings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Quirk:
    """How a model differs.

    `told_by_length`: only packets with the extra user byte have the model's own layout, others follow the standard.
    `reversed_numbering`: sequence number 0 is the newest record, for the collector.
    """

    big_endian_tail: bool = False
    user_id_always: bool = False
    told_by_length: bool = False
    trailing_allowed: bool = False
    ketone_meal: int | None = None
    reversed_numbering: bool = False


STANDARD = Quirk()
BEURER = Quirk(big_endian_tail=True, user_id_always=True)
REVERSED = Quirk(reversed_numbering=True)
# Models as the device information or the advertisement names them: lower case, letters and digits only.
TABLE: tuple[tuple[str, Quirk], ...] = (
    # derdilla/blood-pressure-monitor-fl, pull request 735 and commit 3ac8958c: recorded from a BM85
    ("bm85", BEURER),
    ("elite900", BEURER),
    # That source lists the BM59 too, untested and later taken out again; a capture of one (ipanalytics) is standard.
    # The wrong layout would lose or falsify the pulse, so each packet tells by its length which one it has.
    ("bm59", replace(BEURER, told_by_length=True)),
    # xDrip ContextRx and its test: meal code 6 marks a ketone strip
    ("caresensdual", Quirk(ketone_meal=6)),
    # xDrip meter service: TaiDoc's Diamond Mini (DM30b) numbers backwards, has no clock and no context
    ("taidoc", REVERSED),
    ("diamondmini", REVERSED),
    ("dm30", REVERSED),
)
# Nothing to do for Accu-Chek (Guide, Aviva Connect, Instant) and Contour: their packets follow the standard.


def quirk_of(model: str | None) -> Quirk:
    """Return how a model differs; an unknown model follows the standard.

    "BM85", "Beurer BM85" and "BM 85" are one model, "BM850" is another. A maker's name before the model may stay.
    """
    name = re.sub(r"[^a-z0-9]", "", (model or "").lower())
    return next((quirk for key, quirk in TABLE if re.search(rf"{key}(?!\d)", name)), STANDARD)
