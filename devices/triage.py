"""Triage at the branch, for the hours without a line. The server has its own copy; tests/contract/triage-cases.json
holds both to the same answers. Ruleset `triage-ru-2026.1`, to be signed by a named clinician before a live pilot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RULESET = "triage-ru-2026.1"
RED_SYMPTOMS = frozenset(
    ["chest_pain", "breathless_at_rest", "sudden_weakness", "speech_trouble", "vision_trouble", "confusion", "fainting"]
)
WORSENING = frozenset({"vomiting", "drowsiness"})
AMBER_SYMPTOMS = frozenset({"fall_with_injury"})
SYMPTOMS = RED_SYMPTOMS | WORSENING | AMBER_SYMPTOMS | {"headache", "dizziness"}


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
    """Return the case of a JSON object. Raises ValueError for an unknown symptom."""
    known = {name: document[name] for name in TriageCase.__dataclass_fields__ if name in document}
    known["symptoms"] = frozenset(document.get("symptoms") or ())
    if not known["symptoms"] <= SYMPTOMS:
        raise ValueError("unknown symptom")
    return TriageCase(**known)


def triage(case: TriageCase) -> str:
    """Return RED, AMBER, YELLOW, GREEN or UNKNOWN; what is missing never makes it GREEN."""
    for level, rules in (("RED", _red), ("AMBER", _amber), ("YELLOW", _yellow)):
        if any(rules(case)):
            return level
    numbers = (case.systolic_mmhg, case.diastolic_mmhg, case.pulse, case.glucose_mmol_l)
    return "GREEN" if case.answered and None not in numbers else "UNKNOWN"


def _red(case: TriageCase) -> tuple[bool, ...]:
    return (
        bool(case.symptoms & RED_SYMPTOMS),
        _below(case.glucose_mmol_l, 3.0),
        _above(case.glucose_mmol_l, 13.9) and bool(case.symptoms & WORSENING),
        _below(case.pulse, 40),
        _above(case.pulse, 130),
    )


def _amber(case: TriageCase) -> tuple[bool, ...]:
    return (
        bool(case.symptoms & AMBER_SYMPTOMS),
        case.irregular_pulse,
        _from(case.systolic_mmhg, 180),
        _from(case.diastolic_mmhg, 110),
        _below(case.systolic_mmhg, 90),
        case.glucose_mmol_l is not None and case.glucose_mmol_l <= 3.8,
        _above(case.glucose_mmol_l, 13.9),
        _below(case.pulse, 50),
        _above(case.pulse, 110),
    )


def _yellow(case: TriageCase) -> tuple[bool, ...]:
    return (
        _from(case.systolic_mmhg, 140),
        _from(case.diastolic_mmhg, 90),
        _from(case.glucose_mmol_l, 7.0 if case.fasting else 11.1),
    )


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


def _from(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit
