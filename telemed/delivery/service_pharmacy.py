"""The pharmacist's use cases: what to pack, packing, and the hand-over of what the post may not carry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches import service as branches
from telemed.branches.models import Branch
from telemed.delivery import rules
from telemed.delivery.models import Order, Parcel
from telemed.delivery.service_custody import fault_of_proof, move
from telemed.errors import Conflict, Invalid, NotFound
from telemed.prescription import service as prescriptions
from telemed.rules_keyboards import token_readings
from telemed.services import Services


@dataclass(frozen=True)
class OrderRow:
    """A line of the pharmacy's lists."""

    id: UUID
    number: str
    parcel_number: str
    branch_name: str
    state: str
    parcel_state: str
    by_post: bool
    placed_at: datetime
    packed_at: datetime | None


@dataclass(frozen=True)
class OrderSheet:
    """An opened order. `name` only where the patient comes in person."""

    row: OrderRow
    parcel_id: UUID
    items: list[dict[str, Any]]
    name: str | None
    needs_document: bool


def orders_to_pack(services: Services, who: Principal) -> list[OrderRow]:
    """Return the region's orders that wait for the pharmacy, the oldest first: to pack, to be collected, and packed ones
    that may still be opened again.
    """
    waiting = Order.state.in_(("placed",)) | Parcel.state.in_(("collect_ready", "packed"))
    with services.look(who, "order.list", Subject(region_id=who.region_id)) as tx:
        found = tx.execute(
            select(Order, Parcel, Branch.name)
            .join(Parcel, Parcel.order_id == Order.id)
            .join(Branch, Branch.id == Order.branch_id)
            .where(Order.region_id == who.region_id, waiting)
            .order_by(Order.placed_at, Order.number)
        ).all()
    return [_row(order, parcel, name) for order, parcel, name in found]


def order_items(services: Services, who: Principal, order_id: UUID) -> OrderSheet:
    """Return an order with its items. A protected read."""
    with services.act(who, "order.read_items", _subject(services, order_id)) as tx:
        order, parcel = _locked(tx, order_id)
        branch = tx.get_one(Branch, order.branch_id)
        row = _row(order, parcel, branch.name)
        name = None if row.by_post else str(services.vault.open(tx, order, "delivery").get("name", ""))
        return OrderSheet(row, parcel.id, _items(services, tx, order), name, parcel.needs_document)


def pack(
    services: Services, who: Principal, order_id: UUID, ticked: list[str], packs: object, weight_g: object
) -> None:
    """Close the parcel: every item ticked and the packs counted. Raises Invalid where they do not fit."""
    with services.act(who, "order.pack", _subject(services, order_id)) as tx:
        order, parcel = _locked(tx, order_id)
        items = _items(services, tx, order)
        if order.state != "placed":
            raise Conflict("order_cancelled" if order.state == "cancelled" else "already_packed")
        if faults := rules.faults_of_packing(items, ticked, packs, weight_g):
            raise Invalid(fields=faults)
        allowed = branches.rx_by_post(tx, order.branch_id)
        if parcel.state == "ordered" and not prescriptions.eligibility(items, rx_by_post=allowed).ok:
            # The region's law may have changed since the signature, or somebody slipped an item in.
            raise Conflict("not_by_post")
        move(services, tx, parcel, "pack", actor_id=who.id)
        order.state, order.packed_at, order.packed_by = "packed", services.clock(), who.id
        parcel.packed_at, parcel.weight_g = order.packed_at, int(str(weight_g))


def unpack(services: Services, who: Principal, order_id: UUID) -> None:
    """Open a parcel that was packed by mistake: it is to be packed anew. Raises Conflict when it is on its way already."""
    with services.act(who, "order.pack", _subject(services, order_id)) as tx:
        order, parcel = _locked(tx, order_id)
        if parcel.round_id is not None:
            raise Conflict("on_a_round" if parcel.state == "packed" else "already_given")
        move(services, tx, parcel, "unpack", actor_id=who.id)
        order.state, order.packed_at, order.packed_by = "placed", None, None
        parcel.packed_at = parcel.weight_g = None


def hand_to_patient(services: Services, who: Principal, order_id: UUID, code: str) -> None:
    """Give a collected order to its patient; the slip's code proves it, an empty one leaves it unproved."""
    with services.act(who, "order.pack", _subject(services, order_id)) as tx:
        _order, parcel = _locked(tx, order_id)
        fault = _fault_of_code(services, tx, parcel, code)
        if fault is None:
            move(services, tx, parcel, "collect", actor_id=who.id, verified=bool(code.strip()))
    if fault:  # only now: the count of wrong codes is stored
        raise Invalid(fields={"code": fault})


def _fault_of_code(services: Services, tx: Session, parcel: Parcel, code: str) -> str | None:
    return fault_of_proof(services, tx, parcel, token_readings(code)) if code.strip() else None


def _subject(services: Services, order_id: UUID) -> Subject:
    with services.db.read() as tx:
        order = tx.get(Order, order_id)
    if order is None:
        raise NotFound()
    return Subject(
        patient_id=order.patient_id, branch_id=order.branch_id, region_id=order.region_id, order_id=order.id
    )


def _locked(tx: Session, order_id: UUID) -> tuple[Order, Parcel]:
    order = tx.scalar(select(Order).where(Order.id == order_id).with_for_update())
    parcel = tx.scalar(select(Parcel).where(Parcel.order_id == order_id).with_for_update())
    if order is None or parcel is None:
        raise NotFound()
    return order, parcel


def _items(services: Services, tx: Session, order: Order) -> list[dict[str, Any]]:
    return list(services.vault.open(tx, order, "items").get("items", []))


def _row(order: Order, parcel: Parcel, branch_name: str) -> OrderRow:
    return OrderRow(
        id=order.id, number=order.number, parcel_number=parcel.number, branch_name=branch_name, state=order.state,
        parcel_state=parcel.state, by_post=not parcel.state.startswith("collect"), placed_at=order.placed_at,
        packed_at=order.packed_at,
    )  # fmt: skip
