"""When a reading was taken is known or unknown, never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from devices.meters import BLOOD_PRESSURE, GLUCOSE
from devices.records import place_in_time

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SHOWN = NOW.replace(tzinfo=None)
HOUR = timedelta(hours=1)
SOON = NOW - timedelta(seconds=50)


def test_a_pressure_right_after_it_was_asked_for_is_live() -> None:
    placed = place_in_time(BLOOD_PRESSURE, SHOWN - timedelta(seconds=5), 0, NOW, SOON, UTC)

    assert (placed.effective_at, placed.quality) == (NOW, "live")


def test_a_pressure_without_time_stamp_is_live_when_asked_for_else_unknown() -> None:
    assert place_in_time(BLOOD_PRESSURE, None, None, NOW, SOON, UTC).quality == "live"
    late = place_in_time(BLOOD_PRESSURE, None, None, NOW, NOW - timedelta(seconds=61), UTC)
    assert (late.effective_at, late.quality) == (None, "unknown")
    assert place_in_time(GLUCOSE, None, None, NOW, SOON, UTC).effective_at is None


def test_old_memory_is_not_live_even_when_a_reading_was_asked_for() -> None:
    placed = place_in_time(BLOOD_PRESSURE, SHOWN - HOUR, 0, NOW, SOON, UTC)

    assert (placed.effective_at, placed.quality) == (NOW - HOUR, "corrected")


@pytest.mark.parametrize("error", [timedelta(hours=-3), timedelta(hours=11), timedelta(minutes=3)])
def test_the_meters_own_error_is_taken_out_and_marked(error: timedelta) -> None:
    placed = place_in_time(GLUCOSE, SHOWN - HOUR + error, -int(error.total_seconds()), NOW, None, UTC)

    assert (placed.effective_at, placed.quality, placed.reasons) == (NOW - HOUR, "corrected", ("clock_drift",))


def test_a_clock_that_is_off_by_more_than_half_a_day_is_not_believed() -> None:
    placed = place_in_time(GLUCOSE, SHOWN - timedelta(days=400), 399 * 86400, NOW, None, UTC)

    assert (placed.effective_at, placed.quality) == (None, "unknown")
    assert "time_unknown" in placed.reasons


@pytest.mark.parametrize("shown", [datetime(2019, 1, 1), SHOWN + HOUR])  # noqa: DTZ001 - a meter knows no zone
def test_times_of_the_future_and_of_an_unset_clock_are_unknown(shown: datetime) -> None:
    assert place_in_time(GLUCOSE, shown, None, NOW, None, UTC).effective_at is None


def test_without_reading_the_meters_clock_its_time_is_taken_as_the_branchs() -> None:
    minsk = timezone(timedelta(hours=3))
    placed = place_in_time(GLUCOSE, SHOWN + 2 * HOUR, None, NOW, None, minsk)

    assert (placed.effective_at, placed.quality, placed.reasons) == (NOW - HOUR, "meter", ())
