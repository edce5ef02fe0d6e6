"""Is this a result? Nothing is dropped silently, and a true 245/130 passes at once. Limits: table of the project's
meter reference; values outside the first limits are kept and marked, outside the second they are no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

USABLE, QUESTIONABLE, NOT_A_RESULT = "usable", "questionable", "not_a_result"
SYSTOLIC, SYSTOLIC_MOST = (60, 260), 300
DIASTOLIC = (30, 160)
PULSE_PRESSURE = (15, 150)
PULSE = (30, 220)
GLUCOSE_MMOL_L = (Decimal("1.1"), Decimal("33.3"))  # no meter shows a number outside: its own words there are LO and HI
GLUCOSE_MOST = 150  # mmol/L, beyond what a living person has: such a number is the meter's, not the patient's
MEALS_UP_TO = 5  # Glucose Service 1.0.1: 1 to 5 are meals, 0 is no marking; what makers put above marks another strip
FAULTS = ("sensor_malfunction", "strip_insertion_error", "strip_type_incorrect", "sample_size_insufficient")
DOUBTS = ("temperature_too_high", "temperature_too_low", "read_interrupted", "general_device_fault")


@dataclass(frozen=True)
class Verdict:
    """`verdict`: usable, questionable (ask to repeat), not_a_result. `reasons`: codes, worst first."""

    verdict: str
    reasons: tuple[str, ...] = ()


def judge(kind: str, decoded: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> Verdict:
    """Return the verdict on a decoded 2A35 (`blood_pressure`) or 2A18 (`glucose`). Raises ValueError for another kind.

    `context` is the decoded 2A34 of the same record: it alone tells that the strip measured something else than
    glucose. Ketones near ketoacidosis, read as glucose, would be a patient who is too low: the opposite.
    """
    if kind == "glucose":
        impossible, doubtful = _glucose_faults(decoded, context or {}), _glucose_doubts(decoded)
    elif kind == "blood_pressure":
        impossible, doubtful = _pressure_faults(decoded), _pressure_doubts(decoded)
    else:
        raise ValueError(f"no measurement is called {kind}")
    if impossible:
        return Verdict(NOT_A_RESULT, (*impossible, *doubtful))
    return Verdict(QUESTIONABLE if doubtful else USABLE, doubtful)


def _pressure_faults(decoded: Mapping[str, Any]) -> tuple[str, ...]:
    systolic, diastolic = decoded.get("systolic_mmhg"), decoded.get("diastolic_mmhg")
    if systolic is None or diastolic is None:
        return (_no_pressure(decoded.get("systolic"), decoded.get("diastolic")),)
    if systolic <= 0 or diastolic <= 0 or systolic > SYSTOLIC_MOST:
        return ("impossible_pressure",)
    return ("lower_not_below_upper",) if diastolic >= systolic else ()


def _no_pressure(*said: object) -> str:
    """Return why there is no number: HI and LO are the meter's own word, anything else is a failed measurement."""
    if "+INFINITY" in said:
        return "pressure_hi"
    return "pressure_lo" if "-INFINITY" in said else "no_pressure"


def _pressure_doubts(decoded: Mapping[str, Any]) -> tuple[str, ...]:
    systolic, diastolic, pulse = (decoded.get(name) for name in ("systolic_mmhg", "diastolic_mmhg", "pulse_rate"))
    status = decoded.get("status") or {}
    found = []
    if systolic is not None and diastolic is not None:
        if _outside(systolic, SYSTOLIC) or _outside(diastolic, DIASTOLIC):
            found.append("unusual_pressure")
        if diastolic < systolic and _outside(systolic - diastolic, PULSE_PRESSURE):
            found.append("unusual_pulse_pressure")
    if isinstance(pulse, Decimal) and _outside(pulse, PULSE):
        found.append("unusual_pulse")
    found += [code for code in ("body_movement", "cuff_too_loose", "improper_position") if status.get(code)]
    return tuple(found)


def _glucose_faults(decoded: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, ...]:
    flags = decoded.get("status_flags") or ()
    found = ["control_solution"] if decoded.get("control_solution") else []
    beyond = _beyond_the_meter(decoded)
    is_other_strip = (context.get("meal") or 0) > MEALS_UP_TO
    if is_other_strip:  # HI and LO are urgent on any strip, so they never come with a strip that is known for certain
        found.append("ketone" if context.get("meal_name") == "ketone" and beyond is None else "strip_unknown")
    faults = [code for code in FAULTS if code in flags]
    found += faults
    if beyond is not None:
        found.append(beyond)
    elif decoded.get("mmol_per_l") is None:
        found.append("no_concentration")
    elif not is_other_strip and not faults:  # beside a fault of the strip the number says nothing, 0 neither
        found += _outside_any_meter(decoded["mmol_per_l"])
    return tuple(found)


def _beyond_the_meter(decoded: Mapping[str, Any]) -> str | None:
    """Return the meter's own word for a result that it cannot show as a number."""
    flags, concentration = decoded.get("status_flags") or (), decoded.get("concentration")
    if "result_too_high" in flags or concentration == "+INFINITY":
        return "glucose_hi"
    return "glucose_lo" if "result_too_low" in flags or concentration == "-INFINITY" else None


def _outside_any_meter(value: Decimal) -> tuple[str, ...]:
    """Return what a number means that no meter shows. A meter that writes 0 for LO is as urgent as one that says LO."""
    low, high = GLUCOSE_MMOL_L
    if value < low:
        return ("glucose_lo",)
    if value > GLUCOSE_MOST:
        return ("impossible_glucose",)
    return ("glucose_hi", "above_any_meter") if value > high else ()


def _glucose_doubts(decoded: Mapping[str, Any]) -> tuple[str, ...]:
    flags = decoded.get("status_flags") or ()
    value = decoded.get("mmol_per_l")
    found = ["unusual_glucose"] if value is not None and _outside(value, GLUCOSE_MMOL_L) else []
    return (*found, *(code for code in DOUBTS if code in flags))


def _outside(value: Decimal, limits: tuple[Decimal | int, Decimal | int]) -> bool:
    return not limits[0] <= value <= limits[1]
