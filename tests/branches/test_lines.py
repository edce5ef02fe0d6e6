"""A branch's line over time: what a booking may count on."""

from __future__ import annotations

import pytest

from telemed.branches import lines
from telemed.branches.service import record_line_check
from telemed.branches.service_lines import line_over_time, usual_line
from telemed.consultation.line import PICTURES, LineClass
from telemed.services import Services
from tests import cast
from tests.conftest import Clock

LINE = {"rtt_ms": 80, "up_kbit_s": 300, "down_kbit_s": 900, "loss_up_pct": 0, "loss_down_pct": 0}


def measure(services: Services, line_class: str) -> None:
    with services.db.write() as tx:
        record_line_check(services, tx, cast.OZERKI, {**LINE, "line_class": line_class})


def usual_of(services: Services) -> str | None:
    with services.db.read() as tx:
        return usual_line(tx, cast.OZERKI, services.clock())


def test_the_classes_are_those_of_the_line_check_in_the_same_order() -> None:
    assert tuple(LineClass) == lines.CLASSES
    assert tuple(PICTURES) == lines.WITH_PICTURE


@pytest.mark.parametrize(
    ("newest_first", "usual"),
    [
        ((), None),
        (("thin",), "thin"),
        (("telephone", "good", "good"), "good"),
        (("good", "telephone", "telephone"), "telephone"),
        (("good", "telephone"), "telephone"),
        (("fair", "good", "thin", "voice_photos"), "thin"),
        (("good",) * 7 + ("telephone",) * 20, "good"),
    ],
)
def test_one_bad_hour_takes_no_picture_and_one_good_hour_promises_none(
    newest_first: tuple[str, ...], usual: str | None
) -> None:
    assert lines.usual(newest_first) == usual


def test_measurements_are_kept_over_time_and_judged_together(services: Services, clock: Clock) -> None:
    for line_class in ("good", "voice_photos", "voice_photos"):
        measure(services, line_class)
        clock.forward(hours=1)
    found = line_over_time(services, cast.ANNA.who, cast.OZERKI)

    assert found.usual == "voice_photos"
    assert [(line, kbit_s) for _at, line, kbit_s in found.newest] == [
        ("voice_photos", 300), ("voice_photos", 300), ("good", 300)
    ]  # fmt: skip


def test_what_was_measured_weeks_ago_counts_only_while_nothing_newer_is_known(
    services: Services, clock: Clock
) -> None:
    measure(services, "telephone")
    clock.forward(days=15)
    assert usual_of(services) == "telephone"
    measure(services, "good")

    assert usual_of(services) == "good"
