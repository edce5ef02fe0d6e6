"""Triage at the branch, ready for the hours without a line: nothing in the gateway calls it yet. The server has its own
copy; tests/contract/triage-cases.json holds both to the same answers. Ruleset `triage-ru-2026.1`, to be signed by a named
clinician before a live pilot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

RULESET = "triage-ru-2026.1"
RED_SYMPTOMS = frozenset(
    ["chest_pain", "breathless_at_rest", "sudden_weakness", "speech_trouble", "vision_trouble", "confusion", "fainting"]
)
WORSENING = frozenset({"vomiting", "drowsiness"})
AMBER_SYMPTOMS = frozenset({"fall_with_injury"})
SYMPTOMS = RED_SYMPTOMS | WORSENING | AMBER_SYMPTOMS | {"headache", "dizziness"}

# mmol/L: hypoglycaemia level 2 and hyperglycaemia level 2 (ADA; Russian diabetes algorithms 2023)
GLUCOSE_RED_BELOW, GLUCOSE_AMBER_UP_TO, GLUCOSE_AMBER_ABOVE = 3.0, 3.8, 13.9
GLUCOSE_YELLOW_FASTING_FROM, GLUCOSE_YELLOW_RANDOM_FROM = 7.0, 11.1  # the range of diabetes, for a doctor to confirm
PULSE_RED_BELOW, PULSE_RED_ABOVE, PULSE_AMBER_BELOW, PULSE_AMBER_ABOVE = 40, 130, 50, 110
# mmHg: hypotension; grades 3 and 1 of the Russian classification (ESH/ESC)
SYSTOLIC_AMBER_BELOW, SYSTOLIC_AMBER_FROM, DIASTOLIC_AMBER_FROM = 90, 180, 110
SYSTOLIC_YELLOW_FROM, DIASTOLIC_YELLOW_FROM = 140, 90
NUMBERS = ("systolic_mmhg", "diastolic_mmhg", "pulse", "glucose_mmol_l")


@dataclass(frozen=True)
class TriageCase:
    """What triage looks at; None is unknown. Pressures in mmHg, pulse per minute, glucose in mmol/L."""

    symptoms: frozenset[str] = frozenset()
    answered: bool = False
    systolic_mmhg: float | None = None
    diastolic_mmhg: float | None = None
    pulse: float | None = None
    glucose_mmol_l: float | None = None
    fasting: bool | None = None
    irregular_pulse: bool = False
    known_hypertension: bool | None = None


def case_from(document: Mapping[str, Any]) -> TriageCase:
    """Return the case of a JSON object. Raises ValueError for an unknown symptom or a value of another kind."""
    known = {name: document[name] for name in TriageCase.__dataclass_fields__ if name in document}
    known["symptoms"] = frozenset(document.get("symptoms") or ())
    if not known["symptoms"] <= SYMPTOMS:
        raise ValueError("unknown symptom")
    for name, value in known.items():
        if name != "symptoms" and not _fits(name, value):
            raise ValueError(f"{name} cannot be read")
    return TriageCase(**known)


def _fits(name: str, value: object) -> bool:
    """A text or a NaN would be compared wrongly, and "false" would count as yes."""
    if name in NUMBERS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return value is None or is_number
    return isinstance(value, bool) or (value is None and name in ("fasting", "known_hypertension"))


def triage(case: TriageCase) -> str:
    """Return RED, AMBER, YELLOW, GREEN or UNKNOWN; what is missing, or not a number, never makes it GREEN."""
    case = _without_nan(case)
    for level, rules in (("RED", _red), ("AMBER", _amber), ("YELLOW", _yellow)):
        if any(rules(case)):
            return level
    return "GREEN" if _is_complete(case) else "UNKNOWN"


def _is_complete(case: TriageCase) -> bool:
    """Say whether nothing is missing that could change the level: fasting counts where only it decides."""
    numbers = [getattr(case, name) for name in NUMBERS]
    needs_fasting = case.fasting is None and _from(case.glucose_mmol_l, GLUCOSE_YELLOW_FASTING_FROM)
    return case.answered and None not in numbers and not needs_fasting


def _without_nan(case: TriageCase) -> TriageCase:
    """NaN is neither above nor below any limit: unnoticed, it would pass for a good value."""
    lost: dict[str, Any] = {name: None for name in NUMBERS if _is_nan(getattr(case, name))}
    return replace(case, **lost) if lost else case


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _red(case: TriageCase) -> tuple[bool, ...]:
    return (
        bool(case.symptoms & RED_SYMPTOMS),
        _below(case.glucose_mmol_l, GLUCOSE_RED_BELOW),
        _above(case.glucose_mmol_l, GLUCOSE_AMBER_ABOVE) and bool(case.symptoms & WORSENING),
        _below(case.pulse, PULSE_RED_BELOW),
        _above(case.pulse, PULSE_RED_ABOVE),
    )


def _amber(case: TriageCase) -> tuple[bool, ...]:
    return (
        bool(case.symptoms & AMBER_SYMPTOMS),
        case.irregular_pulse,
        _from(case.systolic_mmhg, SYSTOLIC_AMBER_FROM),
        _from(case.diastolic_mmhg, DIASTOLIC_AMBER_FROM),
        _below(case.systolic_mmhg, SYSTOLIC_AMBER_BELOW),
        case.glucose_mmol_l is not None and case.glucose_mmol_l <= GLUCOSE_AMBER_UP_TO,
        _above(case.glucose_mmol_l, GLUCOSE_AMBER_ABOVE),
        _below(case.pulse, PULSE_AMBER_BELOW),
        _above(case.pulse, PULSE_AMBER_ABOVE),
    )


def _yellow(case: TriageCase) -> tuple[bool, ...]:
    return (
        _from(case.systolic_mmhg, SYSTOLIC_YELLOW_FROM),
        _from(case.diastolic_mmhg, DIASTOLIC_YELLOW_FROM),
        _from(case.glucose_mmol_l, GLUCOSE_YELLOW_FASTING_FROM if case.fasting else GLUCOSE_YELLOW_RANDOM_FROM),
    )


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


def _from(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit
