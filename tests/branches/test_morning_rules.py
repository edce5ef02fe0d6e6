"""When a branch is ready for its patients: the rule alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from telemed.branches import morning
from telemed.branches.morning import Meter, judge, meter_outcomes, when_due
from telemed.consultation.line import LineClass

TODAY = date(2026, 11, 23)
YESTERDAY, TOMORROW, NEXT_YEAR = TODAY - timedelta(days=1), TODAY + timedelta(days=1), date(2027, 11, 23)
FINE = {
    "camera": "works", "sound": "works", "line": "good", "meters": "seen", "battery": "full", "strips": "in_date",
    "calibration": "in_date",
}  # fmt: skip
CUFF = Meter("blood_pressure", TODAY, 80, None, NEXT_YEAR)
DROP = Meter("glucose", TODAY, None, NEXT_YEAR, NEXT_YEAR)


def of(*meters: Meter, gateway_is_there: bool = True) -> dict[str, str]:
    return meter_outcomes(meters, gateway_is_there=gateway_is_there, today=TODAY)


def test_a_branch_with_everything_in_order_is_ready_without_a_remark() -> None:
    assert judge(FINE) == morning.Verdict("ready", ())


@pytest.mark.parametrize("reason", morning.STOPS)
def test_without_a_trusted_pressure_the_patients_are_told_not_to_come(reason: morning.Reason) -> None:
    verdict = judge({**FINE, reason[0]: reason[1]})

    assert verdict == morning.Verdict("not_ready", (reason,))


@pytest.mark.parametrize("reason", morning.WITHOUT_VIDEO)
def test_without_camera_sound_or_line_the_patients_come_and_there_is_no_video(reason: morning.Reason) -> None:
    assert judge({**FINE, reason[0]: reason[1]}) == morning.Verdict("no_video", (reason,))


@pytest.mark.parametrize("reason", morning.REMARKS)
def test_what_only_touches_the_blood_sugar_or_can_wait_is_said_and_stops_nobody(reason: morning.Reason) -> None:
    assert judge({**FINE, reason[0]: reason[1]}) == morning.Verdict("ready", (reason,))


def test_a_check_that_nobody_made_is_never_good() -> None:
    assert judge({}).word == "not_ready"
    assert judge({name: word for name, word in FINE.items() if name != "camera"}).word == "no_video"


def test_the_worst_reason_stands_first() -> None:
    verdict = judge({**FINE, "battery": "low", "line": "telephone", "meters": "pressure_silent"})

    assert verdict.reasons == (("meters", "pressure_silent"), ("line", "telephone"), ("battery", "low"))


@pytest.mark.parametrize("line", LineClass)
def test_every_class_of_a_line_is_either_fit_for_a_picture_or_says_why_not(line: LineClass) -> None:
    assert judge({**FINE, "line": line}).word == ("ready" if line in ("good", "fair", "thin") else "no_video")


@pytest.mark.parametrize(
    ("meters", "outcome"),
    [
        ((CUFF, DROP), "seen"),
        ((CUFF,), "seen"),
        ((DROP,), "no_meters"),
        ((), "no_meters"),
        ((Meter("blood_pressure", YESTERDAY, 80, None, None), DROP), "pressure_silent"),
        ((Meter("blood_pressure", None, 80, None, None), CUFF), "seen"),
        ((CUFF, Meter("glucose", None, None, None, None)), "glucose_silent"),
    ],
)
def test_a_kind_of_meter_is_there_when_one_of_it_was_seen_today(meters: tuple[Meter, ...], outcome: str) -> None:
    assert of(*meters)["meters"] == outcome


def test_without_the_branch_pc_no_meter_counts() -> None:
    assert of(CUFF, DROP, gateway_is_there=False)["meters"] == "no_gateway"


@pytest.mark.parametrize(("pct", "outcome"), [(None, "unknown"), (19, "low"), (20, "full")])
def test_the_lowest_battery_decides_and_silence_about_it_is_normal(pct: int | None, outcome: str) -> None:
    assert of(Meter("blood_pressure", TODAY, pct, None, None), DROP)["battery"] == outcome


@pytest.mark.parametrize(
    ("last_day", "outcome"),
    [
        (None, "unknown"),
        (YESTERDAY, "expired"),
        (TODAY, "ends_soon"),
        (TODAY + timedelta(days=14), "ends_soon"),
        (TODAY + timedelta(days=15), "in_date"),
    ],
)
def test_strips_are_good_through_the_day_on_the_tin(last_day: date | None, outcome: str) -> None:
    assert of(CUFF, Meter("glucose", TODAY, None, last_day, NEXT_YEAR))["strips"] == outcome


def test_a_branch_without_a_glucose_meter_needs_no_strips() -> None:
    assert of(CUFF)["strips"] == "not_needed"


@pytest.mark.parametrize(
    ("cuff", "drop", "outcome"),
    [
        (NEXT_YEAR, NEXT_YEAR, "in_date"),
        (YESTERDAY, YESTERDAY, "pressure_overdue"),
        (NEXT_YEAR, YESTERDAY, "glucose_overdue"),
        (TOMORROW, NEXT_YEAR, "ends_soon"),
        (None, TOMORROW, "unknown"),
    ],
)
def test_a_meter_past_its_calibration_is_named(cuff: date | None, drop: date | None, outcome: str) -> None:
    meters = (Meter("blood_pressure", TODAY, 80, None, cuff), Meter("glucose", TODAY, None, NEXT_YEAR, drop))

    assert of(*meters)["calibration"] == outcome


HOURS = {"1": ["08:00", "17:00"]}


@pytest.mark.parametrize(
    ("utc", "word"),
    [
        (datetime(2026, 11, 23, 4, 59, tzinfo=UTC), "early"),
        (datetime(2026, 11, 23, 5, 0, tzinfo=UTC), "due"),
        (datetime(2026, 11, 23, 13, 59, tzinfo=UTC), "due"),
        (datetime(2026, 11, 23, 14, 0, tzinfo=UTC), "closed"),
        (datetime(2026, 11, 24, 9, 0, tzinfo=UTC), "closed"),
    ],
)
def test_the_check_is_due_from_opening_to_closing_in_the_branchs_own_time(utc: datetime, word: str) -> None:
    assert when_due(HOURS, "Europe/Moscow", utc) == word


def test_the_day_is_the_branchs_day() -> None:
    assert morning.day_of("Asia/Vladivostok", datetime(2026, 11, 22, 15, 0, tzinfo=UTC)) == TODAY


def test_a_line_measured_minutes_ago_is_not_measured_again() -> None:
    now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)

    assert morning.is_line_fresh(now - morning.LINE_KEPT, now)
    assert not morning.is_line_fresh(now - morning.LINE_KEPT - timedelta(seconds=1), now)
    assert not morning.is_line_fresh(None, now)
