"""What the clerk's screen says while measuring: one plain sentence and one button for whatever goes wrong. Pure.

The sentence of a situation is code:now_<situation>, its button code:do_<deed>; what the branch PC reports of itself has
the sentences of its light, code:light_<light> and code:light_<light>_advice. No situation names a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A meter shows itself after its measurement: so long nobody worries. In a demo the simulated meters are quick.
NOT_SEEN_AFTER_S = {"blood_pressure": 90, "glucose": 60}
NOT_SEEN_AFTER_DEMO_S = 12
# Situation -> the one button.
DEEDS = {
    "urgent": "call_doctor",
    "urgent_again": "call_doctor",
    "strip_now": "measure",
    "call_doctor": "call_doctor",
    "no_meter": "to_branch",
    "passkey_needed": "give_passkey",
    "lost_bond": "pair",
    "not_paired": "pair",
    "pc_missing": "to_branch",
    "pc_trouble": "check_again",
    "pc_stuck": "type_in",
    "movement": "measure",
    "cuff_loose": "measure",
    "position": "measure",
    "off_scale": "measure",
    "no_number": "measure",
    "strip": "measure",
    "control_solution": "measure",
    "ketone_strip": "measure",
    "meter_fault": "measure",
    "again": "measure",
    "pairing": "measure",
    "found": "check_again",
    "undecodable": "type_in",
    "put_aside": "measure",
    "clock_wrong": "measure",
    "clock_far_off": "measure",
    "vanished": "measure",
    "not_seen": "measure",
}
PAIRING_SITUATIONS = ("passkey_needed", "lost_bond", "not_paired", "pairing", "found")
PC_SITUATIONS = ("pc_missing", "pc_trouble", "pc_stuck")
ALARMS = ("urgent_again", "strip_now")  # told before all else, and measured once more all the same
CLOCK_SITUATIONS = ("clock_wrong", "clock_far_off")
# Why a reading was put aside that a right clock would have placed; the gateway names no visit for what it takes for old.
CLOCK_REASONS = ("no_visit", "time_unknown", "outside_window")
# What looking again will not mend: the display's figures are typed in meanwhile.
STUCK_LIGHTS = ("disk_full", "chain_broken", "revoked")
# Here equipment stands in the way: the visit may go on without this measurement. A bad reading is simply repeated.
MAY_GO_ON = frozenset(
    {
        "call_doctor", "no_meter", "passkey_needed", "lost_bond", "not_paired", *PC_SITUATIONS, "pairing", "found",
        "undecodable", "put_aside", *CLOCK_SITUATIONS, "vanished", "not_seen",
    }
)  # fmt: skip
# The gateway corrects a meter's clock up to here (devices/records.py); a result of one that is further off has no time.
METER_CLOCK_CORRECTED_S = 12 * 3600
# A meter that waits to be paired is told of by itself, where that meter is needed.
SILENT_LIGHTS = ("ok", "pair_again")
# What keeps a meter's readings from coming, said by the gateway or by its silence.
UNHEARD = ("cannot_be_read", "other_meter", "records_missing", "unseen_for_days", "unseen_this_morning")
REMARKS = (*UNHEARD, "put_aside", "battery_low", "strips_expired", "calibration_overdue", "meter_clock_wrong")


@dataclass(frozen=True)
class Facts:
    """What is known while a step waits for its reading. `asked_s`: seconds since the patient was asked, or None. The
    `..._since` facts count from then. `clock_off_s`: how far the meter's clock is off where that put the reading aside,
    else 0.
    """

    kind: str
    light: str
    step_state: str
    advice: str | None = None
    is_urgent: bool = False
    asked_s: float | None = None
    has_meter: bool = True
    enrolment: str | None = None
    enrolment_code: str | None = None
    seen_since: bool = False
    undecodable_since: bool = False
    put_aside_since: bool = False
    clock_off_s: int = 0
    is_demo: bool = False


def situation(facts: Facts) -> str | None:
    """Return the one situation that the screen speaks of, the worst first, or None while all goes well."""
    if facts.step_state == "repeat" and facts.advice in ALARMS:
        return facts.advice
    if facts.is_urgent:
        return "urgent"
    if facts.step_state == "repeat" and facts.advice == "call_doctor":
        return "call_doctor"
    return _pairing(facts) or _branch_pc(facts.light) or _reading(facts) or _waiting(facts)


def _pairing(facts: Facts) -> str | None:
    if not facts.has_meter:
        return "no_meter"
    if facts.enrolment == "passkey_needed":
        return "passkey_needed"
    # A meter that has not shown itself yet may well do so when it is used.
    if facts.enrolment == "failed" and facts.enrolment_code != "not_seen":
        return "lost_bond" if facts.enrolment_code == "bond_lost" else "not_paired"
    return None


def _branch_pc(light: str) -> str | None:
    if light in SILENT_LIGHTS:
        return None
    if light == "absent":
        return "pc_missing"
    return "pc_stuck" if light in STUCK_LIGHTS else "pc_trouble"


def _reading(facts: Facts) -> str | None:
    """Return what the last try asks for; once the patient was asked anew it is over."""
    if facts.step_state != "repeat":
        return None
    return facts.advice if facts.advice in DEEDS else "again"


def _waiting(facts: Facts) -> str | None:
    """Return what is the matter since the patient was asked: the meter is being paired, a packet came and was of no use,
    or none came in time.
    """
    if facts.step_state != "asked" or facts.asked_s is None:
        return None
    if facts.enrolment in ("looking", "found"):
        return "pairing" if facts.enrolment == "looking" else "found"
    if facts.undecodable_since:
        return "undecodable"
    if facts.put_aside_since:
        return _put_aside(facts.clock_off_s)
    if facts.asked_s < patience_s(facts.kind, is_demo=facts.is_demo):
        return None
    if facts.seen_since:
        return "vanished"
    return "not_paired" if facts.enrolment == "failed" else "not_seen"


def _put_aside(clock_off_s: int) -> str:
    """Return why the reading was put aside, as far as the meter's clock tells."""
    if clock_off_s == 0:
        return "put_aside"
    return "clock_wrong" if clock_off_s <= METER_CLOCK_CORRECTED_S else "clock_far_off"


def patience_s(kind: str, *, is_demo: bool) -> int:
    """Return how long a meter may be silent before the screen speaks."""
    return NOT_SEEN_AFTER_DEMO_S if is_demo else NOT_SEEN_AFTER_S[kind]


def remarks(situation: str | None, of_meters: Sequence[str], *, has_put_aside: bool) -> list[str]:
    """Return the one-line remarks beside a situation, each once, in the order of REMARKS; none says it once more."""
    found = {*of_meters, *(("put_aside",) if has_put_aside and situation is None else ())}
    if situation in CLOCK_SITUATIONS:
        found.discard("meter_clock_wrong")
    if situation == "not_seen":
        found -= {"unseen_for_days", "unseen_this_morning"}
    return [code for code in REMARKS if code in found]
