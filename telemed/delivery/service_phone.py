"""The postman's phone: its registration, the day's list, and what it recorded with no network.

A phone's report is a fact, stored as it came and answered one by one: applied, duplicate, conflict or rejected, with a
code. Order is the phone's own numbering; its clock decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Subject
from telemed.crypto.digest import sha256_hex
from telemed.crypto.envelope import Unsealable
from telemed.delivery import rules
from telemed.delivery.models import CustodyEvent, Order, Parcel, Phone, PhoneClash, PhoneEvent
from telemed.delivery.rules import Report
from telemed.delivery.service_custody import fault_of_proof, flags_of, move
from telemed.errors import Conflict, Forbidden
from telemed.ids import new_id
from telemed.services import Services

Verdict = tuple[str, str | None]  # status and code


@dataclass(frozen=True)
class Stop:
    """One line of the phone's list: all that a postman needs, and nothing of what is inside."""

    parcel_id: UUID
    number: str
    state: str
    name: str
    address: str
    place: str
    flags: list[str]
    weight_g: int | None
    proof_hash: str


@dataclass(frozen=True)
class Result:
    """What became of one report. `was`: for a duplicate, what became of it the first time."""

    event_id: str | None
    device_seq: int | None
    status: str
    code: str | None = None
    was: str | None = None


@dataclass(frozen=True)
class SyncAnswer:
    """`watermark`: all of the phone's numbers up to it are stored. `time`: when they were."""

    epoch: UUID
    watermark: int
    time: datetime
    results: list[Result]


@dataclass(frozen=True)
class RoundAnswer:
    """The day's list with what the phone needs to keep it."""

    postman_id: UUID
    epoch: UUID
    watermark: int
    time: datetime
    stops: list[Stop]


def register_phone(services: Services, who: Principal, device_id: UUID) -> int:
    """Make a phone known under the id it chose; return its watermark. A repeat changes nothing."""
    with services.act(who, "phone.register", Subject(account_id=who.id)) as tx:
        phone = tx.get(Phone, device_id)
        if phone is None:
            phone = Phone(id=device_id, postman_id=who.id, registered_at=services.clock(), watermark=0)
            tx.add(phone)
        elif phone.postman_id != who.id:
            raise Conflict("phone_of_another")
        _refuse_revoked(phone)
        return phone.watermark


def revoke_phone(services: Services, device_id: UUID) -> None:
    """Shut a lost phone out; at its next contact it wipes its list. A command of the operator."""
    with services.db.write() as tx:
        phone = tx.get_one(Phone, device_id)
        phone.revoked_at = services.clock()
        subject = Subject(account_id=phone.postman_id)
        audit.record(tx, services.clock(), SYSTEM, "phone.revoke", subject, allowed=True, reason="command")


def round_of(services: Services, who: Principal) -> list[Stop]:
    """Return the parcels that the postman has in hands. A protected read."""
    with services.act(who, "round.read", Subject(account_id=who.id)) as tx:
        return _stops(services, tx, who)


def open_round(services: Services, who: Principal, device_id: UUID) -> RoundAnswer:
    """Return the list for a registered phone. Raises Forbidden for an unknown or revoked one. A protected read."""
    with services.act(who, "round.read", Subject(account_id=who.id)) as tx:
        phone = _phone(tx, who, device_id)
        assert who.id is not None
        return RoundAnswer(who.id, services.epoch, phone.watermark, services.clock(), _stops(services, tx, who))


def sync(services: Services, who: Principal, device_id: UUID, events: list[dict[str, Any]]) -> SyncAnswer:
    """Take a phone's reports in its own order and answer each. Sending them again changes nothing."""
    with services.act(who, "round.sync", Subject(account_id=who.id)) as tx:
        phone = _phone(tx, who, device_id)
        results = [_take(services, tx, who, phone, raw) for raw in sorted(events, key=_by_number)]
        phone.watermark = max(phone.watermark, _watermark(tx, phone))
        phone.last_sync_at = services.clock()
        return SyncAnswer(services.epoch, phone.watermark, phone.last_sync_at, results)


def _by_number(raw: dict[str, Any]) -> int:
    seq = raw.get("device_seq")
    return seq if isinstance(seq, int) else rules.MAX_SEQ


def _phone(tx: Session, who: Principal, device_id: UUID) -> Phone:
    phone = tx.scalar(select(Phone).where(Phone.id == device_id).with_for_update())
    if phone is None or phone.postman_id != who.id:
        raise Forbidden("phone_unknown")
    _refuse_revoked(phone)
    return phone


def _refuse_revoked(phone: Phone) -> None:
    if phone.revoked_at is not None:
        raise Forbidden("phone_revoked")


def _watermark(tx: Session, phone: Phone) -> int:
    seqs = select(PhoneEvent.device_seq).where(
        PhoneEvent.device_id == phone.id, PhoneEvent.device_seq > phone.watermark
    )
    above = [seq - phone.watermark for seq in tx.scalars(seqs)]
    return phone.watermark + rules.watermark(above)


def _stops(services: Services, tx: Session, who: Principal) -> list[Stop]:
    found = tx.execute(
        select(Parcel, Order)
        .join(Order, Order.id == Parcel.order_id)
        .where(
            Parcel.id.in_(services.subjects("assigned", who)), Parcel.state.in_(rules.WITH_POSTMAN)
        )
        .order_by(Parcel.number)
    ).all()  # fmt: skip
    return [_stop(parcel, _address(services, tx, order)) for parcel, order in found]


def _address(services: Services, tx: Session, order: Order) -> dict[str, Any]:
    try:
        return services.vault.open(tx, order, "delivery")
    except Unsealable:
        # The patient's data was erased while the parcel was out: the number alone leads it back to the branch.
        return {}


def _stop(parcel: Parcel, address: dict[str, Any]) -> Stop:
    return Stop(
        parcel_id=parcel.id, number=parcel.number, state=parcel.state, name=str(address.get("name", "")),
        address=str(address.get("address", "")), place=str(address.get("place", "")), flags=flags_of(parcel),
        weight_g=parcel.weight_g, proof_hash=parcel.proof_hash.hex(),
    )  # fmt: skip


def _take(services: Services, tx: Session, who: Principal, phone: Phone, raw: dict[str, Any]) -> Result:
    report = rules.read_report(raw)
    if report is None:
        return Result(None, None, "rejected", "event_invalid")
    body_hash = sha256_hex(json.dumps(raw, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    known = tx.get(PhoneEvent, report.event_id)
    if known is not None and known.device_id == phone.id and known.body_hash == body_hash:
        return Result(str(report.event_id), report.device_seq, "duplicate", known.code, known.status)
    if known is not None:
        return _clash(services, tx, phone, report, raw, body_hash, "event_id_reused")
    number_used = select(PhoneEvent.id).where(
        PhoneEvent.device_id == phone.id, PhoneEvent.device_seq == report.device_seq
    )
    if tx.scalar(number_used) is not None:
        return _clash(services, tx, phone, report, raw, body_hash, "device_seq_reused")
    status, code = _judge(services, tx, who, phone, report)
    _store(services, tx, phone, report, raw, body_hash, status, code)
    return Result(str(report.event_id), report.device_seq, status, code)


def _judge(services: Services, tx: Session, who: Principal, phone: Phone, report: Report) -> Verdict:
    if report.fault or report.parcel_id is None:
        return "rejected", report.fault or "event_invalid"
    subject = Subject(parcel_id=report.parcel_id)
    parcel = tx.scalar(select(Parcel).where(Parcel.id == report.parcel_id).with_for_update())
    if parcel is None or not services.may(tx, who, "parcel.hand_over", subject):
        audit.record(
            tx, services.clock(), who, "parcel.hand_over", subject, allowed=False, reason="relation"
        )  # fmt: skip
        return _not_theirs(tx, who, report.parcel_id)
    services.allow(tx, who, "parcel.hand_over", subject)
    if report.proof is not None and (fault := fault_of_proof(services, tx, parcel, [report.proof])):
        return "rejected", fault
    return _apply(services, tx, who, phone, parcel, report)


def _not_theirs(tx: Session, who: Principal, parcel_id: UUID) -> Verdict:
    had_it = tx.scalar(
        select(CustodyEvent.id)
        .where(CustodyEvent.parcel_id == parcel_id, CustodyEvent.postman_id == who.id)
        .limit(1)
    )
    return ("conflict", "not_assigned_any_more") if had_it else ("rejected", "not_assigned")


def _apply(
    services: Services, tx: Session, who: Principal, phone: Phone, parcel: Parcel, report: Report
) -> Verdict:
    is_proved = report.proof is not None  # checked above against this parcel's own hash
    try:
        move(
            services, tx, parcel, rules.deed_of(report, is_proved=is_proved), actor_id=who.id, device_id=phone.id,
            reason=report.reason, happened_at=report.happened_at,
            verified=is_proved if report.kind == "handed_over" else None,
        )  # fmt: skip
    except Conflict as error:
        return "conflict", error.code
    return "applied", None


def _store(
    services: Services, tx: Session, phone: Phone, report: Report, raw: dict[str, Any], body_hash: str, status: str,
    code: str | None,
) -> None:  # fmt: skip
    row = PhoneEvent(
        id=report.event_id, device_id=phone.id, device_seq=report.device_seq, postman_id=phone.postman_id,
        parcel_id=report.parcel_id, body_rev=0, body_hash=body_hash, status=status, code=code,
        received_at=services.clock(),
    )  # fmt: skip
    services.vault.seal(tx, row, "body", _storable(raw))
    tx.add(row)
    tx.flush()


def _clash(
    services: Services, tx: Session, phone: Phone, report: Report, raw: dict[str, Any], body_hash: str, code: str
) -> Result:
    known = select(PhoneClash.id).where(
        PhoneClash.event_id == report.event_id, PhoneClash.device_id == phone.id, PhoneClash.body_hash == body_hash
    )
    if tx.scalar(known) is None:
        row = PhoneClash(
            id=new_id(), event_id=report.event_id, device_id=phone.id, device_seq=report.device_seq,
            postman_id=phone.postman_id, body_rev=0, body_hash=body_hash, code=code, received_at=services.clock(),
        )  # fmt: skip
        services.vault.seal(tx, row, "body", _storable(raw))
        tx.add(row)
        tx.flush()
    return Result(str(report.event_id), report.device_seq, "conflict", code)


def _storable(raw: dict[str, Any]) -> dict[str, Any]:
    # A lone surrogate in a broken report must not stop its storing.
    text = json.dumps(raw, ensure_ascii=True)
    return {"json": text}


