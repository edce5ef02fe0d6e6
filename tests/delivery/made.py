"""Builders for parcels: sign a prescription, let the jobs run, and bring the parcel to the wanted state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from telemed.clock import iso
from telemed.delivery import service
from telemed.delivery.models import CustodyEvent, Order, Parcel
from telemed.ids import new_id
from telemed.prescription import service as prescriptions
from telemed.services import Services
from tests import cast
from tests.make import Hands
from tests.prescription import made

EGOR, FEDOR, DINA, VERA = cast.EGOR.who, cast.FEDOR.who, cast.DINA.who, cast.VERA.who


class Post:
    """The way of a parcel in one database. `post.parcel("given")` returns a parcel that is with postman Fedor."""

    def __init__(self, services: Services, hands: Hands, jobs: Callable[[], int]) -> None:
        self.services, self.hands, self.jobs = services, hands, jobs

    def prescription(self, villager: cast.Villager = cast.MARIA, items: Any = None, *, agreed: bool = True) -> UUID:
        """Sign a prescription without running the jobs."""
        if agreed:
            made.agree(self.hands, villager)
        case = made.case(self.hands, villager)
        prescription_id = prescriptions.draft(self.services, VERA, case, items or made.TABLETS, made.IN_PERSON)
        shown = prescriptions.read_prescription(self.services, VERA, prescription_id)
        prescriptions.sign(self.services, VERA, prescription_id, shown.content_hash)
        return prescription_id

    def parcel(self, state: str = "ordered", villager: cast.Villager = cast.MARIA, items: Any = None) -> UUID:
        """Return a parcel on its way by post."""
        prescription_id = self.prescription(villager, items)
        self.jobs()
        order = self.order_of(prescription_id)
        parcel_id = self.parcel_of(order.id).id
        if state == "ordered":
            return parcel_id
        self.pack(order.id)
        if state != "packed":
            service.assign(self.services, EGOR, parcel_id, cast.FEDOR.id)
        if state == "given":
            service.give(self.services, EGOR, parcel_id)
        return parcel_id

    def pack(self, order_id: UUID, items: Any = None) -> None:
        """Pack an order as it should be."""
        items = items or service.order_items(self.services, DINA, order_id).items
        packs = sum(item["quantity"] for item in items)
        service.pack(self.services, DINA, order_id, [item["code"] for item in items], packs, 240)

    def order_of(self, prescription_id: UUID) -> Order:
        with self.services.db.read() as tx:
            return tx.scalars(select(Order).where(Order.prescription_id == prescription_id)).one()

    def parcel_of(self, order_id: UUID) -> Parcel:
        with self.services.db.read() as tx:
            return tx.scalars(select(Parcel).where(Parcel.order_id == order_id)).one()

    def now(self, parcel_id: UUID) -> Parcel:
        with self.services.db.read() as tx:
            return tx.get_one(Parcel, parcel_id)

    def steps(self, parcel_id: UUID) -> list[CustodyEvent]:
        with self.services.db.read() as tx:
            return list(tx.scalars(select(CustodyEvent).where(CustodyEvent.parcel_id == parcel_id)))

    def finals(self, parcel_id: UUID) -> int:
        return sum(1 for step in self.steps(parcel_id) if step.final_mark)

    def secret(self, parcel_id: UUID) -> str:
        return service.slip(self.services, cast.MARIA.who, parcel_id)

    def code(self, parcel_id: UUID) -> str:
        """Return the nine digits that the patient says."""
        return service.slip_page(self.services, cast.MARIA.who, parcel_id).code

    def phone(self, person: cast.Person = cast.FEDOR) -> UUID:
        device_id = new_id()
        service.register_phone(self.services, person.who, device_id)
        return device_id

    def event(self, seq: int, parcel_id: UUID, kind: str = "handed_over", **more: Any) -> dict[str, Any]:
        """Return what a phone sends."""
        return {
            "event_id": str(new_id()), "device_seq": seq, "kind": kind, "parcel_id": str(parcel_id),
            "happened_at": iso(self.hands.clock() + timedelta(seconds=1)), "proof": None,
            "reason": None if kind == "handed_over" else "nobody_home", **more,
        }  # fmt: skip

    def sync(self, device_id: UUID, *events: dict[str, Any], person: cast.Person = cast.FEDOR) -> list[tuple[str, Any]]:
        """Return (status, code) of each event."""
        answer = service.sync(self.services, person.who, device_id, list(events))
        return [(result.status, result.code) for result in answer.results]
