"""Triage and the judgement of a gateway's item: pure decisions over plain values.

Thresholds: ruleset `triage-ru-2026.1`, a proposal that a named clinician must sign before a live pilot. The gateway
has its own copy of the triage, which nothing calls yet; tests/contract/triage-cases.json holds both to the same answers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeGuard

RULESET = "triage-ru-2026.1"
LEVELS = ("GREEN", "YELLOW", "AMBER", "RED")
UNKNOWN = "UNKNOWN"

RED_SYMPTOMS = frozenset(
    {
        "chest_pain",
        "breathless_at_rest",
        "sudden_weakness",
        "speech_trouble",
        "vision_trouble",
        "confusion",
        "fainting",
    }
)
WORSENING = frozenset({"vomiting", "drowsiness"})  # they make a high glucose an emergency
AMBER_SYMPTOMS = frozenset({"fall_with_injury"})
OTHER_SYMPTOMS = frozenset({"headache", "dizziness"})
SYMPTOMS = RED_SYMPTOMS | WORSENING | AMBER_SYMPTOMS | OTHER_SYMPTOMS

GLUCOSE_RED_BELOW = 3.0  # mmol/L, hypoglycaemia level 2 (ADA, Russian diabetes algorithms 2023)
GLUCOSE_AMBER_UP_TO = 3.8
GLUCOSE_AMBER_ABOVE = 13.9  # hyperglycaemia level 2
GLUCOSE_YELLOW_FASTING_FROM = 7.0
GLUCOSE_YELLOW_RANDOM_FROM = 11.1
GLUCOSE_SHOWN_FROM, GLUCOSE_SHOWN_UP_TO = 1.1, 33.3  # meters say LO and HI outside
PULSE_RED_BELOW, PULSE_RED_ABOVE = 40, 130
PULSE_AMBER_BELOW, PULSE_AMBER_ABOVE = 50, 110
SYSTOLIC_AMBER_FROM, DIASTOLIC_AMBER_FROM, SYSTOLIC_AMBER_BELOW = 180, 110, 90  # grade 3; hypotension
SYSTOLIC_YELLOW_FROM, DIASTOLIC_YELLOW_FROM = 140, 90  # ESH/ESC and Russian classification, grade 1

NUMBERS = ("systolic_mmhg", "diastolic_mmhg", "pulse", "glucose_mmol_l")
WINDOW_BEFORE, WINDOW_AFTER = timedelta(seconds=30), timedelta(seconds=120)


@dataclass(frozen=True)
class Case:
    """What triage looks at. None is unknown. Pressures in mmHg, pulse per minute, glucose in mmol/L."""

    symptoms: frozenset[str] = frozenset()
    answered: bool = False
    systolic_mmhg: float | None = None
    diastolic_mmhg: float | None = None
    pulse: float | None = None
    glucose_mmol_l: float | None = None
    fasting: bool | None = None
    irregular_pulse: bool = False
    known_hypertension: bool | None = None


def case_from(document: Mapping[str, Any]) -> Case:
    """Return the case of a JSON object; absent fields are unknown. Raises ValueError for an unknown symptom, or for a
    value of another kind: a text or a NaN would be compared wrongly, and "false" would count as yes.
    """
    given = {name: document[name] for name in Case.__dataclass_fields__ if name in document}
    given["symptoms"] = frozenset(document.get("symptoms") or ())
    if not given["symptoms"] <= SYMPTOMS:
        raise ValueError("unknown symptom")
    wrong = [name for name, value in given.items() if name != "symptoms" and not _fits(name, value)]
    if wrong:
        raise ValueError(f"{wrong[0]} cannot be read")
    return Case(**given)


def _fits(name: str, value: object) -> bool:
    if name in NUMBERS:
        return value is None or (is_number(value) and math.isfinite(value))
    return isinstance(value, bool) or (value is None and name in ("fasting", "known_hypertension"))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a value of JSON is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def triage(case: Case) -> str:
    """Return the level of a case. What is missing, or not a number, never makes it GREEN: then it is UNKNOWN."""
    case = _without_nan(case)
    if _is_red(case):
        return "RED"
    if _is_amber(case):
        return "AMBER"
    if _is_yellow(case):
        return "YELLOW"
    return "GREEN" if _is_complete(case) else UNKNOWN


def _without_nan(case: Case) -> Case:
    """NaN is neither above nor below any limit: unnoticed, it would pass for a good value."""
    lost: dict[str, Any] = {name: None for name in NUMBERS if _is_nan(getattr(case, name))}
    return replace(case, **lost) if lost else case


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _is_red(case: Case) -> bool:
    glucose, pulse = case.glucose_mmol_l, case.pulse
    return (
        bool(case.symptoms & RED_SYMPTOMS)
        or (glucose is not None and glucose < GLUCOSE_RED_BELOW)
        or (glucose is not None and glucose > GLUCOSE_AMBER_ABOVE and bool(case.symptoms & WORSENING))
        or (pulse is not None and not PULSE_RED_BELOW <= pulse <= PULSE_RED_ABOVE)
    )


def _is_amber(case: Case) -> bool:
    glucose, pulse = case.glucose_mmol_l, case.pulse
    return (
        bool(case.symptoms & AMBER_SYMPTOMS)
        or case.irregular_pulse
        or _at_least(case.systolic_mmhg, SYSTOLIC_AMBER_FROM)
        or _at_least(case.diastolic_mmhg, DIASTOLIC_AMBER_FROM)
        or (case.systolic_mmhg is not None and case.systolic_mmhg < SYSTOLIC_AMBER_BELOW)
        or (glucose is not None and not GLUCOSE_AMBER_UP_TO < glucose <= GLUCOSE_AMBER_ABOVE)
        or (pulse is not None and not PULSE_AMBER_BELOW <= pulse <= PULSE_AMBER_ABOVE)
    )


def is_urgent_value(systolic_mmhg: float | None, diastolic_mmhg: float | None, glucose_mmol_l: float | None) -> bool:
    """Tell whether a single value lies where triage is AMBER or RED, whatever the others of its series say."""
    return triage(Case(systolic_mmhg=systolic_mmhg, diastolic_mmhg=diastolic_mmhg, glucose_mmol_l=glucose_mmol_l)) in (
        "AMBER",
        "RED",
    )


def _is_yellow(case: Case) -> bool:
    limit = GLUCOSE_YELLOW_FASTING_FROM if case.fasting else GLUCOSE_YELLOW_RANDOM_FROM
    return (
        _at_least(case.systolic_mmhg, SYSTOLIC_YELLOW_FROM)
        or _at_least(case.diastolic_mmhg, DIASTOLIC_YELLOW_FROM)
        or _at_least(case.glucose_mmol_l, limit)
    )


def _is_complete(case: Case) -> bool:
    """Tell whether nothing is missing that could change the level: fasting counts where only it decides."""
    needs_fasting = case.fasting is None and _at_least(case.glucose_mmol_l, GLUCOSE_YELLOW_FASTING_FROM)
    return case.answered and all(getattr(case, name) is not None for name in NUMBERS) and not needs_fasting


def _at_least(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit


def worse(one: str, other: str) -> str:
    """Return the more urgent of two levels; UNKNOWN counts below YELLOW but above GREEN."""
    order = ("GREEN", UNKNOWN, "YELLOW", "AMBER", "RED")
    return max(one, other, key=order.index)


@dataclass(frozen=True)
class VisitSpan:
    """A visit as the gateway's own sequence tells it: opened and closed by number and by the gateway's stamps."""

    opened_seq: int
    opened_at: datetime
    closed_seq: int | None = None
    closed_at: datetime | None = None


def quarantine_reason(
    seq: int,
    received_at: datetime,
    effective_at: datetime | None,
    span: VisitSpan | None,
    *,
    meter_known: bool,
    branch_matches: bool,
    corner_matches: bool = True,
) -> str | None:
    """Return why a reading cannot be given to the visit's patient, or None when it can. The server's own clock and the
    visit's present state play no part: the item may arrive days later.
    """
    if not meter_known:
        return "meter_not_enrolled"
    if not branch_matches:
        return "visit_elsewhere"
    if not corner_matches:
        return "visit_at_other_corner"
    if span is None or seq < span.opened_seq or _came_after_close(seq, received_at, span):
        return "visit_not_open"
    if effective_at is None:
        return "time_unknown"
    # Received while the visit was open; a meter's memory of before, or a clock that runs ahead, is not this patient's.
    if not span.opened_at - WINDOW_BEFORE <= effective_at <= received_at + WINDOW_AFTER:
        return "outside_window"
    return None


def _came_after_close(seq: int, received_at: datetime, span: VisitSpan) -> bool:
    """Bytes that arrived before the visit was closed may get their number after it: a context was waited for."""
    if span.closed_seq is None or seq < span.closed_seq:
        return False
    return span.closed_at is None or received_at >= span.closed_at


# --- doctored values ----------------------------------------------------------------------------------------------

BANDS = ((130, 140), (140, 150))  # just below and just above the limit at which a patient is referred
RATIO_FROM = 30  # readings in both bands together; under it the ratio is chance
RATIO_ODD = 2.0  # in an honest population the two bands hold about as many; far more just below asks for a visit


def band_ratio(below: int, above: int) -> float | None:
    """Return how many readings lie just below the limit for one just above it; None when there are too few to tell. It
    accuses nobody: a branch far from the others is visited, its meters and cuffs are looked at.
    """
    return None if below + above < RATIO_FROM or above == 0 else below / above


# --- the tray -----------------------------------------------------------------------------------------------------

CLAIMABLE = frozenset({"no_visit", "visit_not_open", "time_unknown", "outside_window"})
# Whose the readings of a visit are that was opened for the wrong person, as its clerk says.
WHOSE = ("another_person", "a_trial", "not_known")
CLAIM_REASONS = ("claim_opened_late", "claim_closed_early", "claim_clock_wrong")
CLAIM_WINDOW = timedelta(minutes=30)  # around a visit: two people remember what happened there, not what was last week
CLAIM_REACH = timedelta(hours=24)  # how far back an open visit is looked for
TRUSTED_TIMES = frozenset({"live", "corrected"})


def may_be_of_visit(reason: str, received_at: datetime, opened_at: datetime, closed_at: datetime | None) -> bool:
    """Tell whether two people may give a reading of the tray to a visit: it arrived while the visit was open or shortly
    before or after. A meter that is not enrolled here stays out, whoever vouches.
    """
    if reason not in CLAIMABLE or received_at < opened_at - CLAIM_WINDOW:
        return False
    return closed_at is None or received_at <= closed_at + CLAIM_WINDOW


def is_measured_elsewhen(
    effective_at: datetime | None, time_quality: str, opened_at: datetime, received_at: datetime
) -> bool:
    """Tell whether a time that can be trusted says that the reading is of another time than the visit, that is another
    person's from the meter's memory. A clock that nobody checked proves nothing.
    """
    if effective_at is None or time_quality not in TRUSTED_TIMES:
        return False
    return not opened_at - CLAIM_WINDOW <= effective_at <= received_at + WINDOW_AFTER


def glucose_beyond_the_meter(reasons: Collection[str]) -> float | None:
    """Return a glucose just outside what meters can show for a HI or LO result, else None. HI and LO are no number,
    yet the most urgent results there are. Control solution is not the patient's blood, ketones are not glucose.
    """
    if "control_solution" in reasons or "ketone" in reasons:  # of an unknown strip HI and LO are urgent all the same
        return None
    if "glucose_hi" in reasons:
        return GLUCOSE_SHOWN_UP_TO + 0.1
    if "glucose_lo" in reasons:
        return GLUCOSE_SHOWN_FROM - 0.1
    return None


def mean_of_last_two(values: Sequence[float]) -> float | None:
    """Return the mean of the last two readings (ESC 2024, ESH 2023), or of the one there is."""
    chosen = values[-2:]
    return sum(chosen) / len(chosen) if chosen else None
