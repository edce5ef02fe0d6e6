"""What each guideline makes of a series: which readings count, when one more is asked for, when one is enough."""

from __future__ import annotations

import pytest

from telemed.checkup import rules, service_series
from telemed.checkup.rules import Single
from telemed.settings import SERIES_RULES

ESC, ESH, ISH, ACC, CANADA = SERIES_RULES


def series(*pressures: tuple[int, int], irregular: tuple[int, ...] = (), arms: str = "") -> list[Single]:
    """Return a series; `irregular` are places, `arms` one letter each."""
    names = {"l": "left", "r": "right"}
    return [
        Single(up, low, 70, place in irregular, names[arms[place - 1]] if arms else None, place)
        for place, (up, low) in enumerate(pressures, 1)
    ]


THREE = ((150, 90), (142, 86), (138, 84))
WIDE = ((150, 90), (150, 90), (138, 84))
FOUR = (*WIDE, (140, 86))

# rule, singles, mean of the upper and lower pressure, places that count, one more?, enough?
TABLE = [
    (ESC, series((150, 90)), (150, 90), (1,), False, False),
    (ESC, series(*THREE), (140, 85), (2, 3), False, False),
    (ESC, series((150, 90), (150, 90), (140, 84)), (145, 87), (2, 3), False, False),
    (ESC, series(*WIDE), (144, 87), (2, 3), True, False),
    (ESC, series(*FOUR), (139, 85), (3, 4), False, False),
    (ESC, series(*THREE, irregular=(1,)), (140, 85), (2, 3), False, False),
    (ESC, series(*THREE, irregular=(1, 3)), (143.33, 86.67), (1, 2, 3), False, False),
    (ESC, series(*FOUR, irregular=(1, 3)), (142.67, 86.67), (2, 3, 4), False, False),
    (ESC, series((150, 90), (160, 95), arms="lr"), (160, 95), (2,), False, False),
    (ESC, series((160, 95), (150, 90), arms="lr"), (160, 95), (1,), False, False),
    (ESC, series((160, 95), (150, 90), (158, 94), (156, 92), arms="lrll"), (157, 93), (3, 4), False, False),
    (ESC, series((160, 95), (150, 90), (158, 94), (140, 92), arms="lrll"), (149, 93), (3, 4), True, False),
    (ESC, series((120, 80)), (120, 80), (1,), False, False),
    (ESH, series(*THREE), (140, 85), (2, 3), False, False),
    (ESH, series(*WIDE), (144, 87), (2, 3), False, False),
    (ISH, series((129, 84)), (129, 84), (1,), False, True),
    (ISH, series((130, 84)), (130, 84), (1,), False, False),
    (ISH, series((129, 85)), (129, 85), (1,), False, False),
    (ISH, series(*THREE), (140, 85), (2, 3), False, False),
    (ISH, series((120, 80), (125, 82), arms="lr"), (125, 82), (2,), False, True),
    (ISH, series((120, 80), (135, 82), arms="lr"), (135, 82), (2,), False, False),
    (ACC, series((150, 90), (140, 84)), (145, 87), (1, 2), False, False),
    (ACC, series((150, 90), (110, 84)), (130, 87), (1, 2), False, False),
    (ACC, series((150, 90), (160, 95), (150, 91), arms="lrr"), (155, 93), (2, 3), False, False),
    (CANADA, series(*THREE), (143.33, 86.67), (1, 2, 3), False, False),
    (CANADA, series((150, 90), (140, 80), (144, 86), (141, 82), arms="lrll"), (145, 86), (1, 3, 4), False, False),
]


@pytest.mark.parametrize(("rule", "singles", "pressure", "places", "more", "enough"), TABLE)
def test_each_guideline_has_its_own_mean(rule, singles, pressure, places, more, enough):
    protocol = service_series.protocols()[rule]
    mean = rules.mean(protocol, singles)

    assert (round(mean.systolic_mmhg, 2), round(mean.diastolic_mmhg, 2)) == pressure
    assert mean.of == places
    assert rules.needs_one_more(protocol, singles) is more
    assert rules.is_enough(protocol, singles) is enough


def test_without_a_reading_there_is_no_mean():
    assert rules.mean(service_series.protocols()[ESC], []) is None


def test_every_rule_names_guideline_and_year_and_has_a_demo_form_that_says_so():
    known = service_series.protocols()

    assert {name for name, rule in known.items() if not rule["demo"]} == set(SERIES_RULES)
    for name in SERIES_RULES:
        rule, demo = known[name], known[rules.demo_of(name)]
        assert rule["guideline"]
        assert 2020 <= rule["year"] <= 2026
        assert (demo["demo"], demo["id"]) == (True, name)
        assert rule["series"]["blood_pressure"]["rest_s"] == 300
        assert rule["series"]["blood_pressure"]["interval_s"] == 60
        assert demo["series"]["blood_pressure"]["rest_s"] <= 5


@pytest.mark.parametrize(
    ("status", "reasons", "tries", "advice", "state"),
    [
        ("usable", (), 1, None, "done"),
        ("questionable", ("body_movement",), 1, "movement", "repeat"),
        ("questionable", ("cuff_too_loose", "body_movement"), 1, "cuff_loose", "repeat"),
        ("questionable", ("improper_position",), 2, "position", "repeat"),
        ("questionable", ("unusual_pressure",), 1, "again", "repeat"),
        ("questionable", ("unusual_pressure",), 3, "call_doctor", "repeat"),
        ("not_a_result", ("no_pressure",), 1, "no_number", "repeat"),
        ("not_a_result", ("no_pressure",), 3, "call_doctor", "repeat"),
        ("not_a_result", ("pressure_hi",), 1, "off_scale", "repeat"),
        ("not_a_result", ("pressure_lo", "body_movement"), 2, "off_scale", "repeat"),
        ("not_a_result", ("pressure_hi",), 3, "call_doctor", "repeat"),
        ("not_a_result", ("glucose_hi",), 1, "urgent", "done"),
        ("not_a_result", ("glucose_lo",), 3, "urgent", "done"),
        ("not_a_result", ("control_solution", "glucose_hi"), 1, "control_solution", "repeat"),
        ("not_a_result", ("glucose_hi", "ketone"), 1, "ketone_strip", "repeat"),
        ("not_a_result", ("strip_unknown",), 1, "ketone_strip", "repeat"),
        ("not_a_result", ("sample_size_insufficient",), 1, "strip", "repeat"),
        ("not_a_result", ("a_reason_of_tomorrow",), 1, "again", "repeat"),
    ],
)  # fmt: skip
def test_a_bad_reading_is_advised_on_without_its_value(status, reasons, tries, advice, state):
    assert rules.advice(status, reasons, tries) == advice
    assert rules.after(status, advice) == state


@pytest.mark.parametrize(
    ("last", "advice"),
    [(None, "off_scale"), ("movement", "off_scale"), ("off_scale", "urgent"), ("call_doctor", "urgent")],
)
def test_a_pressure_off_the_meters_scale_is_measured_once_more_and_then_the_doctor_is_called(last, advice):
    assert rules.advice("not_a_result", ("pressure_hi",), 2, last) == advice
    assert rules.after("not_a_result", advice) == ("done" if advice == "urgent" else "repeat")
