"""The judgement of a batch's items: what the batch needs to know is read once, then each item is decided by itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from telemed.branches.models import Meter
from telemed.checkup.models import Visit
from telemed.checkup.rules import WRONG_PERSON
from telemed.clock import parse_iso
from telemed.crypto import wire
from telemed.crypto.envelope import Unsealable
from telemed.prepared import ask
from telemed.readings import rules, rules_glucose
from telemed.readings.models import Reading, Transmission
from telemed.readings.wire import Item, Record, is_sane
from telemed.services import Services

# Built once: composing a statement costs more than running it, and a gateway on a good line sends item by item.
_VISITS = select(Visit).where(Visit.id.in_(bindparam("ids", expanding=True)))
_transmission, _reading, _meter = Transmission.__table__.c, Reading.__table__.c, Meter.__table__.c
_EVENTS = select(_transmission.event_id).where(_transmission.event_id.in_(bindparam("ids", expanding=True)))
_KEYS = select(_reading.reading_key).where(_reading.reading_key.in_(bindparam("keys", expanding=True)))
_METERS = select(_meter.id, _meter.removed_at, _meter.kit_id).where(_meter.branch_id == bindparam("branch"))
_MARKS = (
    select(_transmission.visit_id, _transmission.kind, _transmission.seq, _transmission.received_at)
    .where(
        _transmission.gateway_id == bindparam("gateway"),
        _transmission.kind != "reading",
        _transmission.visit_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(_transmission.seq)
)


_CLOSED = (
    select(_transmission.received_at)
    .where(
        _transmission.gateway_id == bindparam("gateway"),
        _transmission.kind == "visit_closed",
        _transmission.seq < bindparam("seq"),
    )
    .order_by(_transmission.seq.desc())
    .limit(1)
)


class End(Protocol):
    """A gateway's row as far as its sequence goes: where the accepted part ends."""

    id: UUID
    branch_id: UUID
    watermark: int
    chain_hash: str


class Judgement(NamedTuple):
    """What becomes of one item, and the gateway's stamp on it. With `visit` it enters that visit's record."""

    status: str
    code: str | None = None
    received_at: datetime | None = None
    record: Record | None = None
    visit: Visit | None = None
    source: str = "gateway"


@dataclass
class Known:
    """What one batch needs to know, read once: visits, their spans, meters and when they were removed, keys and events
    that were seen before.
    """

    gateway_id: str
    branch_id: UUID
    branch: str
    visits: dict[UUID, Visit]
    spans: dict[UUID, rules.VisitSpan]
    meters: dict[UUID, datetime | None]
    keys: set[str]
    events: set[UUID]
    kits: dict[UUID, UUID]

    def holds(self, visit: Visit, meter_id: UUID) -> bool:
        """Tell whether visit, gateway and meter belong to one corner: two corners hear each other's meters."""
        if visit.gateway_id is not None and str(visit.gateway_id) != self.gateway_id:
            return False
        return visit.kit_id is None or visit.kit_id == self.kits.get(meter_id)

    def had_meter(self, meter_id: UUID, at: datetime) -> bool:
        """Tell whether the branch had the meter when the bytes arrived; it may have been removed since."""
        if meter_id not in self.meters:
            return False
        removed_at = self.meters[meter_id]
        return removed_at is None or at <= removed_at


def look_up(tx: Session, gateway: End, items: Sequence[Item]) -> Known:
    """Return what the judgement of these items needs; one query a kind of fact, whatever the number of items."""
    visit_ids = {item.visit_id for item in items if item.visit_id is not None}
    visits = {visit.id: visit for visit in tx.scalars(_VISITS, {"ids": list(visit_ids)})} if visit_ids else {}
    known_events = set(ask(tx, _EVENTS, {"ids": [item.event_id for item in items]}).scalars())
    keys = [item.reading_key for item in items if item.reading_key]
    known = Known(
        str(gateway.id), gateway.branch_id, str(gateway.branch_id), visits, {}, {}, set(), known_events, {}
    )  # fmt: skip
    if keys:
        known.keys.update(ask(tx, _KEYS, {"keys": keys}).scalars())
        for row in ask(tx, _METERS, {"branch": gateway.branch_id}):
            known.meters[row.id], known.kits[row.id] = row.removed_at, row.kit_id
        known.spans.update(_spans(tx, gateway.id, visit_ids))
    return known


def _spans(tx: Session, gateway_id: UUID, visit_ids: set[UUID]) -> dict[UUID, rules.VisitSpan]:
    if not visit_ids:
        return {}
    spans: dict[UUID, rules.VisitSpan] = {}
    marks = ask(tx, _MARKS, {"gateway": gateway_id, "ids": list(visit_ids)})
    for visit_id, kind, seq, received_at in marks:
        _mark(spans, visit_id, kind, seq, received_at)
    return spans


def _mark(spans: dict[UUID, rules.VisitSpan], visit_id: UUID | None, kind: str, seq: int, at: datetime) -> None:
    if visit_id is None:
        return
    if kind == "visit_opened":
        span = spans.get(visit_id)  # opened a second time: its end was taken back
        spans[visit_id] = rules.VisitSpan(span.opened_seq, span.opened_at) if span else rules.VisitSpan(seq, at)
    elif (span := spans.get(visit_id)) is not None and span.closed_seq is None:
        spans[visit_id] = rules.VisitSpan(span.opened_seq, span.opened_at, seq, at)


def judge(services: Services, tx: Session, known: Known, item: Item) -> Judgement:
    """Return what becomes of an item. What is decided here is known to the items after it in the batch."""
    received_at = _stamp_of(item)
    if received_at is None:
        return Judgement("rejected", "time_invalid")
    if item.event_id in known.events:
        return Judgement("conflict", "event_id_used", received_at)
    known.events.add(item.event_id)
    if item.kind != "reading":
        _mark(known.spans, item.visit_id, item.kind, item.seq, received_at)
        return Judgement("accepted", None, received_at)
    if item.reading_key in known.keys:
        return Judgement("duplicate", "reading_known", received_at)
    record = open_record(services, tx, known.gateway_id, known.branch, item)
    if isinstance(record, str):
        return Judgement("rejected", record, received_at)
    if record.source == "simulated" and not services.demo:
        return Judgement("rejected", "simulated_refused", received_at)
    return _place(tx, known, item, received_at, record)


def _place(tx: Session, known: Known, item: Item, received_at: datetime, record: Record) -> Judgement:
    """Give a readable record to the visit it was measured in, or to the tray."""
    visit = known.visits.get(item.visit_id) if item.visit_id else None
    if visit is None:
        # A strange meter stays out whoever vouches, so it must not lie there as if only its visit were unknown.
        is_ours = known.had_meter(record.meter.enrolment_id, received_at)
        code = "no_visit" if is_ours else "meter_not_enrolled"
        return Judgement("quarantined", code, received_at, source=record.source)
    if visit.ending == WRONG_PERSON:
        return Judgement("quarantined", "visit_of_another", received_at, source=record.source)
    reason = rules.quarantine_reason(
        item.seq,
        received_at,
        record.effective_at,
        known.spans.get(visit.id),
        meter_known=known.had_meter(record.meter.enrolment_id, received_at),
        branch_matches=visit.branch_id == known.branch_id,
        corner_matches=known.holds(visit, record.meter.enrolment_id),
    )
    span = known.spans.get(visit.id)
    if not reason and span and record.effective_at and record.effective_at < span.opened_at:
        closed_at = _closed_before(tx, known, span)
        reason = "outside_window" if closed_at is not None and record.effective_at <= closed_at else None
    if reason:
        return Judgement("quarantined", reason, received_at, source=record.source)
    known.keys.add(item.reading_key)
    return Judgement("accepted", None, received_at, record, visit)


def _closed_before(tx: Session, known: Known, span: rules.VisitSpan) -> datetime | None:
    """Return when the visit before was closed: what was measured until then is that patient's, however soon the next
    one sat down.
    """
    stored = ask(tx, _CLOSED, {"gateway": UUID(known.gateway_id), "seq": span.opened_seq}).scalar()
    here = [one.closed_at for one in known.spans.values() if one.closed_at and (one.closed_seq or 0) < span.opened_seq]
    return max([at for at in (stored, *here) if at is not None], default=None)


def _stamp_of(item: Item) -> datetime | None:
    """Return the gateway's stamp, or None when it is no moment that a database can keep."""
    try:
        received_at = parse_iso(item.received_at)
    except (ValueError, OverflowError):
        return None
    return received_at if is_sane(received_at) else None


def open_record(services: Services, tx: Session, gateway_id: str, branch_id: str, item: Item) -> Record | str:
    """Return the record inside a sealed item, or the code of why it cannot be read."""
    try:
        sealed = base64.b64decode(item.sealed, validate=True)
        info = wire.ingest_info(gateway_id, branch_id, item.__dict__)
        plaintext = services.signer.open_item(tx, item.key_id, sealed, info)
    except (Unsealable, binascii.Error):
        return "unsealable"
    try:
        return judged_anew(Record.model_validate_json(plaintext))
    except ValidationError:
        return "record_invalid"


def judged_anew(record: Record) -> Record:
    """Return the record as this server judges it: the gateway may be of an older release."""
    if record.kind != "glucose":
        return record
    verdict, reasons = rules_glucose.judge_anew(record.verdict, record.reasons, record.decoded, record.context_raw)
    change: dict[str, object] = {"verdict": verdict, "reasons": list(reasons)}
    if "time_fault" in (record.decoded.get("status_flags") or ()):  # such a stamp may be any day's
        told = [code for code in reasons if code != "time_unknown"]
        change |= {"effective_at": None, "time_quality": "unknown", "reasons": [*told, "time_unknown"]}
    return record.model_copy(update=change)
