"""Use cases of branches: places, the gateway's joining and heartbeat, its orders, meters, the measured line."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, literal, select
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import NOBODY, Principal, Relation, Subject
from telemed.branches import morning, rules
from telemed.branches.events import GatewayChanged, GatewayJoined, LineMeasured
from telemed.branches.models import Branch, Gateway, GatewayOrder, JoinCode, LineCheck, Meter, MorningCheck, Region
from telemed.clock import iso
from telemed.crypto import signing, tokens, wire
from telemed.db import Reads
from telemed.errors import Conflict, Invalid, NotFound, SignInNeeded
from telemed.ids import new_id, parse_id
from telemed.prepared import ask
from telemed.rules_keyboards import code_readings
from telemed.rules_text import length
from telemed.services import Services

BASIS_MAX = 300
GATEWAY_HEADER, SIGNATURE_HEADER = "Telemed-Gateway", "Telemed-Signature"
KEY_HEADER, ANSWER_SIGNATURE_HEADER = "Telemed-Server-Key", "Telemed-Server-Signature"


# --- relations ----------------------------------------------------------------------------------------------------


_REGION = select(Branch.__table__.c.region_id).where(Branch.__table__.c.id == bindparam("branch"))


def _own_branch(_tx: Reads, who: Principal, subject: Subject) -> bool:
    return who.branch_id is not None and who.branch_id == subject.branch_id


def _own_branches(who: Principal) -> Select[Any]:
    return select(literal(who.branch_id))


def _own_region(tx: Reads, who: Principal, subject: Subject) -> bool:
    if who.region_id is None:
        return False
    if subject.region_id is not None:
        return subject.region_id == who.region_id
    return subject.branch_id is not None and ask(tx, _REGION, {"branch": subject.branch_id}).scalar() == who.region_id


def _branches_of_region(who: Principal) -> Select[Any]:
    return select(Branch.id).where(Branch.region_id == who.region_id)


RELATIONS = (
    Relation("own_branch", _own_branch, _own_branches),
    Relation("own_region", _own_region, _branches_of_region),
)


# --- places -------------------------------------------------------------------------------------------------------


def branch_of(tx: Session, branch_id: UUID) -> Branch:
    """Return a branch. Raises NotFound."""
    branch = tx.get(Branch, branch_id)
    if branch is None:
        raise NotFound()
    return branch


def is_open_at(branch: Branch, moment: datetime) -> bool:
    """Tell whether a branch is open at a moment."""
    return rules.is_open_at(branch.hours, branch.zone, moment)


def country_of(services: Services, branch_id: UUID | None) -> str:
    """Return the country of a branch's region, RU or BY: by it numbers are read that were written without one."""
    with services.db.read() as tx:
        zone = tx.scalar(select(Region.zone).join(Branch, Branch.region_id == Region.id).where(Branch.id == branch_id))
    return rules.country_of(zone or "")


def name_of_place(services: Services, branch_id: UUID) -> str:
    """Return what people call a branch: its name and its village."""
    with services.db.read() as tx:
        branch = branch_of(tx, branch_id)
        return f"{branch.name}, {branch.place}"


def place_of(services: Services, postal_index: str | None) -> tuple[UUID | None, UUID | None]:
    """Return branch and region of a six-digit index; without one, the only region there is. Raises Invalid."""
    with services.db.read() as tx:
        if not postal_index:
            regions = tx.scalars(select(Region.id).limit(2)).all()
            return None, regions[0] if len(regions) == 1 else None
        branch = tx.scalar(select(Branch).where(Branch.postal_index == postal_index))
        if branch is None:
            raise Invalid(fields={"branch": "not_found"})
        return branch.id, branch.region_id


def gateway_of(tx: Session, branch_id: UUID) -> Gateway | None:
    """Return the branch's newest living gateway, or None."""
    return tx.scalar(
        select(Gateway)
        .where(Gateway.branch_id == branch_id, Gateway.revoked_at.is_(None))
        .order_by(Gateway.joined_at.desc())
        .limit(1)
    )


@dataclass(frozen=True)
class MeterView:
    """A meter as its branch sees it. `remarks`: codes of branches/rules.py REMARKS; `drift_s`: our clock less its own."""

    kind: str
    name: str
    model: str | None
    serial: str | None
    battery_pct: int | None
    battery_low: bool
    last_seen_at: datetime | None
    id: UUID
    kit_id: UUID
    enrolment: str | None
    enrolment_code: str | None
    remarks: tuple[str, ...] = ()
    drift_s: int | None = None
    calibration_due_on: date | None = None
    strips_expire_on: date | None = None
    is_just_paired: bool = False

    @property
    def is_unheard(self) -> bool:
        """Whether its readings may be missing, for whatever reason."""
        return any(remark in rules.UNHEARD for remark in self.remarks)

    @property
    def is_clock_right(self) -> bool:
        return "meter_clock_wrong" not in self.remarks


@dataclass(frozen=True)
class OutageView:
    """The last time that a gateway was without the server, and why."""

    code: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class BranchView:
    """A branch with its equipment, as its clerk sees it. `light`: absent, silent, ok, or the reported problem."""

    id: UUID
    postal_index: str
    name: str
    place: str
    zone: str
    phone: str
    is_open: bool
    line_class: str | None
    line_checked_at: datetime | None
    light: str
    gateway_id: UUID | None
    gateway_seen_at: datetime | None
    queue: int
    radio: str
    meters: list[MeterView]
    undecodable: int = 0
    undecodable_at: datetime | None = None
    oldest_unsent_at: datetime | None = None
    outage: OutageView | None = None

    @property
    def has_unheard(self) -> bool:
        """Whether a meter's readings may be missing: then the branch PC works and the meters are not ready."""
        return any(meter.is_unheard for meter in self.meters)


def branch_view(services: Services, who: Principal, branch_id: UUID | None) -> BranchView:
    """Return a branch and its equipment."""
    with services.look(who, "branch.read", Subject(branch_id=branch_id)) as tx:
        if branch_id is None:
            raise NotFound()
        branch, gateway, now = branch_of(tx, branch_id), gateway_of(tx, branch_id), services.clock()
        meters = tx.scalars(
            select(Meter).where(Meter.branch_id == branch_id, Meter.removed_at.is_(None)).order_by(Meter.kind)
        )
        checked_at = _checked_at(tx, branch, now)
        return BranchView(
            id=branch.id, postal_index=branch.postal_index, name=branch.name, place=branch.place, zone=branch.zone,
            phone=branch.phone, is_open=is_open_at(branch, now), line_class=branch.line_class,
            line_checked_at=branch.line_checked_at,
            light=rules.light(gateway.status, gateway.last_seen_at, now) if gateway else "absent",
            gateway_id=gateway.id if gateway else None, gateway_seen_at=gateway.last_seen_at if gateway else None,
            queue=gateway.queue if gateway else 0, radio=gateway.radio if gateway else "system",
            meters=[_meter_view(meter, branch, checked_at, now) for meter in meters],
            undecodable=gateway.undecodable if gateway and _is_news(gateway.undecodable_at, now) else 0,
            undecodable_at=gateway.undecodable_at if gateway else None,
            oldest_unsent_at=gateway.oldest_unsent_at if gateway else None,
            outage=_outage_view(gateway, now) if gateway else None,
        )  # fmt: skip


def _is_news(at: datetime | None, now: datetime) -> bool:
    return at is not None and rules.is_worth_showing(at, now)


def _outage_view(gateway: Gateway, now: datetime) -> OutageView | None:
    if gateway.outage_code is None or gateway.outage_since is None or gateway.outage_until is None:
        return None
    if not _is_news(gateway.outage_until, now):
        return None
    return OutageView(rules.outage_reason(gateway.outage_code), gateway.outage_since, gateway.outage_until)


def _checked_at(tx: Session, branch: Branch, now: datetime) -> datetime | None:
    """Return when the newest morning check of the branch's day ended."""
    return tx.scalar(
        select(MorningCheck.finished_at)
        .where(
            MorningCheck.branch_id == branch.id,
            MorningCheck.day == morning.day_of(branch.zone, now),
            MorningCheck.finished_at.is_not(None),
        )
        .order_by(MorningCheck.finished_at.desc())
        .limit(1)
    )


def _meter_view(meter: Meter, branch: Branch, checked_at: datetime | None, now: datetime) -> MeterView:
    # One that was never reached says so by its enrolment.
    seen_at = meter.last_seen_at or (meter.enrolled_at if meter.enrolment == "enrolled" else None)
    silence = rules.silence(seen_at, checked_at, branch.hours, branch.zone, now) if seen_at else None
    remarks = rules.meter_remarks(
        meter.battery_pct, meter.drift_s, meter.calibration_due_on, meter.strips_expire_on,
        morning.day_of(branch.zone, now), (meter.trouble, silence),
    )  # fmt: skip
    return MeterView(
        meter.kind, meter.name, meter.model, meter.serial, meter.battery_pct, "battery_low" in remarks,
        meter.last_seen_at, meter.id, meter.kit_id, meter.enrolment, meter.enrolment_code, remarks, meter.drift_s,
        meter.calibration_due_on, meter.strips_expire_on,
        rules.is_just_paired(meter.enrolment, meter.paired_at, now),
    )  # fmt: skip


# --- joining ------------------------------------------------------------------------------------------------------


def issue_join_code(services: Services, who: Principal, branch_id: UUID) -> str:
    """Return a fresh one-time code with which a gateway joins the branch within 24 hours."""
    with services.act(who, "branch.issue_join_code", Subject(branch_id=branch_id)) as tx:
        return make_join_code(services, tx, branch_id, who.id)


def make_join_code(services: Services, tx: Session, branch_id: UUID, issued_by: UUID | None = None) -> str:
    """Store a one-time code and return it spelled in groups."""
    code = "".join(secrets.choice(rules.ALPHABET) for _ in range(rules.CODE_LENGTH))
    expires_at = services.clock() + rules.JOIN_CODE_LIFE
    tx.add(
        JoinCode(
            id=new_id(), branch_id=branch_id, code_hash=tokens.token_hash(code), issued_by=issued_by,
            expires_at=expires_at,
        )
    )  # fmt: skip
    return rules.spelled(code)


def join(services: Services, code: str, gateway_id: UUID, public_key: bytes, name: str) -> dict[str, Any]:
    """Register a gateway by its one-time code and return what it pins. The same gateway may repeat its own join.
    Raises Invalid(join_code_unknown | join_code_used | join_code_expired).
    """
    if len(public_key) != 32:
        raise Invalid("batch_invalid", fields={"public_key": "invalid"})
    with services.act(NOBODY, "gateway.join") as tx:
        row = tx.scalar(select(JoinCode).where(JoinCode.code_hash.in_(_join_hashes(code))))
        gateway = tx.get(Gateway, gateway_id)
        _refuse_code(services, row, gateway, public_key)
        assert row is not None
        branch, now = branch_of(tx, row.branch_id), services.clock()
        if gateway is None:
            row.used_at = now
            gateway = Gateway(
                id=gateway_id, branch_id=branch.id, name=name[:80], public_key=public_key, joined_at=now,
                status="joined", radio="system", queue=0, beat=0, watermark=0, chain_hash=wire.CHAIN_START,
            )  # fmt: skip
            tx.add(gateway)
            tx.flush()
            services.publish(tx, GatewayJoined(gateway.id, branch.id, now))
            _order_enrolments(services, tx, branch.id)
        ingest, server = services.signer.key_for(tx, "ingest"), services.signer.key_for(tx, "server")
        return {
            "gateway_id": str(gateway.id), "branch_id": str(branch.id), "branch_name": branch.name,
            "deployment_id": str(services.deployment_id), "epoch": str(services.epoch), "time": iso(now),
            "ingest_key": {"id": str(ingest.id), "public_key": _b64(ingest.public_key)},
            "server_key": {"id": str(server.id), "public_key": _b64(server.public_key)},
            "ruleset": ruleset(services.demo), "demo": services.demo, "next_poll_s": rules.POLL_OPEN_S,
        }  # fmt: skip


def _join_hashes(code: str) -> list[bytes]:
    return [tokens.token_hash(reading.upper()) for reading in code_readings(code, rules.ALPHABET)]


def _refuse_code(services: Services, row: JoinCode | None, gateway: Gateway | None, public_key: bytes) -> None:
    if row is None:
        raise Invalid("join_code_unknown", fields={"code": "join_code_unknown"})
    if row.used_at is not None and (gateway is None or gateway.public_key != public_key):
        raise Invalid("join_code_used", fields={"code": "join_code_used"})
    if row.used_at is None and gateway is not None:
        raise Invalid("join_code_used", fields={"gateway_id": "join_code_used"})
    if row.expires_at <= services.clock():
        raise Invalid("join_code_expired", fields={"code": "join_code_expired"})


def _order_enrolments(services: Services, tx: Session, branch_id: UUID) -> None:
    """Tell a new gateway which meters the branch has."""
    for meter in tx.scalars(select(Meter).where(Meter.branch_id == branch_id, Meter.removed_at.is_(None))):
        body = {"enrolment_id": str(meter.id), "meter": meter.kind, "name": meter.name}
        order_gateway(services, tx, branch_id, "enrol_meter", body)


@lru_cache(maxsize=2)
def ruleset(demo: bool) -> dict[str, Any]:
    """Return the measurement protocol that gateways follow."""
    path = Path(__file__).parent / "rulesets.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["demo-1" if demo else "standard-1"])


def revoke_gateway(services: Services, who: Principal, gateway_id: UUID) -> None:
    """End a gateway's right to speak for its branch, at once."""
    with services.db.read() as tx:
        gateway = tx.get(Gateway, gateway_id)
        if gateway is None:
            raise NotFound()
        subject = Subject(branch_id=gateway.branch_id)
    with services.act(who, "branch.revoke_gateway", subject) as tx:
        gateway = tx.get(Gateway, gateway_id)
        assert gateway is not None
        gateway.revoked_at = services.clock()
        services.publish(tx, GatewayChanged(gateway.id, gateway.branch_id, "revoked", gateway.revoked_at))


# --- signed requests ----------------------------------------------------------------------------------------------


_gateway = Gateway.__table__.c
_KNOWN_GATEWAY = select(
    _gateway.id, _gateway.branch_id, _gateway.name, _gateway.public_key, _gateway.revoked_at
).where(_gateway.id == bindparam("id"))  # fmt: skip


def gateway_principal(
    services: Services, headers: Mapping[str, str], method: str, path: str, body: bytes
) -> Principal:  # fmt: skip
    """Return the gateway that signed a request. Raises SignInNeeded(gateway_unknown | gateway_revoked |
    signature_wrong).
    """
    gateway_id = parse_id(headers.get(GATEWAY_HEADER))
    with services.db.glance() as now:
        gateway = ask(now, _KNOWN_GATEWAY, {"id": gateway_id}).first()
    if gateway is None:
        raise SignInNeeded("gateway_unknown")
    if gateway.revoked_at is not None:
        raise SignInNeeded("gateway_revoked")
    try:
        signature = base64.b64decode(headers.get(SIGNATURE_HEADER, ""), validate=True)
    except (binascii.Error, ValueError):
        raise SignInNeeded("signature_wrong") from None
    if not signing.verify(gateway.public_key, signature, wire.request_message(method, path, body)):
        raise SignInNeeded("signature_wrong")
    return Principal(id=gateway.id, role="gateway", display_name=gateway.name, branch_id=gateway.branch_id)


def sign_answer(services: Services, path: str, request_body: bytes, answer_body: bytes) -> dict[str, str]:
    """Return the headers by which a gateway knows that the answer is ours."""
    message = wire.answer_message(path, request_body, answer_body)
    key_id, signature = services.signer.sign_bytes(services.db, "server", message)
    return {KEY_HEADER: key_id, ANSWER_SIGNATURE_HEADER: _b64(signature)}


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# --- heartbeat and orders -----------------------------------------------------------------------------------------


def order_gateway(
    services: Services, tx: Session, branch_id: UUID, kind: str, body: dict[str, Any], gateway_id: UUID | None = None
) -> int | None:  # fmt: skip
    """Store the next numbered order for this gateway, without one for the branch's newest; None when there is none."""
    gateway = tx.get(Gateway, gateway_id) if gateway_id else gateway_of(tx, branch_id)
    if gateway is None or gateway.revoked_at is not None:
        return None
    last = tx.scalar(select(func.max(GatewayOrder.no)).where(GatewayOrder.gateway_id == gateway.id)) or 0
    tx.add(
        GatewayOrder(
            id=new_id(), gateway_id=gateway.id, no=last + 1, kind=kind, body=body, created_at=services.clock()
        )
    )
    tx.flush()
    return last + 1


def heartbeat(services: Services, who: Principal, beat: dict[str, Any]) -> dict[str, Any]:
    """Take a gateway's state, return the orders it has not had. Raises Conflict("beat_replayed")."""
    with services.db.write() as tx:
        # Every two seconds from every branch: decided like all else, but audited only when something changed.
        if not services.may(tx, who, "gateway.heartbeat", Subject(branch_id=who.branch_id)):
            raise SignInNeeded("gateway_unknown")
        gateway = tx.get(Gateway, who.id, with_for_update=True)
        assert gateway is not None
        if beat["beat"] <= gateway.beat:
            raise Conflict("beat_replayed", beat=gateway.beat)
        now = services.clock()
        before = rules.light(gateway.status, gateway.last_seen_at, now)
        gateway.beat, gateway.status, gateway.radio = beat["beat"], beat["status"], beat["radio"]
        gateway.queue, gateway.last_seen_at = beat["queue"], now
        _note_journal(gateway, beat)
        orders = _orders_after(tx, gateway.id, beat["last_order"])
        changed = _note_meters(tx, gateway, beat["meters"], _about_pairing(orders), now)
        changed = changed or before != rules.light(gateway.status, now, now)
        if changed:
            subject = Subject(branch_id=gateway.branch_id)
            audit.record(tx, now, who, "gateway.heartbeat", subject, allowed=True, reason="changed")
            services.publish(tx, GatewayChanged(gateway.id, gateway.branch_id, gateway.status, now))
        branch = branch_of(tx, gateway.branch_id)
        return {
            "epoch": str(services.epoch), "time": iso(now), "watermark": gateway.watermark,
            "next_poll_s": rules.next_poll_s(
                visit_is_open=beat["open_visit"] is not None, branch_is_open=is_open_at(branch, now),
                demo=services.demo,
            ),
            "orders": orders,
        }  # fmt: skip


def _note_journal(gateway: Gateway, beat: dict[str, Any]) -> None:
    """Write down what waits on the branch PC, what it could not read, and its last time without us."""
    journal, outage = beat["journal"], beat["outage"]
    gateway.oldest_unsent_at = journal["oldest_unsent_at"]
    gateway.undecodable, gateway.undecodable_at = journal["undecodable"], journal["undecodable_at"]
    if outage is not None:
        gateway.outage_code, gateway.outage_since, gateway.outage_until = (
            outage["code"], outage["since"], outage["until"],
        )  # fmt: skip


def _orders_after(tx: Session, gateway_id: UUID, last: int) -> list[dict[str, Any]]:
    rows = tx.scalars(
        select(GatewayOrder)
        .where(GatewayOrder.gateway_id == gateway_id, GatewayOrder.no > last)
        .order_by(GatewayOrder.no)
        .limit(50)
    )
    return [{"no": row.no, "kind": row.kind, **row.body} for row in rows]


def _about_pairing(orders: list[dict[str, Any]]) -> set[str]:
    """Return the meters whose pairing the gateway has not heard of yet: what it says of that is over."""
    return {order["enrolment_id"] for order in orders if order["kind"] in ("enrol_meter", "passkey")}


def _note_meters(
    tx: Session, gateway: Gateway, seen: list[dict[str, Any]], about_pairing: set[str], now: datetime
) -> bool:  # fmt: skip
    """Write what the gateway knows of its meters into the registry; tell whether anything but the time changed."""
    changed = False
    for report in seen:
        meter = tx.get(Meter, report["enrolment_id"])
        if meter is None or meter.branch_id != gateway.branch_id:
            continue
        for name in ("manufacturer", "model", "serial", "battery_pct", "drift_s"):
            if report.get(name) is not None and getattr(meter, name) != report[name]:
                setattr(meter, name, report[name])
                changed = True
        is_new = _enrolment(meter) != (report.get("enrolment"), report.get("enrolment_code"))
        if report.get("enrolment") is not None and is_new and str(meter.id) not in about_pairing:
            if report["enrolment"] == "enrolled" and _has_answered(meter, report):
                meter.paired_at = now
            meter.enrolment, meter.enrolment_code = report["enrolment"], report["enrolment_code"]
            changed = True
        changed = _note_trouble(meter, report.get("trouble")) or changed
        if report.get("last_seen_at") is not None:
            meter.last_seen_at = report["last_seen_at"]
    return changed


def _note_trouble(meter: Meter, told: str | None) -> bool:
    """Write down why a meter's readings do not come; tell whether that is news. Older gateways never say."""
    trouble = told if told is None or told in rules.TROUBLES else rules.TROUBLES[0]
    is_new, meter.trouble = meter.trouble != trouble, trouble
    return is_new


def _has_answered(meter: Meter, report: dict[str, Any]) -> bool:
    """Tell whether a meter that was looked for has shown itself: one that did not keeps the pairing it had."""
    if meter.enrolment in ("found", "passkey_needed"):
        return True
    seen_at = report.get("last_seen_at")
    return seen_at is not None and (meter.last_seen_at is None or seen_at > meter.last_seen_at)


def _enrolment(meter: Meter) -> tuple[str | None, str | None]:
    return meter.enrolment, meter.enrolment_code


# --- the line -----------------------------------------------------------------------------------------------------


def record_line_check(services: Services, tx: Session, branch_id: UUID, result: Mapping[str, Any]) -> None:
    """Keep one measurement of the branch's line and its class, inside the caller's transaction."""
    branch, now = branch_of(tx, branch_id), services.clock()

    def whole(name: str) -> int:
        return round(result.get(name) or 0)

    tx.add(
        LineCheck(
            id=new_id(), branch_id=branch_id, at=now, rtt_ms=whole("rtt_ms"), up_kbit_s=whole("up_kbit_s"),
            down_kbit_s=whole("down_kbit_s"), loss_up_pct=float(result.get("loss_up_pct") or 0),
            loss_down_pct=float(result.get("loss_down_pct") or 0), line_class=str(result["line_class"]),
        )
    )  # fmt: skip
    branch.line_class, branch.line_checked_at = str(result["line_class"]), now
    services.publish(tx, LineMeasured(branch_id, branch.line_class, now))


# --- the region's regime ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regime:
    """What the law of a region lets the post do."""

    region_name: str
    rx_by_post: bool
    rx_basis: str


def regime(services: Services, who: Principal) -> Regime:
    """Return the regime of the coordinator's region."""
    with services.look(who, "region.read", Subject(region_id=who.region_id)) as tx:
        region = tx.get_one(Region, who.region_id)
        return Regime(region.name, region.rx_by_post, region.rx_basis)


def set_regime(services: Services, who: Principal, *, rx_by_post: bool, basis: str) -> None:
    """Allow or forbid prescription medicines by post; audited. Raises Invalid without the act that allows it."""
    basis = " ".join(basis.split())
    if length(basis) > BASIS_MAX or (rx_by_post and not basis):
        raise Invalid(fields={"basis": "too_long" if basis else "required"})
    with services.act(who, "region.set_regime", Subject(region_id=who.region_id)) as tx:
        region = tx.get_one(Region, who.region_id, with_for_update=True)
        region.rx_by_post, region.rx_basis = rx_by_post, basis


def rx_by_post(tx: Session, branch_id: UUID) -> bool:
    """Tell whether the post may carry prescription medicines to patients of this branch."""
    found = select(Region.rx_by_post).join(Branch, Branch.region_id == Region.id).where(Branch.id == branch_id)
    return bool(tx.scalar(found))
