"""Symptom words, the steps of a series, the life of a visit. Pure.

    open -> ready -> closed          a visit may also be closed without a doctor
    closed -> open | ready           taken back within half a minute
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from telemed.rules_text import length

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
    "closed": frozenset({"open", "ready"}),
}
LIVING = ("open", "ready")
# How a visit ends: the doctor is done; the patient went before that, or by ambulance; it was opened for the wrong person;
# the patient took the consent back, which no form of the counter may claim.
WRONG_PERSON, WITHDRAWN = "wrong_person", "withdrawn"
CHOSEN_ENDINGS = ("seen", "left", "ambulance", WRONG_PERSON)
ENDINGS = (*CHOSEN_ENDINGS, WITHDRAWN)
UNDO_WITHIN = timedelta(seconds=30)
TEXTS = ("question", "medicines", "allergies")
ANSWERS = ("symptoms", "fasting", "known_hypertension", "arm", "cuff", *TEXTS)
TEXT_MAX = 500
STANDARD_RULE = "standard-1"
DEMO = "demo"
IRREGULAR_AT_LEAST = 2  # of three, as NICE MTG13 has it: once may be a movement
TRIES_BEFORE_THE_DOCTOR = 3
ADVICE = {
    "body_movement": "movement",
    "cuff_too_loose": "cuff_loose",
    "improper_position": "position",
    "control_solution": "control_solution",
    "ketone": "ketone_strip",
    "strip_unknown": "ketone_strip",
    "strip_unclear_now": "strip_now",
    "impossible_glucose": "meter_fault",
    "above_any_meter": "urgent_again",
    "glucose_hi": "urgent",
    "glucose_lo": "urgent",
    "strip_insertion_error": "strip",
    "strip_type_incorrect": "strip",
    "sample_size_insufficient": "strip",
    "read_interrupted": "strip",
    "pressure_hi": "off_scale",
    "pressure_lo": "off_scale",
    "no_pressure": "no_number",
    "impossible_pressure": "no_number",
    "lower_not_below_upper": "no_number",
}
URGENT, OFF_SCALE, CALL_DOCTOR = "urgent", "off_scale", "call_doctor"
URGENT_AGAIN = "urgent_again"  # urgent, and measured once more: the number is above what any meter shows
STRIP_NOW = "strip_now"  # nobody knows what the strip measured; as glucose it would be urgent
NEVER_SILENT = (URGENT, URGENT_AGAIN, STRIP_NOW)  # told also when no step waits for a reading any more
# What a demo's simulated meter can be told to do wrong, and which kind of meter can; the same table as devices/simulator
# has, agreed in tests/contract/simulated-faults.json.
_ANY, _CUFF, _STRIP = ("blood_pressure", "glucose"), ("blood_pressure",), ("glucose",)
SIMULATED_FAULTS: Mapping[str, tuple[str, ...]] = {
    "vanish": _ANY,
    "wrong_clock": _ANY,
    "hi": _ANY,
    "lo": _STRIP,
    "irregular": _CUFF,
    "movement": _CUFF,
    "loose_cuff": _CUFF,
    "control_solution": _STRIP,
    "ketone": _STRIP,
    "old_memory": _ANY,
    "reversed_numbering": _STRIP,
    "passkey": _ANY,
    "lost_bond": _ANY,
}


def is_red_flag(symptoms: Sequence[str]) -> bool:
    """Tell whether a symptom alone makes an emergency, whatever the numbers."""
    return any(symptom in RED_FLAGS for symptom in symptoms)


def with_earlier(before: Mapping[str, Any], now: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the answers as they are now, with what was said before and taken back: a doctor sees both."""
    taken_back = {
        name: before[name] for name in ANSWERS
        if before.get(name) not in (None, "", []) and before[name] != now.get(name)
    }  # fmt: skip
    if not set(before.get("symptoms", ())) - set(now.get("symptoms", ())):
        taken_back.pop("symptoms", None)  # more was said, nothing taken back
    earlier = [*before.get("earlier", ()), *([{"at": at, **taken_back}] if taken_back else ())]
    return {**now, "earlier": earlier} if earlier else dict(now)


def corrected(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers with what is said anew. `changes["symptoms"]` gives a yes or no to those asked again."""
    said = changes.get("symptoms", {})
    symptoms = [code for code in SYMPTOMS if said.get(code, code in before.get("symptoms", ()))]
    return {**before, **changes, "symptoms": symptoms}


def may_go(state: str, to: str) -> bool:
    """Tell whether a visit may step from one state to another."""
    return to in STEPS[state]


def may_undo(closed_at: datetime | None, now: datetime) -> bool:
    """Tell whether the end of a visit can still be taken back by who pressed it."""
    return closed_at is not None and now - closed_at <= UNDO_WITHIN


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


def after(status: str, advice: str | None = None) -> str:
    """Return a step's state after a reading with that verdict: a doubtful one is asked for again. HI and LO are no number,
    yet nobody is pricked again for such a glucose, nor measured a third time: the doctor is called.
    """
    return "done" if status == "usable" or advice == URGENT else "repeat"


def advice(status: str, reasons: Sequence[str], tries: int, last: str | None = None) -> str | None:
    """Return the code of what the clerk does about a reading, or None when it is good. It names no value. `last` is the
    advice on the try before: HI or LO of a pressure may be the cuff's fault once, not twice.
    """
    if status == "usable":
        return None
    # Worst first: the reasons come in that order, but a control solution or a ketone strip outweighs HI and LO. On a
    # strip that nobody knows HI and LO are urgent.
    found = [ADVICE[reason] for reason in reasons if reason in ADVICE]
    if "control_solution" in found:
        return "control_solution"
    if URGENT in found and "ketone" not in reasons:
        return URGENT_AGAIN if URGENT_AGAIN in found and last not in (URGENT, URGENT_AGAIN) else URGENT
    if STRIP_NOW in found or "ketone_strip" in found:
        return STRIP_NOW if STRIP_NOW in found else "ketone_strip"
    # The advice to call the doctor may stand for a HI or LO of the try before: then it is not forgotten.
    if OFF_SCALE in found and last in (OFF_SCALE, CALL_DOCTOR):
        return URGENT
    return CALL_DOCTOR if tries >= TRIES_BEFORE_THE_DOCTOR else next(iter(found), "again")


# --- the series and its mean: the table of guidelines is protocols.json -----------------------------------------------


@dataclass(frozen=True)
class Single:
    """One pressure of a series in mmHg; `ordinal` is its place, `arm` None when nobody said."""

    systolic_mmhg: float
    diastolic_mmhg: float
    pulse: float | None = None
    irregular_pulse: bool = False
    arm: str | None = None
    ordinal: int = 0
    reading_id: UUID | None = None


@dataclass(frozen=True)
class Mean:
    """The pressure that a series stands for, and the places of the singles that went into it."""

    systolic_mmhg: float
    diastolic_mmhg: float
    pulse: float | None
    of: tuple[int, ...]
    arm: str | None


def all_protocols(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every protocol by name: each rule, and the same in seconds for demos, marked as such."""
    found: dict[str, dict[str, Any]] = {}
    for name, rule in document["rules"].items():
        found[name] = {**rule, "id": name, "demo": False}
        pressure = {**rule["series"]["blood_pressure"], **document["demo_pace"]}
        found[demo_of(name)] = {**rule, "id": name, "demo": True, "series": {**rule["series"], "blood_pressure": pressure}}
    return found


def demo_of(name: str) -> str:
    """Return the name of a rule's demo form."""
    return "demo-1" if name == STANDARD_RULE else f"{name}-{DEMO}"


def on_the_arm(singles: Sequence[Single]) -> list[Single]:
    """Return the singles of the arm that counts: a first visit starts with one on each, and goes on with the higher."""
    arm = higher_arm(singles) if len(singles) == 2 else singles[-1].arm
    return [single for single in singles if single.arm == arm]


def higher_arm(singles: Sequence[Single]) -> str | None:
    """Return the arm with the higher pressure (ESC 2024, ESH 2023: measure on that one from then on)."""
    return max(singles, key=lambda one: (one.systolic_mmhg, one.diastolic_mmhg)).arm if singles else None


def in_measured_order(counted: Sequence[Single], usable: Sequence[Single]) -> tuple[list[Single], list[Single]]:
    """Return the singles of a series and those measured after it. `counted` met the steps in the order of arrival, which
    a lost line or a meter's memory may turn round; `usable` stands in the order of measurement, and that one counts.
    """
    known = {single.reading_id for single in usable}
    pool = [single for single in counted if single.reading_id not in known] + list(usable)
    placed = [
        replace(single, arm=step.arm, ordinal=step.ordinal) for single, step in zip(pool, counted, strict=False)
    ]  # fmt: skip
    if len(placed) > 2 and placed[0].arm != placed[1].arm:
        arm = higher_arm(placed[:2])
        placed[2:] = [replace(single, arm=arm) for single in placed[2:]]
    return placed, pool[len(counted) :]


def is_irregular(singles: Sequence[Single]) -> bool:
    """Tell whether the pulse was irregular often enough to advise an ECG. Never a diagnosis."""
    return sum(single.irregular_pulse for single in singles) >= IRREGULAR_AT_LEAST


def is_enough(protocol: Mapping[str, Any], singles: Sequence[Single]) -> bool:
    """Tell whether the readings so far are so low that the rule asks for no other (ISH 2020: below 130/85)."""
    limits = protocol["series"]["blood_pressure"]["enough_below_mmhg"]
    if limits is None:
        return False
    return all(single.systolic_mmhg < limits[0] and single.diastolic_mmhg < limits[1] for single in singles)


def needs_one_more(protocol: Mapping[str, Any], singles: Sequence[Single]) -> bool:
    """Tell whether the last two of a full series lie too far apart, so that the rule asks for one more."""
    pressure, counted = protocol["series"]["blood_pressure"], on_the_arm(singles)
    limit = pressure["one_more_above_mmhg"]
    if limit is None or len(counted) != pressure["readings"]:
        return False
    return bool(abs(counted[-1].systolic_mmhg - counted[-2].systolic_mmhg) > limit)


def mean(protocol: Mapping[str, Any], singles: Sequence[Single]) -> Mean | None:
    """Return the mean that the rule asks for; None before the first single. With an irregular pulse in two of the
    readings the last three count, as single readings then scatter.
    """
    if not singles:
        return None
    counted = on_the_arm(singles)
    if is_irregular(singles):
        counted = counted[-3:]
    elif protocol["series"]["blood_pressure"]["mean_of"] == "last_two":
        counted = counted[-2:]
    pulses = [single.pulse for single in counted if single.pulse is not None]
    return Mean(
        _mean([single.systolic_mmhg for single in counted]), _mean([single.diastolic_mmhg for single in counted]),
        _mean(pulses) if pulses else None, tuple(single.ordinal for single in counted), counted[-1].arm,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def arms_of(arm: str, readings: int, *, both: bool) -> list[str | None]:
    """Return the arm of each measurement: on a first visit one on each, then the higher, which is not known yet."""
    if not both:
        return [arm] * readings
    other = next(name for name in ARMS if name != arm)
    return [arm, other] + [None] * (readings - 1)


def answer_faults(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return the wrong fields of the answers with their codes. A red flag is stored at once, with arm and cuff open and
    with every word that was typed: nothing that a doctor reads then is refused or cut.
    """
    is_red = is_red_flag(answers.get("symptoms", ()))
    open_allowed = ("",) if is_red else ()
    faults = {}
    if set(answers.get("symptoms", ())) - set(SYMPTOMS):
        faults["symptoms"] = "invalid"
    if not is_red:
        faults |= {name: "too_long" for name in TEXTS if length(answers.get(name, "")) > TEXT_MAX}
    if answers.get("arm") not in ARMS + open_allowed:
        faults["arm"] = "required"
    if answers.get("cuff") not in CUFFS + open_allowed:
        faults["cuff"] = "required"
    return faults
