"""Builders for what a prescription needs: a taken case, a consent, items."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from telemed.consultation.models import Consultation
from telemed.ids import new_id
from telemed.patients.models import Consent
from tests import cast
from tests.make import Hands

IN_PERSON = {"kind": "in_person", "date": "2026-03-27", "clinic": "Озерская больница", "doctor": "Н. Лугова"}
TABLETS: list[dict[str, Any]] = [
    {"code": "lorizapril-10", "quantity": 2, "directions": "1 таблетка утром", "days": 60},
    {"code": "acesal-75", "quantity": 1, "directions": "1 таблетка вечером", "days": 50},
]
INSULIN: list[dict[str, Any]] = [
    {"code": "insulara-100", "quantity": 1, "directions": "10 единиц вечером", "days": 30}
]


def case(hands: Hands, villager: cast.Villager = cast.MARIA, doctor: cast.Person = cast.VERA) -> UUID:
    """Open a visit whose case a doctor has taken; return the consultation's id."""
    now = hands.clock()
    return hands.add(
        Consultation(
            id=new_id(), visit_id=hands.visit(villager), patient_id=villager.id, branch_id=villager.branch_id,
            region_id=cast.BRANCHES[villager.branch_id][0], doctor_id=doctor.id, state="taken", level="YELLOW",
            mode="video", queued_at=now, taken_at=now, note_rev=0,
        )
    )  # fmt: skip


def agree(hands: Hands, villager: cast.Villager = cast.MARIA, purpose: str = "delivery") -> UUID:
    """Let a patient agree to one purpose."""
    return hands.add(
        Consent(
            id=new_id(), patient_id=villager.id, purpose=purpose, version="1", language="ru",
            given_at=hands.clock(), recorded_by=cast.ANNA.id,
        )
    )  # fmt: skip
