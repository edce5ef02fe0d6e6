"""What a line can carry. Pure: numbers in, a class or a decision out.

Thresholds come from calls on a shaped link (Chromium, both directions shaped): below about 120 kbit/s the browser
gives up the voice together with the picture, so the picture must go before that. They are proposals, not validated
on people. static/js/lib/call.js decides the same during a call; tests/consultation/video-cases.json holds both to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise


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
PICTURE_ON_KBIT_S = 220
PICTURE_ON_AFTER_S = 20
# With voice alone a browser's estimate stays near the voice's own rate and cannot climb to 220, so a quiet line gets
# a trial of the picture; each failed trial doubles the wait. A trial that holds for a minute counts as success.
TRIAL_AFTER_S = 30
TRIAL_AFTER_MOST_S = 240
TRIAL_RTT_MS = 400
TRIAL_LOSS_PCT = 5
TRIAL_HELD_S = 60


@dataclass(frozen=True)
class VideoSwitch:
    """Whether the picture goes out, since when, since when the line speaks against that, and how long to wait."""

    on: bool = True
    changed_at_s: float = 0
    against_since_s: float | None = None
    trial_after_s: float = TRIAL_AFTER_S


def next_switch(
    switch: VideoSwitch, *, at_s: float, kbit_s: float | None, rtt_ms: float | None, loss_pct: float | None
) -> VideoSwitch:
    """Return the switch after one second's sample. Off is quick, on is slow, so that the picture does not flap."""
    if switch.on:
        return _while_on(switch, at_s, kbit_s, rtt_ms)
    return _while_off(switch, at_s, kbit_s, rtt_ms, loss_pct)


def _while_on(switch: VideoSwitch, at_s: float, kbit_s: float | None, rtt_ms: float | None) -> VideoSwitch:
    is_bad = (kbit_s is not None and kbit_s < PICTURE_OFF_KBIT_S) or (rtt_ms or 0) > PICTURE_RTT_MS
    held = at_s - switch.changed_at_s >= TRIAL_HELD_S
    if not is_bad:
        return replace(switch, against_since_s=None, trial_after_s=TRIAL_AFTER_S if held else switch.trial_after_s)
    since = at_s if switch.against_since_s is None else switch.against_since_s
    if at_s - since < PICTURE_OFF_AFTER_S:
        return replace(switch, against_since_s=since)
    return VideoSwitch(False, at_s, None, switch.trial_after_s)


def _while_off(
    switch: VideoSwitch, at_s: float, kbit_s: float | None, rtt_ms: float | None, loss_pct: float | None
) -> VideoSwitch:
    is_rich = kbit_s is not None and kbit_s > PICTURE_ON_KBIT_S and (rtt_ms or 0) <= PICTURE_RTT_MS
    since = (at_s if switch.against_since_s is None else switch.against_since_s) if is_rich else None
    if since is not None and at_s - since >= PICTURE_ON_AFTER_S:
        return VideoSwitch(True, at_s)
    is_quiet = rtt_ms is not None and rtt_ms < TRIAL_RTT_MS and loss_pct is not None and loss_pct < TRIAL_LOSS_PCT
    if is_quiet and at_s - switch.changed_at_s >= switch.trial_after_s:
        return VideoSwitch(True, at_s, None, min(switch.trial_after_s * 2, TRIAL_AFTER_MOST_S))
    return replace(switch, against_since_s=since)


# --- from arrivals to rates --------------------------------------------------------------------------------------

HEADERS_BYTES = 68  # IP, UDP, DTLS and SCTP around each message
SHORTEST_GAP_S = 1e-4
PAIR_QUANTILE = 0.85
RUN, RUN_QUANTILE, RUNS_NEEDED = 4, 0.75, 3


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
    runs = [train[at : at + RUN] for train in ordered for at in range(len(train) - RUN + 1)]
    whole = [run for run in runs if all(after.index == before.index + 1 for before, after in pairwise(run))]
    if len(whole) < RUNS_NEEDED:
        return rate_of_pairs(ordered)
    rates = sorted(rate for run in whole if (rate := _train(run)) is not None)
    return rates[int(len(rates) * RUN_QUANTILE)]


def rate_of_pairs(trains: Iterable[Sequence[Arrival]]) -> float | None:
    """Return kbit/s from gaps between neighbours. A high quantile, because the sender's own window only slows it."""
    rates = sorted(rate for train in trains for rate in _pairs(sorted(train, key=lambda one: one.at_s)))
    return rates[min(len(rates) - 1, int(len(rates) * PAIR_QUANTILE))] if rates else None


def _pairs(train: Sequence[Arrival]) -> Iterable[float]:
    for before, after in pairwise(train):
        if after.index == before.index + 1:
            gap_s = max(after.at_s - before.at_s, SHORTEST_GAP_S)
            yield (after.size_bytes + HEADERS_BYTES) * 8 / gap_s / 1000


def rate_of_trains(trains: Iterable[Sequence[Arrival]]) -> float | None:
    """Return the median kbit/s of whole trains. For a receiver that reads messages in batches, where pairs lie."""
    rates = sorted(rate for train in trains if (rate := _train(train)) is not None)
    return rates[len(rates) // 2] if rates else None


def _train(train: Sequence[Arrival]) -> float | None:
    if len(train) < 4:
        return None
    in_time = sorted(train, key=lambda one: one.at_s)
    gap_s = max(in_time[-1].at_s - in_time[0].at_s, SHORTEST_GAP_S)
    return sum(one.size_bytes + HEADERS_BYTES for one in in_time[1:]) * 8 / gap_s / 1000


def loss_pct(received: int, lost: int) -> float | None:
    """Return the percentage lost, or None when nothing was expected."""
    expected = received + max(lost, 0)
    return round(100 * max(lost, 0) / expected, 1) if expected else None
