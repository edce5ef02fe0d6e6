"""Builders: put people, places and things straight into a database, with the product's own sealing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from telemed.access.models import Account
from telemed.booking.models import Booking, Doctor, Shift
from telemed.branches.models import Branch, Corner, Gateway, Kit, Meter, Region
from telemed.checkup.models import Visit
from telemed.clock import Clock
from telemed.ids import new_id
from telemed.patients.models import Patient
from telemed.services import Services
from tests import cast

OPEN_ALL_WEEK = {str(day): ["08:00", "20:00"] for day in range(1, 8)}


class Hands:
    """Make things in one database. `hands.patient(cast.MARIA)` returns the id."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @property
    def clock(self) -> Clock:
        return self.services.clock

    def everybody(self, password_hash: str) -> None:
        """Put the whole cast, its branches, corners, kits and meters in place."""
        with self.services.db.write() as tx:
            for region_id, name in ((cast.LAKE, "Озёрный край"), (cast.RIVER, "Речной край")):
                tx.add(Region(id=region_id, name=name, zone="Europe/Moscow", rx_by_post=True, rx_basis="TEST"))
            tx.flush()
            for branch_id in cast.BRANCHES:
                self._branch(tx, branch_id)
            tx.flush()
            for person in cast.STAFF:
                self._account(tx, person, password_hash)
            for villager in cast.VILLAGERS:
                self._patient(tx, villager)

    def _branch(self, tx: Session, branch_id: UUID) -> None:
        region_id, index, name = cast.BRANCHES[branch_id]
        tx.add(
            Branch(
                id=branch_id, region_id=region_id, postal_index=index, name=f"Отделение {index}", place=name,
                zone="Europe/Moscow", rural=True, hours=OPEN_ALL_WEEK, phone="+78160000000", line_class=None,
                line_checked_at=None,
            )
        )  # fmt: skip
        tx.flush()
        tx.add(Corner(id=corner_of(branch_id), branch_id=branch_id, name="1"))
        tx.add(Kit(id=kit_of(branch_id), branch_id=branch_id, name="1"))
        tx.flush()
        for kind in ("blood_pressure", "glucose"):
            tx.add(
                Meter(
                    id=meter_of(branch_id, kind), branch_id=branch_id, kit_id=kit_of(branch_id), kind=kind,
                    name=f"SIM-{'BP' if kind == 'blood_pressure' else 'GL'}", enrolled_at=self.clock(),
                )
            )  # fmt: skip

    def _account(self, tx: Session, person: cast.Person, password_hash: str) -> None:
        tx.add(
            Account(
                id=person.id, login=person.login, role=person.role, display_name=person.name,
                password_hash=password_hash, branch_id=person.branch_id, region_id=person.region_id, language="ru",
                created_at=self.clock(),
            )
        )  # fmt: skip
        if person.role == "doctor":
            tx.add(
                Doctor(
                    id=person.id, region_id=person.region_id, specialty="therapist", display_name=person.name,
                    phone="+78162000000",
                )
            )  # fmt: skip

    def _patient(self, tx: Session, villager: cast.Villager) -> None:
        index = self.services.index
        row = Patient(
            id=villager.id, home_branch_id=villager.branch_id, identity_rev=0, contact_rev=0,
            phone_index=index.of("patient.phone", villager.phone),
            snils_index=index.of("patient.snils", villager.snils) if villager.snils else None,
            policy_index=index.of("patient.policy", villager.policy) if villager.policy else None,
            name_birth_index=index.of("patient.name_birth", full_name_and_birth(villager)),
            name_index=index.of("patient.name_year", two_names_and_year(villager)),
            language=villager.language, type_size="large", hard_of_hearing=False, registered_at=self.clock(),
            registered_by=cast.ANNA.id,
        )  # fmt: skip
        identity = {
            "family_name": villager.family_name, "given_name": villager.given_name, "patronymic": villager.patronymic,
            "birth_date": villager.birth_date.isoformat(), "sex": villager.sex, "snils": villager.snils,
            "policy": villager.policy,
        }  # fmt: skip
        self.services.vault.seal(tx, row, "identity", identity)
        contact = {"phone": villager.phone, "address": "ул. Лесная, 5", "postal_index": "174001"}
        self.services.vault.seal(tx, row, "contact", contact)
        tx.add(row)

    def shift(self, doctor: cast.Person = cast.VERA, starts_at: datetime | None = None, hours: int = 8) -> UUID:
        """Let a doctor be on duty; by default for the eight hours from now on."""
        starts_at = starts_at or self.clock()
        shift = Shift(
            id=new_id(), doctor_id=doctor.id, starts_at=starts_at, ends_at=starts_at + timedelta(hours=hours),
            slot_minutes=15,
        )  # fmt: skip
        return self.add(shift)

    def booking(self, villager: cast.Villager = cast.MARIA, doctor: cast.Person = cast.VERA, **more: Any) -> UUID:
        """Book a patient with a doctor now, without asking the booking engine."""
        now = self.clock()
        values: dict[str, Any] = {
            "id": new_id(), "patient_id": villager.id, "branch_id": villager.branch_id,
            "corner_id": corner_of(villager.branch_id), "kit_id": kit_of(villager.branch_id), "doctor_id": doctor.id,
            "kind": "planned", "starts_at": now, "ends_at": now + timedelta(minutes=15), "status": "booked",
            "created_by": cast.ANNA.id, "created_at": now,
        }  # fmt: skip
        return self.add(Booking(**{**values, **more}))

    def visit(self, villager: cast.Villager = cast.MARIA, **more: Any) -> UUID:
        """Open a visit of a patient at the home branch, without asking the check-up slice."""
        values: dict[str, Any] = {
            "id": new_id(), "kind": "branch", "state": "open", "patient_id": villager.id,
            "branch_id": villager.branch_id, "corner_id": corner_of(villager.branch_id), "protocol": "demo-1",
            "identified_by": "document", "opened_by": cast.ANNA.id, "opened_at": self.clock(), "answers_rev": 0,
        }  # fmt: skip
        return self.add(Visit(**{**values, **more}))

    def gateway(self, public_key: bytes, branch_id: UUID = cast.OZERKI) -> UUID:
        """Join a gateway to a branch."""
        return self.add(
            Gateway(id=new_id(), branch_id=branch_id, name="PC", public_key=public_key, joined_at=self.clock())
        )

    def add(self, row: Any) -> UUID:
        """Store a row and return its id."""
        with self.services.db.write() as tx:
            tx.add(row)
        return row.id  # type: ignore[no-any-return]


def full_name_and_birth(villager: cast.Villager) -> str:
    """Return the text under which a patient's full name and birth date are indexed."""
    name = f"{villager.family_name} {villager.given_name} {villager.patronymic}"
    return f"{name}|{villager.birth_date.isoformat()}"


def two_names_and_year(villager: cast.Villager) -> str:
    """Return the text under which a patient's family name, given name and year of birth are indexed."""
    return f"{villager.family_name} {villager.given_name}|{villager.birth_date.year}"


def corner_of(branch_id: UUID) -> UUID:
    """Return the id of a cast branch's corner."""
    return cast.known_id(f"corner {branch_id}")


def kit_of(branch_id: UUID) -> UUID:
    """Return the id of a cast branch's kit."""
    return cast.known_id(f"kit {branch_id}")


def meter_of(branch_id: UUID, kind: str) -> UUID:
    """Return the id of a cast branch's meter."""
    return cast.known_id(f"meter {branch_id} {kind}")
