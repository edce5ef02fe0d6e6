"""Use cases of a branch's meters: enrol, pair again, pass on the passkey, forget."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches import rules
from telemed.branches.models import Kit, Meter
from telemed.branches.service import order_gateway
from telemed.errors import Conflict, Invalid, NotFound
from telemed.ids import new_id
from telemed.services import Services

METER_KINDS = ("blood_pressure", "glucose")


def enrol_meter(services: Services, who: Principal, kind: str, name: str) -> UUID:
    """Add a meter to the branch's kit and tell the gateway to look for it. Raises Invalid."""
    wrong = {}
    if kind not in METER_KINDS:
        wrong["kind"] = "required"
    if not 1 <= len(name.strip()) <= 60:
        wrong["name"] = "required" if not name.strip() else "too_long"
    if wrong:
        raise Invalid(fields=wrong)
    with services.act(who, "branch.enrol_meter", Subject(branch_id=who.branch_id)) as tx:
        assert who.branch_id is not None
        kit = tx.scalar(select(Kit).where(Kit.branch_id == who.branch_id).limit(1))
        if kit is None:
            raise Conflict("no_kit")
        meter = Meter(
            id=new_id(), branch_id=who.branch_id, kit_id=kit.id, kind=kind, name=name.strip(),
            enrolled_at=services.clock(),
        )  # fmt: skip
        tx.add(meter)
        tx.flush()
        body = {"enrolment_id": str(meter.id), "meter": kind, "name": meter.name}
        if order_gateway(services, tx, who.branch_id, "enrol_meter", body) is not None:
            meter.enrolment = "looking"
        return meter.id


def enrol_again(services: Services, who: Principal, meter_id: UUID) -> None:
    """Let the gateway look for a known meter for a minute and pair with it anew: it was not found in time, or has lost
    its pairing. Raises NotFound, Conflict("no_gateway").
    """
    with services.act(who, "branch.enrol_meter", Subject(branch_id=who.branch_id)) as tx:
        meter = _own_meter(tx, who, meter_id)
        meter.enrolment, meter.enrolment_code = "looking", None
        body = {"enrolment_id": str(meter.id), "meter": meter.kind, "name": meter.name}
        if order_gateway(services, tx, meter.branch_id, "enrol_meter", body) is None:
            raise Conflict("no_gateway")


def give_passkey(services: Services, who: Principal, meter_id: UUID, passkey: str) -> None:
    """Pass on the six digits that a meter shows while it is being enrolled. Raises Invalid, NotFound,
    Conflict("no_gateway").
    """
    digits = rules.passkey_of(passkey)
    if not rules.is_passkey(digits):
        raise Invalid(fields={"passkey": "passkey_invalid"})
    with services.act(who, "branch.enrol_meter", Subject(branch_id=who.branch_id)) as tx:
        meter = _own_meter(tx, who, meter_id)
        meter.enrolment, meter.enrolment_code = "found", None
        body = {"enrolment_id": str(meter.id), "passkey": digits}
        if order_gateway(services, tx, meter.branch_id, "passkey", body) is None:
            raise Conflict("no_gateway")


def forget_meter(services: Services, who: Principal, meter_id: UUID) -> None:
    """Take no more readings of a meter; those it gave stay in the records. Raises NotFound."""
    with services.act(who, "branch.forget_meter", Subject(branch_id=who.branch_id)) as tx:
        meter = _own_meter(tx, who, meter_id)
        meter.removed_at = services.clock()
        order_gateway(services, tx, meter.branch_id, "forget_meter", {"enrolment_id": str(meter.id)})


def _own_meter(tx: Session, who: Principal, meter_id: UUID) -> Meter:
    meter = tx.get(Meter, meter_id)
    if meter is None or meter.branch_id != who.branch_id or meter.removed_at is not None:
        raise NotFound()
    return meter
