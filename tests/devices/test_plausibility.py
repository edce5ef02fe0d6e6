"""Verdicts: a true 245/130 passes at once, a doubtful value is kept and marked, a fault is never a result."""

from __future__ import annotations

from decimal import Decimal

import pytest

from devices.plausibility import judge


def pressure(systolic: str | None, diastolic: str | None, pulse: str = "70", **status: bool) -> dict:
    return {
        "systolic_mmhg": Decimal(systolic) if systolic else None,
        "diastolic_mmhg": Decimal(diastolic) if diastolic else None,
        "pulse_rate": Decimal(pulse),
        "status": status,
    }


def glucose(mmol: str | None, *flags: str, control: bool = False, concentration: str | None = None) -> dict:
    return {
        "mmol_per_l": Decimal(mmol) if mmol else None,
        "concentration": concentration,
        "status_flags": list(flags),
        "control_solution": control,
    }


@pytest.mark.parametrize(
    ("decoded", "verdict", "reasons"),
    [
        (pressure("120", "80"), "usable", ()),
        (pressure("245", "130"), "usable", ()),
        (pressure("260", "130"), "usable", ()),
        (pressure("261", "130"), "questionable", ("unusual_pressure",)),
        (pressure("59", "35"), "questionable", ("unusual_pressure",)),
        (pressure("301", "130"), "not_a_result", ("impossible_pressure", "unusual_pressure", "unusual_pulse_pressure")),
        (pressure("80", "80"), "not_a_result", ("lower_not_below_upper",)),
        (pressure(None, "80"), "not_a_result", ("no_pressure",)),
        ({**pressure(None, None), "systolic": "+INFINITY", "diastolic": "NaN"}, "not_a_result", ("pressure_hi",)),
        ({**pressure("88", None), "diastolic": "-INFINITY"}, "not_a_result", ("pressure_lo",)),
        (pressure("120", "110"), "questionable", ("unusual_pulse_pressure",)),
        (pressure("120", "80", "29"), "questionable", ("unusual_pulse",)),
        (pressure("120", "80", body_movement=True), "questionable", ("body_movement",)),
        (
            pressure("120", "80", cuff_too_loose=True, improper_position=True),
            "questionable",
            ("cuff_too_loose", "improper_position"),
        ),
    ],
)
def test_a_blood_pressure_gets_its_verdict(decoded: dict, verdict: str, reasons: tuple[str, ...]) -> None:
    found = judge("blood_pressure", decoded)

    assert (found.verdict, found.reasons) == (verdict, reasons)


@pytest.mark.parametrize(
    ("decoded", "verdict", "reasons"),
    [
        (glucose("5.5"), "usable", ()),
        (glucose("1.0"), "not_a_result", ("glucose_lo", "unusual_glucose")),
        (glucose("33.4"), "not_a_result", ("glucose_hi", "above_any_meter", "unusual_glucose")),
        (glucose("150"), "not_a_result", ("glucose_hi", "above_any_meter", "unusual_glucose")),
        (glucose("150.001"), "not_a_result", ("impossible_glucose", "unusual_glucose")),
        (glucose("0.000", "sample_size_insufficient"), "not_a_result", ("sample_size_insufficient", "unusual_glucose")),
        (glucose("0.000", control=True), "not_a_result", ("control_solution", "glucose_lo", "unusual_glucose")),
        (glucose("5.5", control=True), "not_a_result", ("control_solution",)),
        (glucose(None, "result_too_high"), "not_a_result", ("glucose_hi",)),
        (glucose(None, concentration="-INFINITY"), "not_a_result", ("glucose_lo",)),
        (glucose(None), "not_a_result", ("no_concentration",)),
        (glucose("5.5", "sample_size_insufficient"), "not_a_result", ("sample_size_insufficient",)),
        (glucose("5.5", "temperature_too_low"), "questionable", ("temperature_too_low",)),
    ],
)
def test_a_glucose_gets_its_verdict(decoded: dict, verdict: str, reasons: tuple[str, ...]) -> None:
    found = judge("glucose", decoded)

    assert (found.verdict, found.reasons) == (verdict, reasons)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [("59", "questionable"), ("60", "usable"), ("260", "usable"), ("260.01", "questionable"), ("300", "questionable"),
     ("300.01", "not_a_result"), ("0", "not_a_result"), ("-1", "not_a_result")],
)  # fmt: skip
def test_each_limit_of_the_upper_pressure(value: str, verdict: str) -> None:
    # the lower one keeps a usual distance, so that only the upper one is judged
    upper = Decimal(value)

    assert judge("blood_pressure", pressure(value, str(min(max(upper - 29, 30), 160)))).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    [("29.99", "questionable"), ("30", "usable"), ("160", "usable"), ("160.01", "questionable"),
     ("0", "not_a_result"), ("-1", "not_a_result")],
)  # fmt: skip
def test_each_limit_of_the_lower_pressure(value: str, verdict: str) -> None:
    assert judge("blood_pressure", pressure(str(Decimal(value) + 60), value)).verdict == verdict


@pytest.mark.parametrize(
    ("upper", "lower", "verdict"),
    [("114.99", "100", "questionable"), ("115", "100", "usable"), ("230", "80", "usable"), ("230.01", "80", "questionable"),
     ("100", "100", "not_a_result"), ("99", "100", "not_a_result")],
)  # fmt: skip
def test_each_limit_of_the_distance_between_them(upper: str, lower: str, verdict: str) -> None:
    assert judge("blood_pressure", pressure(upper, lower)).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [("29", "questionable"), ("30", "usable"), ("220", "usable"), ("221", "questionable")]
)
def test_each_limit_of_the_pulse(value: str, verdict: str) -> None:
    assert judge("blood_pressure", pressure("120", "80", value)).verdict == verdict


@pytest.mark.parametrize("pulse", ["NaN", "+INFINITY", "NRes", None])
def test_a_pressure_stands_without_its_pulse(pulse: str | None) -> None:
    assert judge("blood_pressure", {**pressure("120", "80"), "pulse_rate": pulse}).verdict == "usable"


@pytest.mark.parametrize(
    ("value", "code"),
    [("1.099", "glucose_lo"), ("1.1", None), ("33.3", None), ("33.301", "glucose_hi"), ("150", "glucose_hi"),
     ("150.001", "impossible_glucose"), ("666089.389", "impossible_glucose"), ("0.001", "glucose_lo"),
     ("0.000", "glucose_lo"), ("-2.000", "glucose_lo")],
)  # fmt: skip
def test_a_number_that_no_meter_shows_is_lo_or_hi_and_one_beyond_life_is_the_meters_fault(
    value: str, code: str | None
) -> None:
    found = judge("glucose", glucose(value))

    assert (found.verdict, next(iter(found.reasons), None)) == ("not_a_result" if code else "usable", code)


@pytest.mark.parametrize(
    ("flag", "verdict"),
    [("sensor_malfunction", "not_a_result"), ("strip_insertion_error", "not_a_result"),
     ("strip_type_incorrect", "not_a_result"), ("sample_size_insufficient", "not_a_result"),
     ("read_interrupted", "questionable"), ("general_device_fault", "questionable"),
     ("temperature_too_high", "questionable"), ("device_battery_low", "usable"), ("time_fault", "usable")],
)  # fmt: skip
def test_each_flag_of_a_strip(flag: str, verdict: str) -> None:
    assert judge("glucose", glucose("5.5", flag)).verdict == verdict


def test_another_kind_of_measurement_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="thermometer"):
        judge("thermometer", {})
