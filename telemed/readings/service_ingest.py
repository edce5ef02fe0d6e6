"""A gateway's batch: its place in the chain, a judgement per item, the tray of what belongs to nobody for certain."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Gateway, Meter
from telemed.checkup.models import Visit
from telemed.clock import iso, parse_iso
from telemed.crypto import wire
from telemed.crypto.envelope import Unsealable
from telemed.errors import Conflict, Forbidden, Invalid
from telemed.ids import new_id
from telemed.readings import rules
from telemed.readings.events import ReadingQuarantined
from telemed.readings.models import QuarantinedItem, Reading, Transmission
from telemed.readings.service import tell_stored, triage_visit
from telemed.readings.wire import Batch, BatchAnswer, Item, ItemResult, Record, is_sane
from telemed.services import Services

KEEP_QUARANTINED = timedelta(hours=24)


@dataclass(frozen=True)
class Judgement:
    """What becomes of one item. `patient_visit` is set when it enters that visit's record."""

    status: str
    code: str | None = None
    record: Record | None = None
    visit: Visit | None = None


@dataclass
class Known:
    """What one batch needs to know, read once: visits, their spans, meters and when they were removed, keys and events
    that were seen before.
    """

    visits: dict[UUID, Visit]
    spans: dict[UUID, rules.VisitSpan]
    meters: dict[UUID, datetime | None]
    keys: set[str]
    events: set[UUID]
    touched: dict[UUID, Visit] = field(default_factory=dict)

    def had_meter(self, meter_id: UUID, at: datetime) -> bool:
        """Tell whether the branch had the meter when the bytes arrived; it may have been removed since."""
        removed_at = self.meters.get(meter_id)
        return meter_id in self.meters and (removed_at is None or at <= removed_at)


def ingest(services: Services, gateway: Principal, batch: Batch) -> BatchAnswer:
    """Store a batch and return a judgement per item. A repeat is a duplicate; a gap, a broken chain or another epoch
    refuses the whole batch with Conflict, so that the gateway knows from where to send again.
    """
    assert gateway.id is not None
    if batch.gateway_id != gateway.id:
        raise Forbidden("gateway_unknown")
    with services.act(gateway, "reading.submit", Subject(branch_id=gateway.branch_id)) as tx:
        row = tx.get(Gateway, gateway.id, with_for_update=True)
        assert row is not None
        if batch.epoch != str(services.epoch):
            raise Conflict("epoch_changed", epoch=str(services.epoch), watermark=row.watermark)
        fresh = _fresh_items(row, batch.items)
        results = _repeated(tx, row, [item for item in batch.items if item.seq <= row.watermark])
        results += _store_fresh(services, tx, row, fresh)
        return BatchAnswer(
            epoch=services.epoch, time=iso(services.clock()), watermark=row.watermark, results=results
        )  # fmt: skip


def _fresh_items(gateway: Gateway, items: Sequence[Item]) -> list[Item]:
    """Return the items above the watermark, after checking that they continue the chain without a gap."""
    if any(later.seq != earlier.seq + 1 for earlier, later in pairwise(items)):
        raise Invalid("batch_invalid")
    fresh = [item for item in items if item.seq > gateway.watermark]
    if fresh and fresh[0].seq != gateway.watermark + 1:
        raise Conflict("sequence_gap", expected=gateway.watermark + 1)
    previous = gateway.chain_hash
    for item in fresh:
        if item.prev != previous or item.hash != _hash_of(gateway, item):
            raise Conflict("chain_broken", expected=gateway.watermark + 1)
        previous = item.hash
    return fresh


def _repeated(tx: Session, gateway: Gateway, items: Sequence[Item]) -> list[ItemResult]:
    """Judge items that are below the watermark: the same bytes are duplicates, others conflicts."""
    if not items:
        return []
    stored = {
        row.seq: row.hash
        for row in tx.scalars(
            select(Transmission).where(
                Transmission.gateway_id == gateway.id, Transmission.seq.between(items[0].seq, items[-1].seq)
            )
        )
    }
    return [
        ItemResult(seq=item.seq, event_id=item.event_id, status="duplicate")
        if stored.get(item.seq) == _hash_of(gateway, item)
        else ItemResult(seq=item.seq, event_id=item.event_id, status="conflict", code="other_bytes")
        for item in items
    ]


def _hash_of(gateway: Gateway, item: Item) -> str:
    """Return the hash that the item's own bytes have, whatever it says."""
    return wire.chain_hash(str(gateway.id), str(gateway.branch_id), item.model_dump(mode="json"))


def _store_fresh(services: Services, tx: Session, gateway: Gateway, items: Sequence[Item]) -> list[ItemResult]:
    if not items:
        return []
    known = _look_up(tx, gateway, items)
    results = []
    for item in items:
        judgement = _judge(services, tx, gateway, known, item)
        if judgement.status == "accepted" and judgement.record is not None and judgement.visit is not None:
            _store_reading(services, tx, item, judgement.record, judgement.visit)
            known.touched[judgement.visit.id] = judgement.visit
        elif judgement.status == "quarantined":
            _quarantine(services, tx, gateway, item, judgement.code or "unknown")
        _store_transmission(services, tx, gateway, known, item, judgement)
        results.append(
            ItemResult.model_validate(
                {"seq": item.seq, "event_id": item.event_id, "status": judgement.status, "code": judgement.code}
            )
        )
    gateway.watermark, gateway.chain_hash = items[-1].seq, items[-1].hash
    for visit in known.touched.values():
        triage_visit(services, tx, visit)
    return results


def _look_up(tx: Session, gateway: Gateway, items: Sequence[Item]) -> Known:
    visit_ids = {item.visit_id for item in items if item.visit_id is not None}
    visits = {visit.id: visit for visit in tx.scalars(select(Visit).where(Visit.id.in_(visit_ids)))}
    meters = {
        row.id: row.removed_at
        for row in tx.execute(select(Meter.id, Meter.removed_at).where(Meter.branch_id == gateway.branch_id))
    }
    keys = {item.reading_key for item in items if item.reading_key}
    known_keys = set(tx.scalars(select(Reading.reading_key).where(Reading.reading_key.in_(keys))))
    events = {item.event_id for item in items}
    known_events = set(tx.scalars(select(Transmission.event_id).where(Transmission.event_id.in_(events))))
    return Known(visits, _spans(tx, gateway, visit_ids), meters, known_keys, known_events)


def _spans(tx: Session, gateway: Gateway, visit_ids: set[UUID]) -> dict[UUID, rules.VisitSpan]:
    spans: dict[UUID, rules.VisitSpan] = {}
    marks = tx.scalars(
        select(Transmission)
        .where(
            Transmission.gateway_id == gateway.id,
            Transmission.kind != "reading",
            Transmission.visit_id.in_(visit_ids),
        )
        .order_by(Transmission.seq)
    )
    for mark in marks:
        _mark(spans, mark.visit_id, mark.kind, mark.seq, mark.received_at)
    return spans


def _mark(spans: dict[UUID, rules.VisitSpan], visit_id: UUID | None, kind: str, seq: int, at: datetime) -> None:
    if visit_id is None:
        return
    if kind == "visit_opened":
        spans.setdefault(visit_id, rules.VisitSpan(seq, at))
    elif (span := spans.get(visit_id)) is not None and span.closed_seq is None:
        spans[visit_id] = rules.VisitSpan(span.opened_seq, span.opened_at, seq, at)


def _judge(services: Services, tx: Session, gateway: Gateway, known: Known, item: Item) -> Judgement:
    received_at = _stamp_of(item)
    if received_at is None:
        return Judgement("rejected", "time_invalid")
    if item.event_id in known.events:
        return Judgement("conflict", "event_id_used")
    known.events.add(item.event_id)
    if item.kind != "reading":
        _mark(known.spans, item.visit_id, item.kind, item.seq, received_at)
        return Judgement("accepted")
    if item.reading_key in known.keys:
        return Judgement("duplicate", "reading_known")
    record = _open(services, tx, gateway, item)
    if isinstance(record, str):
        return Judgement("rejected", record)
    if record.source == "simulated" and not services.demo:
        return Judgement("rejected", "simulated_refused")
    visit = known.visits.get(item.visit_id) if item.visit_id else None
    if visit is None:
        return Judgement("quarantined", "no_visit")
    reason = rules.quarantine_reason(
        item.seq,
        received_at,
        record.effective_at,
        known.spans.get(visit.id),
        meter_known=known.had_meter(record.meter.enrolment_id, received_at),
        branch_matches=visit.branch_id == gateway.branch_id,
    )
    if reason:
        return Judgement("quarantined", reason)
    known.keys.add(item.reading_key)
    return Judgement("accepted", None, record, visit)


def _stamp_of(item: Item) -> datetime | None:
    """Return the gateway's stamp, or None when it is no moment that a database can keep."""
    try:
        received_at = parse_iso(item.received_at)
    except (ValueError, OverflowError):
        return None
    return received_at if is_sane(received_at) else None


def _open(services: Services, tx: Session, gateway: Gateway, item: Item) -> Record | str:
    """Return the record inside a sealed item, or the code of why it cannot be read."""
    try:
        sealed = base64.b64decode(item.sealed, validate=True)
        info = wire.ingest_info(str(gateway.id), str(gateway.branch_id), item.model_dump(mode="json"))
        plaintext = services.signer.open_item(tx, item.key_id, sealed, info)
    except (Unsealable, binascii.Error):
        return "unsealable"
    try:
        return Record.model_validate_json(plaintext)
    except ValidationError:
        return "record_invalid"


def _store_reading(services: Services, tx: Session, item: Item, record: Record, visit: Visit) -> None:
    now = services.clock()
    reading = Reading(
        id=new_id(), event_id=item.event_id, reading_key=item.reading_key, patient_id=visit.patient_id,
        visit_id=visit.id, branch_id=visit.branch_id, meter_id=record.meter.enrolment_id, kind=record.kind,
        source=record.source, status=record.verdict, time_quality=record.time_quality, measured_at=record.at(),
        received_at=record.received_at, stored_at=now, clinical_rev=0,
    )  # fmt: skip
    services.vault.seal(tx, reading, "clinical", record.model_dump(mode="json"))
    tx.add(reading)
    tell_stored(services, tx, reading)


def _quarantine(services: Services, tx: Session, gateway: Gateway, item: Item, reason: str) -> None:
    now = services.clock()
    row = QuarantinedItem(
        id=new_id(), event_id=item.event_id, gateway_id=gateway.id, branch_id=gateway.branch_id, reason=reason,
        received_at=parse_iso(item.received_at), erase_at=now + KEEP_QUARANTINED, item=item.model_dump_json().encode(),
    )  # fmt: skip
    tx.add(row)
    services.publish(tx, ReadingQuarantined(row.id, gateway.branch_id, reason, now))


def _store_transmission(
    services: Services, tx: Session, gateway: Gateway, known: Known, item: Item, judgement: Judgement
) -> None:
    received_at = _stamp_of(item) or services.clock()
    # The sequence goes on also past an item whose event id was used before: it gets a name of its own.
    event_id = new_id() if judgement.code == "event_id_used" else item.event_id
    tx.add(
        Transmission(
            event_id=event_id, gateway_id=gateway.id, seq=item.seq, kind=item.kind, visit_id=item.visit_id,
            received_at=received_at, hash=item.hash, status=judgement.status, code=judgement.code,
            stored_at=services.clock(),
        )
    )  # fmt: skip
