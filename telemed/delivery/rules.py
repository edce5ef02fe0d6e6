"""A parcel's states as one table, its number, its proof, and what a phone may report. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

# state -> deed -> next state. `collect` is the way of what the post may not carry: the patient comes to the pharmacy. Every
# step before the hand-over has a way back: unpack, take_again, and from `returning` the patient whom the postman meets
# after all. `keep`: the patient took the consent to the post back. A round is no state: a parcel is put on it and taken
# off it by itself.
TRANSITIONS: dict[str, dict[str, str]] = {
    "ordered": {"pack": "packed", "keep": "collect", "cancel": "cancelled"},
    "packed": {"give": "given", "unpack": "ordered", "keep": "collect", "cancel": "cancelled", "lose": "lost"},
    "given": {
        "prove": "delivered", "hand_over": "delivered_unverified", "attempt": "attempted", "bring_back": "returning",
        "take_again": "packed", "take_back": "returned", "lose": "lost",
    },
    "attempted": {
        "prove": "delivered", "hand_over": "delivered_unverified", "attempt": "attempted", "bring_back": "returning",
        "take_again": "packed", "take_back": "returned", "lose": "lost",
    },
    "returning": {
        "prove": "delivered", "hand_over": "delivered_unverified", "attempt": "attempted",
        "take_again": "packed", "take_back": "returned", "lose": "lost",
    },
    "collect": {"pack": "collect_ready", "cancel": "cancelled"},
    "collect_ready": {"collect": "collected", "unpack": "collect", "cancel": "cancelled"},
    "delivered": {},
    "delivered_unverified": {},
    "collected": {},
    "returned": {},
    "lost": {},
    "cancelled": {},
}  # fmt: skip
FINAL = frozenset(state for state, deeds in TRANSITIONS.items() if not deeds)
WITH_PATIENT = frozenset({"delivered", "delivered_unverified", "collected"})
WITH_POSTMAN = frozenset({"given", "attempted", "returning"})

# Who has the thing in hands in each state: exactly one holder at any time. A returned medicine goes to the pharmacy's
# quarantine and never back to stock; a lost one has no holder that anybody knows.
HOLDER = {
    "ordered": "pharmacy", "packed": "branch", "given": "postman", "attempted": "postman", "returning": "postman",
    "collect": "pharmacy", "collect_ready": "pharmacy", "delivered": "patient", "delivered_unverified": "patient",
    "collected": "patient", "returned": "pharmacy", "lost": "nobody", "cancelled": "pharmacy",
}  # fmt: skip

# The quasigroup of order 10 of H. M. Damm's thesis (Marburg 2004).
DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2), (7, 0, 9, 2, 1, 5, 4, 8, 6, 3), (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6), (6, 1, 2, 3, 0, 4, 5, 9, 7, 8), (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4), (8, 9, 4, 5, 3, 6, 2, 0, 1, 7), (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)  # fmt: skip

REASONS = ("nobody_home", "refused", "wrong_address", "other")
KINDS = ("handed_over", "attempted", "returned")  # what a phone reports
PROOF = re.compile(r"[0-9a-f]{32}")
SPOKEN = re.compile(r"[0-9]{9}")
CODE_TRIES = 5  # wrong spoken codes for one parcel, after that none is looked at any more: 5 guesses among 10^8
MAX_SEQ = 2**31 - 1
REPORT_FIELDS = {"event_id", "device_seq", "kind", "parcel_id", "happened_at", "proof", "reason"}
CLOCK_AHEAD, CLOCK_BEHIND = timedelta(minutes=10), timedelta(days=30)


@dataclass(frozen=True)
class Report:
    """What a phone recorded. `fault` names what cannot be read; then only id and number may be trusted."""

    event_id: UUID
    device_seq: int
    kind: str = ""
    parcel_id: UUID | None = None
    happened_at: datetime | None = None
    proof: str | None = None
    reason: str | None = None
    fault: str | None = None


def next_state(state: str, deed: str) -> str | None:
    """Return the state after `deed`, or None when the step is not legal."""
    return TRANSITIONS[state].get(deed)


def is_whole(steps: Sequence[tuple[str, str, str]], state: str) -> bool:
    """Tell whether steps (deed, from, to) are legal and lead, each used once, from the beginning to `state`."""
    if any(next_state(before, deed) != after for deed, before, after in steps):
        return False
    met = {state, *(before for _, before, _ in steps)}
    begins_to_collect = "ordered" not in met and met & {"collect", "collect_ready", "collected"}
    balance = Counter({"collect" if begins_to_collect else "ordered": 1})
    for _, before, after in steps:
        balance[before] -= 1
        balance[after] += 1
    return {place: n for place, n in balance.items() if n} == {state: 1}


def deed_of(report: Report, *, is_proved: bool) -> str:
    """Return the deed that a phone's report stands for."""
    if report.kind == "handed_over":
        return "prove" if is_proved else "hand_over"
    return {"attempted": "attempt", "returned": "bring_back"}[report.kind]


def is_spoken(proof: str) -> bool:
    """Tell whether a proof is the kind that is spoken, right or mistyped."""
    return SPOKEN.fullmatch(proof) is not None


def is_mistyped(proof: str) -> bool:
    """Tell whether a spoken code's digits do not fit each other."""
    return is_spoken(proof) and damm_digit(proof[:8]) != proof[8]


def damm_digit(digits: str) -> str:
    """Return the check digit of H. M. Damm (2004): it finds each single wrong digit and each two that changed places."""
    interim = 0
    for digit in digits:
        interim = DAMM[interim][int(digit)]
    return str(interim)


def read_report(raw: Mapping[str, Any]) -> Report | None:
    """Return a phone's words as a report, with its fault if it has one; None when not even id and number are usable."""
    event_id, seq = _uuid(raw.get("event_id")), raw.get("device_seq")
    if event_id is None or not isinstance(seq, int) or isinstance(seq, bool) or not 1 <= seq <= MAX_SEQ:
        return None
    happened_at, parcel_id = _time(raw.get("happened_at")), _uuid(raw.get("parcel_id"))
    fault = _fault_of(raw)
    if fault or happened_at is None or parcel_id is None:
        return Report(event_id, seq, parcel_id=parcel_id, fault=fault or "event_invalid")
    return Report(event_id, seq, raw["kind"], parcel_id, happened_at, raw.get("proof"), raw.get("reason"))


def _fault_of(raw: Mapping[str, Any]) -> str | None:
    kind, proof, reason = raw.get("kind"), raw.get("proof"), raw.get("reason")
    if kind not in KINDS or set(raw) - REPORT_FIELDS:
        return "event_invalid"
    if kind == "handed_over":
        if reason is not None:
            return "event_invalid"
        return None if proof is None else _fault_of_form(proof)
    if proof is not None:
        return "event_invalid"
    return None if reason in REASONS else "reason_unknown"


def _fault_of_form(proof: object) -> str | None:
    if not isinstance(proof, str) or not (PROOF.fullmatch(proof) or is_spoken(proof)):
        return "event_invalid"
    return "code_mistyped" if is_mistyped(proof) else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


def _time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def is_clock_suspect(happened_at: datetime, received_at: datetime) -> bool:
    """Tell whether a phone's time cannot be right. It changes no decision, it is only shown."""
    return not received_at - CLOCK_BEHIND <= happened_at <= received_at + CLOCK_AHEAD


def believable_time(happened_at: datetime, given_at: datetime | None, received_at: datetime) -> datetime:
    """Return the reported time, kept between the hand-over to the postman and now."""
    return min(max(happened_at, given_at or happened_at), received_at)


def watermark(stored: Sequence[int]) -> int:
    """Return the largest n for which all numbers 1..n are stored."""
    known = set(stored)
    n = 0
    while n + 1 in known:
        n += 1
    return n


def check_digit(thirteen: str) -> str:
    """Return the check digit of a domestic tracking number: odd places three times, up to the next ten."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(thirteen))
    return str(-total % 10)


def parcel_number(postal_index: str, month: int, serial: int) -> str:
    """Return 14 digits: index 6, month 2, serial 5, check 1. Raises ValueError when the serial is used up."""
    if not 1 <= serial <= 99_999:
        raise ValueError("a parcel's serial has five digits")
    stem = f"{postal_index}{month:02d}{serial:05d}"
    return stem + check_digit(stem)


def is_parcel_number(text: str) -> bool:
    """Tell whether a text is a parcel number with the right check digit."""
    return len(text) == 14 and text.isascii() and text.isdecimal() and check_digit(text[:13]) == text[13]


def faults_of_packing(
    items: Sequence[Mapping[str, Any]], ticked: Sequence[str], packs: object, weight_g: object
) -> dict[str, str]:
    """Return what does not fit between the order and what lies on the table."""
    faults = {}
    if sorted(ticked) != sorted(str(item["code"]) for item in items):
        faults["items"] = "items_not_all_there"
    if not isinstance(packs, int):
        faults["packs"] = "not_a_number" if packs else "required"
    elif packs != sum(int(item["quantity"]) for item in items):
        faults["packs"] = "packs_differ"
    if not isinstance(weight_g, int):
        faults["weight_g"] = "not_a_number" if weight_g else "required"
    elif not 1 <= weight_g <= 20_000:
        faults["weight_g"] = "out_of_range"
    return faults
