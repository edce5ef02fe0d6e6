"""Use cases of delivery: the order out of a signed prescription, the patient's tracking and slip, custody's audit.

The desks' use cases stand in service_pharmacy, service_dispatch and service_phone and are named here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.branches.models import Branch
from telemed.checkup.models import Visit
from telemed.consultation.models import Consultation
from telemed.crypto import tokens
from telemed.delivery import rules
from telemed.delivery.events import OrderPlaced
from telemed.delivery.models import CustodyEvent, Order, Parcel
from telemed.delivery.service_custody import ASSIGNED, locked, move, subject_of
from telemed.delivery.service_dispatch import (
    assign,
    give,
    give_round,
    lose,
    parcels_for_dispatch,
    take_again,
    take_back,
    take_off,
)
from telemed.delivery.service_pharmacy import hand_to_patient, order_items, orders_to_pack, pack, unpack
from telemed.delivery.service_phone import open_round, register_phone, revoke_phone, round_of, sync
from telemed.errors import Conflict, NotFound
from telemed.ids import new_id
from telemed.patients import service as patients
from telemed.prescription import service as prescriptions
from telemed.prescription.catalogue import medicines
from telemed.prescription.events import PrescriptionCancelled, PrescriptionSigned
from telemed.prescription.models import Prescription
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = (ASSIGNED,)
__all__ = [
    "RELATIONS", "ParcelView", "Slip", "assign", "cancel_order", "custody_faults", "give", "give_round",
    "hand_to_patient", "lose", "open_round", "order_items", "orders_to_pack", "pack", "parcels_for_dispatch",
    "parcels_of_patient", "parcels_of_visit", "place_order", "register_phone", "revoke_phone", "round_of", "slip",
    "slip_page", "stop_without_consent", "sync", "take_again", "take_back",
    "take_off", "unpack",
]  # fmt: skip


@dataclass(frozen=True)
class ParcelView:
    """What a patient, and a clerk of the branch, may know. `state` is a code: `parcel_<state>_state`."""

    id: UUID
    number: str
    state: str
    by_post: bool
    is_over: bool
    placed_at: datetime
    packed_at: datetime | None
    given_at: datetime | None
    ended_at: datetime | None
    verified: bool | None
    last_reason: str | None


@dataclass(frozen=True)
class Slip:
    """The patient's own paper: whoever shows its secret, or says its code, has received the parcel."""

    parcel_id: UUID
    number: str
    secret: str
    code: str
    by_post: bool
    branch_name: str
    branch_phone: str


def place_order(services: Services, tx: Session, event: PrescriptionSigned) -> None:
    """Store the order and its parcel, once per prescription. Runs inside a job's transaction."""
    # The lock makes this wait for a cancellation under way, or that one for this.
    prescription = tx.scalar(
        select(Prescription).where(Prescription.id == event.prescription_id).with_for_update()
    )
    known = tx.scalar(select(Order.id).where(Order.prescription_id == event.prescription_id))
    if prescription is None or prescription.state != "signed" or known is not None:
        return
    case = tx.get_one(Consultation, prescription.consultation_id)
    branch = tx.get_one(Branch, prescription.branch_id)
    items = prescriptions.items_of(services, tx, prescription)
    now = services.clock()
    order = Order(
        id=new_id(), number=prescription.number, prescription_id=prescription.id, visit_id=case.visit_id,
        patient_id=prescription.patient_id, branch_id=branch.id, region_id=branch.region_id, state="placed",
        items_rev=0, delivery_rev=0, placed_at=now,
    )  # fmt: skip
    services.vault.seal(tx, order, "items", {"items": items})
    services.vault.seal(tx, order, "delivery", _address(services, tx, order, branch))
    tx.add(order)
    tx.flush()
    tx.add(_parcel(services, tx, order, branch, prescriptions.is_postal(services, tx, prescription), items))
    subject = Subject(patient_id=order.patient_id, branch_id=branch.id, order_id=order.id)
    audit.record(tx, now, SYSTEM, "order.place", subject, allowed=True, reason="job")
    services.publish(
        tx, OrderPlaced(order.id, prescription.id, order.patient_id, branch.id, branch.region_id, now)
    )


def cancel_order(services: Services, tx: Session, event: PrescriptionCancelled) -> None:
    """Cancel the order of a cancelled prescription; a parcel that is already out is called back instead."""
    tx.scalar(select(Prescription.id).where(Prescription.id == event.prescription_id).with_for_update())
    order = tx.scalar(select(Order).where(Order.prescription_id == event.prescription_id))
    if order is None or order.state == "cancelled":
        return
    parcel = tx.scalar(select(Parcel).where(Parcel.order_id == order.id).with_for_update())
    if parcel is None or parcel.state in rules.FINAL or parcel.recalled_at is not None:
        return
    now = services.clock()
    reason = "prescription_cancelled"
    if rules.next_state(parcel.state, "cancel"):
        move(services, tx, parcel, "cancel", actor_id=None, reason=reason)
        order.state = "cancelled"
    else:
        parcel.recalled_at, parcel.version = now, parcel.version + 1
        tx.add(_recall(parcel, reason, now))
    subject = Subject(patient_id=order.patient_id, branch_id=order.branch_id, order_id=order.id)
    audit.record(tx, now, SYSTEM, "order.cancel", subject, allowed=True, reason="job")


def stop_without_consent(services: Services, tx: Session, patient_id: UUID, purpose: str) -> None:
    """Keep from the post what the patient does not want to be sent any more: what no postman has yet waits at the pharmacy,
    what is out is called back. Runs inside a job's transaction.
    """
    if purpose != "delivery" or not patients.is_withdrawn(tx, patient_id, purpose):
        return
    now = services.clock()
    for parcel in tx.scalars(select(Parcel).where(Parcel.patient_id == patient_id).with_for_update()):
        if rules.next_state(parcel.state, "keep"):
            move(services, tx, parcel, "keep", actor_id=None, reason="consent_withdrawn")
            parcel.postman_id = parcel.round_id = parcel.packed_at = parcel.weight_g = None
            order = tx.get_one(Order, parcel.order_id)
            order.state, order.packed_at, order.packed_by = "placed", None, None
        elif parcel.state in rules.WITH_POSTMAN and parcel.recalled_at is None:
            parcel.recalled_at, parcel.version = now, parcel.version + 1
            tx.add(_recall(parcel, "consent_withdrawn", now))


def parcels_of_patient(services: Services, who: Principal) -> list[ParcelView]:
    """Return the patient's own parcels, the newest first. A protected read."""
    with services.act(who, "parcel.track", Subject(patient_id=who.patient_id)) as tx:
        rows = tx.scalars(
            select(Parcel).where(Parcel.patient_id == who.patient_id).order_by(Parcel.placed_at.desc(), Parcel.number)
        )
        return [_track(tx, parcel) for parcel in rows]


def parcels_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[ParcelView]:
    """Return the parcels that came out of a visit, for the counter: states only."""
    with services.db.read() as tx:
        visit = tx.get(Visit, visit_id)
    if visit is None:
        raise NotFound()
    subject = Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id)
    with services.look(who, "parcel.read_state", subject) as tx:
        rows = tx.scalars(
            select(Parcel)
            .join(Order, Order.id == Parcel.order_id)
            .where(Order.visit_id == visit_id)
            .order_by(Parcel.placed_at, Parcel.number)
        )
        return [_track(tx, parcel) for parcel in rows]


def slip(services: Services, who: Principal, parcel_id: UUID) -> str:
    """Return the secret of a parcel for its patient's slip or page, 32 hex characters. A protected read."""
    return slip_page(services, who, parcel_id).secret


def slip_page(services: Services, who: Principal, parcel_id: UUID) -> Slip:
    """Return what the printed slip shows. Raises Conflict when the parcel's way is over."""
    with services.act(who, "order.print_slip", subject_of(services, parcel_id)) as tx:
        parcel = locked(tx, parcel_id)
        if parcel.state in rules.FINAL:
            raise Conflict("parcel_ended")
        branch = tx.get_one(Branch, parcel.branch_id)
        proof = _whole_proof(services, tx, parcel)
        return Slip(
            parcel.id, parcel.number, proof["secret"], proof["code"], _is_by_post(parcel.state), branch.name,
            branch.phone,
        )  # fmt: skip


def _whole_proof(services: Services, tx: Session, parcel: Parcel) -> dict[str, str]:
    proof = services.vault.open(tx, parcel, "proof")
    if "code" not in proof:  # a parcel of the time before there was one: nobody knows it yet
        proof["code"] = _new_code()
        services.vault.seal(tx, parcel, "proof", proof)
    return proof


def _new_code() -> str:
    digits = tokens.new_digits(8)
    return digits + rules.damm_digit(digits)


def custody_faults(services: Services) -> list[str]:
    """Return one sentence per parcel whose custody does not add up; an empty list is what must be."""
    faults = []
    with services.db.read() as tx:
        for parcel in tx.scalars(select(Parcel)).yield_per(500):
            steps = tx.scalars(select(CustodyEvent).where(CustodyEvent.parcel_id == parcel.id)).all()
            moves = [(step.kind, step.from_state, step.to_state) for step in steps if step.kind != "recall"]
            if not rules.is_whole(moves, parcel.state):
                faults.append(f"parcel {parcel.id}: the steps do not lead to {parcel.state}")
            finals = sum(1 for step in steps if step.final_mark)
            if finals != (parcel.state in rules.FINAL):
                faults.append(f"parcel {parcel.id}: state {parcel.state} with {finals} final steps")
            if parcel.holder != rules.HOLDER[parcel.state]:
                faults.append(f"parcel {parcel.id}: state {parcel.state} held by {parcel.holder}")
            if parcel.version != 1 + len(steps):
                faults.append(f"parcel {parcel.id}: version {parcel.version} after {len(steps)} steps")
    return faults


def _address(services: Services, tx: Session, order: Order, branch: Branch) -> dict[str, Any]:
    contact = patients.contact_of(services, tx, order.patient_id)
    return {
        "name": patients.name_of(services, tx, order.patient_id), "address": contact.get("address") or "",
        "phone": contact.get("phone") or "", "place": branch.place,
    }  # fmt: skip


def _parcel(
    services: Services, tx: Session, order: Order, branch: Branch, by_post: bool, items: list[dict[str, Any]]
) -> Parcel:
    secret = tokens.new_token()
    state = "ordered" if by_post else "collect"
    parcel = Parcel(
        id=new_id(), order_id=order.id, number=_next_number(tx, branch, order.placed_at), patient_id=order.patient_id,
        branch_id=order.branch_id, region_id=order.region_id, state=state, holder=rules.HOLDER[state], proof_rev=0,
        code_wrong=0, proof_hash=tokens.token_hash(secret), placed_at=order.placed_at, version=1,
        needs_document=any(medicines()[item["code"]].rx for item in items if item["code"] in medicines()),
    )  # fmt: skip
    services.vault.seal(tx, parcel, "proof", {"secret": secret, "code": _new_code()})
    return parcel


def _next_number(tx: Session, branch: Branch, placed_at: datetime) -> str:
    # Two workers on PostgreSQL may choose the same serial: the unique constraint stops one, its job runs again.
    month = placed_at.astimezone(ZoneInfo(branch.zone)).month
    newest = tx.scalar(select(func.max(Parcel.number)).where(Parcel.number.like(f"{branch.postal_index}{month:02d}%")))
    return rules.parcel_number(branch.postal_index, month, int(newest[8:13]) + 1 if newest else 1)


def _recall(parcel: Parcel, reason: str, now: datetime) -> CustodyEvent:
    return CustodyEvent(
        id=new_id(), parcel_id=parcel.id, kind="recall", from_state=parcel.state, to_state=parcel.state,
        from_holder=parcel.holder, to_holder=parcel.holder, actor_id=None, postman_id=parcel.postman_id,
        device_id=None, reason=reason, happened_at=now, recorded_at=now, clock_suspect=False, final_mark=None,
    )  # fmt: skip


def _is_by_post(state: str) -> bool:
    return not state.startswith("collect")


def _track(tx: Session, parcel: Parcel) -> ParcelView:
    reason = tx.scalar(
        select(CustodyEvent.reason)
        .where(CustodyEvent.parcel_id == parcel.id, CustodyEvent.kind.in_(("attempt", "bring_back", "cancel")))
        .order_by(CustodyEvent.recorded_at.desc())
        .limit(1)
    )
    return ParcelView(
        id=parcel.id, number=parcel.number, state=parcel.state, by_post=_is_by_post(parcel.state),
        is_over=parcel.state in rules.FINAL, placed_at=parcel.placed_at, packed_at=parcel.packed_at,
        given_at=parcel.given_at, ended_at=parcel.ended_at, verified=parcel.verified, last_reason=reason,
    )  # fmt: skip
