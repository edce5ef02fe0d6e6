"""What a line can carry. Pure: numbers in, a class or a decision out.

Thresholds come from calls on a shaped link (Chromium, both directions shaped): below about 120 kbit/s the browser
gives up the voice together with the picture, so the picture must go before that. They are proposals, not validated
on people. static/js/lib/call-ladder.js decides the same during a call; tests/consultation/video-cases.json holds both
to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any


class LineClass(StrEnum):
    """From the best line to the worst."""

    GOOD = "good"
    FAIR = "fair"
    THIN = "thin"
    VOICE_PHOTOS = "voice_photos"
    TELEPHONE = "telephone"


GOOD_KBIT_S = 450
FAIR_KBIT_S = 220
THIN_KBIT_S = 120
VOICE_KBIT_S = 40
GOOD_LOSS_PCT = 5
TELEPHONE_LOSS_PCT = 20
PICTURE_RTT_MS = 900


@dataclass(frozen=True)
class Line:
    """A measured line. A rate is None when not one train of messages came through, a loss when no voice was heard."""

    rtt_ms: float | None
    up_kbit_s: float | None
    down_kbit_s: float | None
    loss_up_pct: float | None
    loss_down_pct: float | None


@dataclass(frozen=True)
class Picture:
    """What a camera may send. `share` is the part of the measured rate that the picture may take."""

    width: int
    height: int
    fps: int
    share: float | None


PICTURES = {
    LineClass.GOOD: Picture(640, 480, 25, None),
    LineClass.FAIR: Picture(480, 360, 15, 0.55),
    LineClass.THIN: Picture(320, 240, 10, 0.5),
}


def line_class(line: Line) -> LineClass:
    """Return the class of the worse direction. What could not be measured is never taken for good."""
    rate, loss = worse_rate(line), worse_loss(line)
    if rate is None or rate < VOICE_KBIT_S or (loss or 0) > TELEPHONE_LOSS_PCT:
        return LineClass.TELEPHONE
    if rate < THIN_KBIT_S or (line.rtt_ms or 0) > PICTURE_RTT_MS:
        return LineClass.VOICE_PHOTOS
    if rate < FAIR_KBIT_S:
        return LineClass.THIN
    if rate < GOOD_KBIT_S or loss is None or loss >= GOOD_LOSS_PCT or line.rtt_ms is None:
        return LineClass.FAIR
    return LineClass.GOOD


def judged(line: Line) -> dict[str, Any]:
    """Return the figures of a check in whole numbers, with the class."""
    return {
        "rtt_ms": _whole(line.rtt_ms), "up_kbit_s": _whole(line.up_kbit_s), "down_kbit_s": _whole(line.down_kbit_s),
        "loss_up_pct": line.loss_up_pct, "loss_down_pct": line.loss_down_pct, "line_class": str(line_class(line)),
    }  # fmt: skip


def judged_roughly(rtt_ms: float | None, up_kbit_s: float | None, down_kbit_s: float | None) -> dict[str, Any]:
    """Return the same for a line of which only the way of the pages is known, because no media came through. It is
    never taken for better than thin: its loss is unknown, and what stopped the check may stop a call.
    """
    found = judged(Line(rtt_ms, up_kbit_s, down_kbit_s, None, None))
    if found["line_class"] in (LineClass.GOOD, LineClass.FAIR):
        found["line_class"] = str(LineClass.THIN)
    return {**found, "took_ms": None, "is_rough": True}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def worse_rate(line: Line) -> float | None:
    """Return the lower rate, or None when a direction carried nothing."""
    if line.up_kbit_s is None or line.down_kbit_s is None:
        return None
    return min(line.up_kbit_s, line.down_kbit_s)


def worse_loss(line: Line) -> float | None:
    """Return the higher loss, or None when a direction is unknown and the other one is bearable."""
    known = [loss for loss in (line.loss_up_pct, line.loss_down_pct) if loss is not None]
    if len(known) == 2 or any(loss > TELEPHONE_LOSS_PCT for loss in known):
        return max(known)
    return None


def picture_limits(class_: LineClass, rate_kbit_s: float | None) -> dict[str, int | None] | None:
    """Return what the camera may send on this line, or None when there should be no moving picture."""
    picture = PICTURES.get(class_)
    if picture is None:
        return None
    cap = None if picture.share is None or rate_kbit_s is None else int(rate_kbit_s * picture.share)
    return {"width": picture.width, "height": picture.height, "fps": picture.fps, "max_kbit_s": cap}


# --- during the call ---------------------------------------------------------------------------------------------

PICTURE_OFF_KBIT_S = 130
PICTURE_OFF_AFTER_S = 5
# Where more than this is lost there is little but inventions to hear: two samples that agree are enough. What the far end
# reports may be lost as well, and the browser's estimate may be seconds old, so what is lost of the voice that should
# come counts too: a line whose one way is full is full of both pictures.
PICTURE_OFF_LOSS_PCT = 20
PICTURE_OFF_HEARD_LOSS_PCT = 30
PICTURE_OFF_SOON_S = 1
# Firefox ESR 140 has no estimate of what the line would carry. Only a full line then shows its rate: what arrives at the
# far end. Where more than this is lost a browser sends less and less; what waits in a queue shows in the round trip.
FULL_LOSS_PCT = 10
PICTURE_ON_KBIT_S = 220
PICTURE_ON_AFTER_S = 20
# With voice alone a browser's estimate stays near the voice's own rate and cannot climb to 220, so a quiet line gets
# a trial of the picture; each failed trial doubles the wait. A trial that holds for a minute counts as success.
TRIAL_AFTER_S = 30
TRIAL_AFTER_MOST_S = 240
TRIAL_RTT_MS = 400
TRIAL_RTT_MORE_MS = 150  # a far line is quiet too: no more than this above its shortest round trip
TRIAL_LOSS_PCT = 5
TRIAL_HELD_S = 60


@dataclass(frozen=True)
class VideoSwitch:
    """Whether the picture goes out, since when, since when the line speaks against that, and how long to wait."""

    on: bool = True
    changed_at_s: float = 0
    against_since_s: float | None = None
    trial_after_s: float = TRIAL_AFTER_S
    least_rtt_ms: float | None = None


@dataclass(frozen=True)
class Sample:
    """One second of a call: what the browser thinks it may send, the round trip, what the far end says it lost, what was
    lost of the far end's voice here, and what the far end says arrived there. What is unknown is None.
    """

    at_s: float
    kbit_s: float | None = None
    rtt_ms: float | None = None
    loss_pct: float | None = None
    heard_loss_pct: float | None = None
    arrives_kbit_s: float | None = None


def next_switch(switch: VideoSwitch, sample: Sample) -> VideoSwitch:
    """Return the switch after one second's sample. Off is quick, on is slow, so that the picture does not flap."""
    known = [rtt for rtt in (switch.least_rtt_ms, sample.rtt_ms) if rtt]
    seen = replace(switch, least_rtt_ms=min(known, default=None))
    return _while_on(seen, sample) if seen.on else _while_off(seen, sample)


def _while_on(switch: VideoSwitch, sample: Sample) -> VideoSwitch:
    at_s, is_deaf = sample.at_s, (sample.heard_loss_pct or 0) > PICTURE_OFF_HEARD_LOSS_PCT
    is_bad = is_deaf or _is_thin(switch, sample) or (sample.rtt_ms or 0) > PICTURE_RTT_MS
    held = at_s - switch.changed_at_s >= TRIAL_HELD_S
    if not is_bad:
        return replace(switch, against_since_s=None, trial_after_s=TRIAL_AFTER_S if held else switch.trial_after_s)
    since = at_s if switch.against_since_s is None else switch.against_since_s
    is_urgent = is_deaf or (sample.loss_pct or 0) > PICTURE_OFF_LOSS_PCT
    if at_s - since < (PICTURE_OFF_SOON_S if is_urgent else PICTURE_OFF_AFTER_S):
        return replace(switch, against_since_s=since)
    return replace(switch, on=False, changed_at_s=at_s, against_since_s=None)


def _while_off(switch: VideoSwitch, sample: Sample) -> VideoSwitch:
    at_s, kbit_s, rtt_ms, loss_pct = sample.at_s, sample.kbit_s, sample.rtt_ms, sample.loss_pct
    is_rich = kbit_s is not None and kbit_s > PICTURE_ON_KBIT_S and (rtt_ms or 0) <= PICTURE_RTT_MS
    since = (at_s if switch.against_since_s is None else switch.against_since_s) if is_rich else None
    if since is not None and at_s - since >= PICTURE_ON_AFTER_S:
        return VideoSwitch(True, at_s, least_rtt_ms=switch.least_rtt_ms)
    is_quiet = _has_no_queue(switch, rtt_ms) and loss_pct is not None and loss_pct < TRIAL_LOSS_PCT
    if is_quiet and at_s - switch.changed_at_s >= switch.trial_after_s:
        longer_s = min(switch.trial_after_s * 2, TRIAL_AFTER_MOST_S)
        return VideoSwitch(True, at_s, None, longer_s, switch.least_rtt_ms)
    return replace(switch, against_since_s=since)


def _is_thin(switch: VideoSwitch, sample: Sample) -> bool:
    """Tell whether the line carries too little: by the browser's estimate, else by what arrives of a full line."""
    if sample.kbit_s is not None:
        return sample.kbit_s < PICTURE_OFF_KBIT_S
    has_queue = sample.rtt_ms is not None and not _has_no_queue(switch, sample.rtt_ms)
    is_full = has_queue or (sample.loss_pct or 0) > FULL_LOSS_PCT
    return is_full and sample.arrives_kbit_s is not None and sample.arrives_kbit_s < PICTURE_OFF_KBIT_S


def _has_no_queue(switch: VideoSwitch, rtt_ms: float | None) -> bool:
    return rtt_ms is not None and rtt_ms < max(TRIAL_RTT_MS, (switch.least_rtt_ms or 0) + TRIAL_RTT_MORE_MS)


# --- from arrivals to rates --------------------------------------------------------------------------------------

HEADERS_BYTES = 68  # IP, UDP, DTLS and SCTP around each message
SHORTEST_GAP_S = 1e-4
TRAIN_LEAST = 4
PAIR_QUANTILE = 0.75
RUN_QUANTILE = 0.75
RUN, RUNS_NEEDED = 4, 12  # of few runs too many are those where the sender paused after a loss
BATCH_S = 1e-3  # two messages closer than this were taken from the socket in one go; it says nothing about the line


@dataclass(frozen=True)
class Arrival:
    """A message of a train: when it came, its size and its number within the train."""

    at_s: float
    size_bytes: int
    index: int


def rate_of_runs(trains: Iterable[Sequence[Arrival]]) -> float | None:
    """Return kbit/s from runs of four messages in a row; from pairs when loss left too few runs.

    A busy receiver takes two or three waiting messages at once, and the gap between those is nearly nothing: on a line
    of 512 kbit/s pairs have said 2,900. A run spans such a batch.
    """
    ordered = [sorted(train, key=lambda one: one.at_s) for train in trains]
    rates = sorted(_rate(run) for run in _in_a_row(ordered, RUN))
    return rates[int(len(rates) * RUN_QUANTILE)] if len(rates) >= RUNS_NEEDED else rate_of_pairs(ordered)


def rate_of_pairs(trains: Iterable[Sequence[Arrival]]) -> float | None:
    """Return kbit/s from gaps between neighbours. A high quantile, because the sender's own window only slows it."""
    ordered = [sorted(train, key=lambda one: one.at_s) for train in trains]
    pairs = [pair for pair in _in_a_row(ordered, 2) if pair[1].at_s - pair[0].at_s >= BATCH_S]
    rates = sorted(_rate(pair) for pair in pairs)
    return rates[int(len(rates) * PAIR_QUANTILE)] if rates else None


def _in_a_row(trains: Iterable[Sequence[Arrival]], length: int) -> list[Sequence[Arrival]]:
    """Return each stretch of `length` messages of which none is missing."""
    runs = [train[at : at + length] for train in trains for at in range(len(train) - length + 1)]
    return [run for run in runs if all(after.index == before.index + 1 for before, after in pairwise(run))]


def _rate(run: Sequence[Arrival]) -> float:
    gap_s = max(run[-1].at_s - run[0].at_s, SHORTEST_GAP_S)
    return sum(one.size_bytes + HEADERS_BYTES for one in run[1:]) * 8 / gap_s / 1000


def rate_of_trains(trains: Iterable[Sequence[Arrival]]) -> float | None:
    """Return the median kbit/s of whole trains. For a receiver that reads messages in batches, where pairs lie."""
    rates = sorted(_rate(sorted(train, key=lambda one: one.at_s)) for train in trains if len(train) >= TRAIN_LEAST)
    return rates[len(rates) // 2] if rates else None


def loss_pct(received: int, lost: int) -> float | None:
    """Return the percentage lost, or None when nothing was expected."""
    expected = received + max(lost, 0)
    return round(100 * max(lost, 0) / expected, 1) if expected else None
