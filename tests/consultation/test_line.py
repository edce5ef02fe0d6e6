"""What a line can carry, and when the picture must go so that the voice stays."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from telemed.consultation.line import (
    Arrival,
    Line,
    LineClass,
    Sample,
    VideoSwitch,
    judged_roughly,
    line_class,
    loss_pct,
    next_switch,
    picture_limits,
    rate_of_pairs,
    rate_of_runs,
    rate_of_trains,
)

VIDEO_CASES = json.loads((Path(__file__).parent / "video-cases.json").read_text())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Line(80, 1000, 990, 1, 1), LineClass.GOOD),
        (Line(80, 450, 450, 4.9, 0), LineClass.GOOD),
        (Line(80, 450, 450, 5, 0), LineClass.FAIR),
        (Line(80, 449, 4000, 0, 0), LineClass.FAIR),
        (Line(80, 4000, 220, 0, 0), LineClass.FAIR),
        (Line(80, 219, 4000, 0, 0), LineClass.THIN),
        (Line(80, 120, 120, 0, 0), LineClass.THIN),
        (Line(80, 119, 500, 0, 0), LineClass.VOICE_PHOTOS),
        (Line(80, 40, 500, 0, 0), LineClass.VOICE_PHOTOS),
        (Line(80, 39, 500, 0, 0), LineClass.TELEPHONE),
        (Line(80, 900, 900, 20, 0), LineClass.FAIR),
        (Line(80, 900, 900, 0, 21), LineClass.TELEPHONE),
        (Line(901, 900, 900, 0, 0), LineClass.VOICE_PHOTOS),
    ],
)
def test_the_worse_direction_decides(line: Line, expected: LineClass) -> None:
    assert line_class(line) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Line(None, 900, 900, 0, 0), LineClass.FAIR),
        (Line(80, 900, 900, None, 0), LineClass.FAIR),
        (Line(80, 900, 900, None, 30), LineClass.TELEPHONE),
        (Line(80, None, 900, 0, 0), LineClass.TELEPHONE),
    ],
)
def test_what_was_not_measured_is_never_good(line: Line, expected: LineClass) -> None:
    assert line_class(line) is expected


def test_a_picture_gets_its_share_of_the_line() -> None:
    assert picture_limits(LineClass.FAIR, 400) == {"width": 480, "height": 360, "fps": 15, "max_kbit_s": 220}
    assert picture_limits(LineClass.GOOD, 4000) == {"width": 640, "height": 480, "fps": 25, "max_kbit_s": None}
    assert picture_limits(LineClass.VOICE_PHOTOS, 100) is None


def train(kbit_s: float, length: int = 10, without: tuple[int, ...] = ()) -> list[Arrival]:
    gap_s = (1100 + 68) * 8 / kbit_s / 1000
    return [Arrival(5 + index * gap_s, 1100, index) for index in range(length) if index not in without]


def test_rates_come_from_spacing_also_with_lost_messages() -> None:
    assert rate_of_pairs([train(400), train(400, without=(3, 4))]) == pytest.approx(400)
    assert rate_of_trains([train(400), train(300), train(500)]) == pytest.approx(400)


def test_too_little_gives_no_rate() -> None:
    assert rate_of_pairs([]) is None
    assert rate_of_pairs([train(400, without=(1, 3, 5, 7, 9))]) is None
    assert rate_of_trains([train(400, length=3)]) is None
    assert loss_pct(0, 0) is None
    assert loss_pct(95, 5) == 5.0


@pytest.mark.parametrize("case", VIDEO_CASES, ids=lambda case: case["name"])
def test_the_picture_goes_quickly_and_returns_slowly(case: dict[str, Any]) -> None:
    switch, seen = VideoSwitch(), []
    for step in case["steps"]:
        figures = {key: value for key, value in step.items() if key != "on"}
        switch = next_switch(switch, Sample(**figures))
        seen.append(switch.on)

    assert seen == [step["on"] for step in case["steps"]]


def changes(name: str) -> list[int]:
    steps = next(case["steps"] for case in VIDEO_CASES if case["name"] == name)
    return [two["at_s"] for one, two in pairwise(steps) if one["on"] != two["on"]]


def test_the_seconds_of_the_switch() -> None:
    assert changes("four bad seconds are forgiven") == []
    assert changes("a fallen line loses it after five seconds") == [15]
    assert changes("one whose far end hears nothing loses it at once") == [11]
    assert changes("so does one where nothing is heard here") == [11]
    assert changes("a burst of loss is forgiven") == []
    assert changes("loss alone takes no picture from a wide line") == []
    assert changes("a far line is quiet by its own measure")[:2] == [10, 40]
    assert changes("it comes back after twenty good seconds") == [5, 28]
    assert changes("a quiet line gets a trial")[:2] == [5, 35]


def arrivals(*gaps_ms: float) -> list[Arrival]:
    """A train of messages of the check's size with these gaps between them."""
    at_s = [sum(gaps_ms[:number]) / 1000 for number in range(len(gaps_ms) + 1)]
    return [Arrival(at, 1100, number) for number, at in enumerate(at_s)]


def test_a_busy_receiver_that_takes_messages_in_batches_still_finds_the_rate() -> None:
    """Gaps as they came on a line of 512 kbit/s while the machine was busy. The premise: pairs say more."""
    trains = [
        arrivals(16, 18, 21, 18, 21, 15, 19, 19, 19),
        arrivals(19, 18, 19, 18, 18, 19, 20, 17, 21),
        arrivals(0, 14, 35, 51, 2, 1, 1, 22, 55),
        arrivals(19, 67, 2, 2, 3, 18, 18, 20, 21),
    ]

    assert (rate_of_pairs(trains) or 0) > 570
    assert rate_of_runs(trains) == pytest.approx(512, rel=0.15)


def test_after_heavy_loss_neither_pauses_nor_batches_count() -> None:
    """Gaps as they came on a line of 256 kbit/s that lost a tenth, read two at a time."""
    trains = [arrivals(36, 610, 38, 36), arrivals(0.1, 74, 37, 620), arrivals(600, 36, 0.1, 73)]

    assert rate_of_runs(trains) == pytest.approx(256, rel=0.15)


def test_a_line_known_by_its_pages_alone_is_never_more_than_thin() -> None:
    assert judged_roughly(80, 4000, 4000)["line_class"] == "thin"
    assert judged_roughly(300, 64, 400)["line_class"] == "voice_photos"
    assert judged_roughly(700, None, None) == {
        "rtt_ms": 700, "up_kbit_s": None, "down_kbit_s": None, "loss_up_pct": None, "loss_down_pct": None,
        "line_class": "telephone", "took_ms": None, "is_rough": True,
    }  # fmt: skip


def test_where_loss_left_no_runs_pairs_must_do() -> None:
    assert rate_of_runs([arrivals(37), arrivals(37, 360)]) == pytest.approx(252, rel=0.02)
    assert rate_of_runs([]) is None
