"""Symptom words, the steps of a series, the life of a visit. Pure.

    open -> ready -> closed          a visit may also be closed without a doctor
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

RED_FLAGS = (
    "chest_pain",
    "breathless_at_rest",
    "sudden_weakness",
    "speech_trouble",
    "vision_trouble",
    "confusion",
    "fainting",
)
OTHER_SYMPTOMS = ("vomiting", "drowsiness", "fall_with_injury", "headache", "dizziness")
SYMPTOMS = RED_FLAGS + OTHER_SYMPTOMS
ARMS = ("left", "right")
CUFFS = ("small", "medium", "large")
IDENTIFIED_BY = ("document", "card", "known_to_clerk")
STEPS: Mapping[str, frozenset[str]] = {
    "open": frozenset({"ready", "closed"}),
    "ready": frozenset({"closed"}),
    "closed": frozenset(),
}
LIVING = ("open", "ready")
TEXT_MAX = 500


def is_red_flag(symptoms: Sequence[str]) -> bool:
    """Tell whether a symptom alone makes an emergency, whatever the numbers."""
    return any(symptom in RED_FLAGS for symptom in symptoms)


def may_go(state: str, to: str) -> bool:
    """Tell whether a visit may step from one state to another."""
    return to in STEPS[state]


def planned(protocol: Mapping[str, Any], opened_at: datetime) -> list[tuple[str, int, datetime]]:
    """Return the series of a protocol as (kind, ordinal, not before). The glucose needs no rest and comes first, so
    that the patient rests meanwhile.
    """
    pressure = protocol["series"]["blood_pressure"]
    rest, interval = timedelta(seconds=pressure["rest_s"]), timedelta(seconds=pressure["interval_s"])
    steps = [("glucose", n + 1, opened_at) for n in range(protocol["series"]["glucose"]["readings"])]
    steps += [("blood_pressure", n + 1, opened_at + rest + n * interval) for n in range(pressure["readings"])]
    return steps


def wait_s(not_before: datetime, now: datetime) -> int:
    """Return how many seconds of rest are left."""
    return max(0, -int(-(not_before - now).total_seconds() // 1))


def after(status: str) -> str:
    """Return a step's state after a reading with that verdict: a doubtful one is asked for again."""
    return "done" if status == "usable" else "repeat"


def answer_faults(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return the wrong fields of the answers with their codes. A red flag is stored at once, with arm and cuff open."""
    open_allowed = ("",) if is_red_flag(answers.get("symptoms", ())) else ()
    faults = {}
    if set(answers.get("symptoms", ())) - set(SYMPTOMS):
        faults["symptoms"] = "invalid"
    faults |= {name: "too_long" for name in ("question", "medicines", "allergies") if len(answers.get(name, "")) > TEXT_MAX}
    if answers.get("arm") not in ARMS + open_allowed:
        faults["arm"] = "required"
    if answers.get("cuff") not in CUFFS + open_allowed:
        faults["cuff"] = "required"
    return faults
