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
        (glucose("1.0"), "questionable", ("unusual_glucose",)),
        (glucose("33.4"), "questionable", ("unusual_glucose",)),
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
