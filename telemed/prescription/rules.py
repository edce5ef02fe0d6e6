"""What may be prescribed, what the post may carry, and which step follows which. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from telemed.rules_text import length
from telemed.rules_typed import why_no_day

MAX_ITEMS = 5
MAX_PACKS = 12
MAX_DIRECTIONS = 300
MAX_DAYS = 365
VALIDITY = timedelta(days=60)  # form 107-1/у, order 1094n of 24.11.2021
ALCOHOL_LIMIT_PCT = 25  # decree 697 of 16.05.2020: no distance sale above it
STORAGE = ("room", "fridge")
BASES = ("in_person", "experiment")

TRANSITIONS: dict[str, dict[str, str]] = {
    "draft": {"sign": "signed", "discard": "cancelled"},
    "signed": {"cancel": "cancelled"},
    "cancelled": {},
}


@dataclass(frozen=True)
class Medicine:
    """A line of the catalogue: INN, form and strength are the ordering key. `storage` None is unknown."""

    code: str
    atc: str
    inn: Mapping[str, str]
    form: str
    strength: str
    pack: int
    storage: str | None
    rx: bool
    controlled: bool
    quantity_recorded: bool
    alcohol_pct: int
    cold_chain: bool
    immunobiological: bool
    extemporaneous: bool


@dataclass(frozen=True)
class Eligibility:
    """Whether the post may carry everything; `reason` is the first code that says no, `item` the medicine it is about."""

    ok: bool
    reason: str | None = None
    item: str | None = None


def next_state(state: str, deed: str) -> str | None:
    """Return the state after `deed`, or None when the step is not legal."""
    return TRANSITIONS[state].get(deed)


def why_not_by_post(medicine: Medicine, *, rx_by_post: bool) -> str | None:
    """Return the code of why the post may not carry a medicine, the gravest first; None when it may."""
    barred = {
        "controlled": medicine.controlled,
        "quantity_recorded": medicine.quantity_recorded,
        "immunobiological": medicine.immunobiological,
        "cold_chain": medicine.cold_chain,
        "too_much_alcohol": medicine.alcohol_pct > ALCOHOL_LIMIT_PCT,
        "extemporaneous": medicine.extemporaneous,
        "storage_unknown": medicine.storage not in STORAGE,
        "rx_outside_regime": medicine.rx and not rx_by_post,
    }
    return next((reason for reason, holds in barred.items() if holds), None)


def eligibility(codes: Iterable[str], known: Mapping[str, Medicine], *, rx_by_post: bool) -> Eligibility:
    """Return whether all medicines may go by post. What the catalogue does not know may not."""
    for code in codes:
        medicine = known.get(code)
        reason = "medicine_unknown" if medicine is None else why_not_by_post(medicine, rx_by_post=rx_by_post)
        if reason:
            return Eligibility(False, reason, code)
    return Eligibility(True)


def faults_of_items(items: Sequence[Mapping[str, Any]], known: Mapping[str, Medicine]) -> dict[str, str]:
    """Return a code per wrong field, keyed `<field>-<number of the line>`; an empty dict when all is right."""
    if not items:
        return {"code-1": "required"}
    if len(items) > MAX_ITEMS:
        return {"items": "too_many_items"}
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for line, item in enumerate(items, 1):
        number = item.get("line", line)
        found = _faults_of_item(item, known, seen)
        faults.update({f"{field}-{number}": code for field, code in found.items()})
    return faults


def _faults_of_item(item: Mapping[str, Any], known: Mapping[str, Medicine], seen: set[str]) -> dict[str, str]:
    faults: dict[str, str] = {}
    code = item.get("code")
    if not code:
        faults["code"] = "required"
    elif code not in known:
        faults["code"] = "medicine_unknown"
    elif code in seen:
        faults["code"] = "medicine_twice"
    seen.add(str(code))
    for field, most in (("quantity", MAX_PACKS), ("days", MAX_DAYS)):
        if fault := _fault_of_number(item.get(field), most):
            faults[field] = fault
    directions = item.get("directions")
    if not isinstance(directions, str) or not directions.strip():
        faults["directions"] = "required"
    elif length(directions) > MAX_DIRECTIONS:
        faults["directions"] = "too_long"
    return faults


def _fault_of_number(value: object, most: int) -> str | None:
    if value is None or value == "":
        return "required"
    if not isinstance(value, int) or isinstance(value, bool):
        return "not_a_number"
    return None if 1 <= value <= most else "out_of_range"


def faults_of_basis(basis: Mapping[str, Any] | None, today: date) -> dict[str, str]:
    """Return what is wrong with the ground for prescribing. Order 193n of 11.04.2025: treatment is prescribed at a
    distance after a diagnosis made in person, or under the experimental regime. No basis at all is for drafts only.
    """
    if not basis:
        return {}
    if basis.get("kind") not in BASES:
        return {"basis": "invalid"}
    if basis["kind"] == "experiment":
        return {}
    faults = {}
    for field, longest in (("clinic", 120), ("doctor", 120)):
        text = str(basis.get(field) or "").strip()
        if not text:
            faults[f"basis_{field}"] = "required"
        elif length(text) > longest:
            faults[f"basis_{field}"] = "too_long"
    if fault := _fault_of_day(basis.get("date"), today):
        faults["basis_date"] = fault
    return faults


def _fault_of_day(text: object, today: date) -> str | None:
    if not text:
        return "required"
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return why_no_day(str(text))
    if day > today:
        return "date_in_future"
    return "date_too_old" if day.year < today.year - 50 else None


def content(head: Sequence[str], items: Sequence[Mapping[str, Any]], basis: Mapping[str, Any] | None) -> list[str]:
    """Return the canonical list of texts that is hashed and signed; its length prefixes are added by crypto."""
    ground = basis or {}
    lines = [*head, *(str(ground.get(key) or "") for key in ("kind", "date", "clinic", "doctor")), str(len(items))]
    for item in items:
        lines += [str(item[key]) for key in ("code", "inn", "form", "strength", "quantity", "directions", "days")]
    return lines
