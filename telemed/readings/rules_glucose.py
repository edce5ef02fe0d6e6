"""What a glucose record can stand for: the server's own judgement, whatever the gateway said. Pure.

A gateway of an older release passes a record of another strip on as glucose, and a number that no meter shows. The
gateway has its own copy of these rules (devices/plausibility.py); tests/contract/glucose-cases.json holds both to the
same answers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from telemed.readings import rules

MOST_MMOL_L = 150  # beyond what a living person has: such a number is the meter's, not the patient's
MEALS_UP_TO = 5  # Glucose Service 1.0.1: 1 to 5 are meals, 0 is no marking; what makers put above marks another strip
CARBOHYDRATE, MEAL, EXTENDED = 0x01, 0x02, 0x80  # flags of 2A34
OTHER_STRIP = frozenset({"ketone", "strip_unknown"})  # the number is, or may be, one of ketones
STRIP_FAULTS = frozenset(
    {"sensor_malfunction", "strip_insertion_error", "strip_type_incorrect", "sample_size_insufficient"}
)
BEYOND = frozenset({"glucose_hi", "glucose_lo"})
DECIDED = OTHER_STRIP | BEYOND | {"above_any_meter", "impossible_glucose"}
UNCLEAR_NOW = "strip_unclear_now"  # said beside the reasons of a record: its number would be urgent if it were glucose


def judge_anew(
    verdict: str, reasons: Sequence[str], decoded: Mapping[str, Any], context_raw: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return verdict and reasons of a glucose record, worst first."""
    if "control_solution" in reasons or decoded.get("control_solution"):
        return verdict, tuple(reasons)
    beyond, is_other = _beyond_the_meter(reasons, decoded), _is_other_strip(reasons, decoded, context_raw)
    found: list[str] = []
    if is_other:
        found.append("ketone" if "ketone" in reasons and beyond is None else "strip_unknown")
    if beyond is not None:
        found.append(beyond)
    elif not is_other and not STRIP_FAULTS & set(reasons):
        found += _outside_any_meter(number_of(decoded))
    if not found:
        return verdict, tuple(reasons)
    if "glucose_hi" in found and "above_any_meter" in reasons:
        found.append("above_any_meter")
    found = list(dict.fromkeys(found))
    return "not_a_result", (*found, *(code for code in reasons if code not in DECIDED))


def number_of(decoded: Mapping[str, Any]) -> float | None:
    """Return the number of a record in mmol/L, whatever it measured."""
    value = decoded.get("mmol_per_l")
    return float(value) if rules.is_number(value) and math.isfinite(value) else None


def is_unclear_now(reasons: Collection[str], decoded: Mapping[str, Any]) -> bool:
    """Tell whether nobody may wait to know what the strip measured: as glucose the number would be urgent."""
    value = number_of(decoded)
    if not OTHER_STRIP & set(reasons) or value is None or value > MOST_MMOL_L:
        return False
    return rules.is_urgent_value(None, None, value)


def meal_of(context_raw: str | None) -> int | None:
    """Return the meal code of a 2A34 packet in hex; None when it has none or cannot be read."""
    try:
        raw = bytes.fromhex(context_raw or "")
    except ValueError:
        return None
    if len(raw) < 3 or not raw[0] & MEAL:
        return None
    at = 3 + (1 if raw[0] & EXTENDED else 0) + (3 if raw[0] & CARBOHYDRATE else 0)
    return raw[at] if at < len(raw) else None


def _is_other_strip(reasons: Collection[str], decoded: Mapping[str, Any], context_raw: str | None) -> bool:
    """Only the context tells what the strip measured, whoever made the meter: one that was lost may have said anything."""
    if OTHER_STRIP & set(reasons) or (decoded.get("context_follows") and not context_raw):
        return True
    return (meal_of(context_raw) or 0) > MEALS_UP_TO


def _beyond_the_meter(reasons: Collection[str], decoded: Mapping[str, Any]) -> str | None:
    """Return the meter's own word for a result that it cannot show as a number."""
    if said := BEYOND & set(reasons):
        return min(said, key=("glucose_hi", "glucose_lo").index)
    flags, concentration = decoded.get("status_flags") or (), decoded.get("concentration")
    if "result_too_high" in flags or concentration == "+INFINITY":
        return "glucose_hi"
    return "glucose_lo" if "result_too_low" in flags or concentration == "-INFINITY" else None


def _outside_any_meter(value: float | None) -> tuple[str, ...]:
    """Return what a number means that no meter shows. A meter that writes 0 for LO is as urgent as one that says LO."""
    if value is None:
        return ()
    if value < rules.GLUCOSE_SHOWN_FROM:
        return ("glucose_lo",)
    if value > MOST_MMOL_L:
        return ("impossible_glucose",)
    return ("glucose_hi", "above_any_meter") if value > rules.GLUCOSE_SHOWN_UP_TO else ()
