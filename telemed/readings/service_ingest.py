"""A gateway's batch: its place in the chain, an answer per item, and what a stored reading sets going."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from telemed.access.relations import Principal, Subject
from telemed.branches.models import Gateway
from telemed.checkup import service as checkup
from telemed.clock import iso
from telemed.crypto import wire
from telemed.errors import Conflict, Forbidden, Invalid
from telemed.prepared import ask
from telemed.readings.events import ReadingQuarantined, ReadingStored
from telemed.readings.models import Transmission
from telemed.readings.service import continue_series, triage_visit
from telemed.readings.service_judge import End, judge, look_up
from telemed.readings.service_store import NewReading, NewRows
from telemed.readings.wire import Batch, BatchAnswer, Item, ItemResult
from telemed.services import Services

_gateway, _transmission = Gateway.__table__.c, Transmission.__table__.c
_END = (
    select(_gateway.id, _gateway.branch_id, _gateway.watermark, _gateway.chain_hash)
    .where(_gateway.id == bindparam("id"))
    .with_for_update()
)
_GATEWAY = Gateway.metadata.tables[Gateway.__tablename__]
_MOVE_END = (
    update(_GATEWAY)
    .where(_GATEWAY.c.id == bindparam("gateway"))
    .values(watermark=bindparam("seq"), chain_hash=bindparam("last"))
)
_HASHES = select(_transmission.seq, _transmission.hash).where(
    _transmission.gateway_id == bindparam("gateway"), _transmission.seq.between(bindparam("first"), bindparam("last"))
)


def ingest(services: Services, gateway: Principal, batch: Batch) -> BatchAnswer:
    """Store a batch and return a judgement per item. A repeat is a duplicate; a gap, a broken chain or another epoch
    refuses the whole batch with Conflict, so that the gateway knows from where to send again.
    """
    assert gateway.id is not None
    if batch.gateway_id != gateway.id:
        raise Forbidden("gateway_unknown")
    with services.act(gateway, "reading.submit", Subject(branch_id=gateway.branch_id)) as tx:
        row = cast(End, ask(tx, _END, {"id": gateway.id}).one())
        if batch.epoch != str(services.epoch):
            raise Conflict("epoch_changed", epoch=str(services.epoch), watermark=row.watermark)
        fresh = _fresh_items(row, batch.items)
        results = _repeated(tx, row, [item for item in batch.items if item.seq <= row.watermark])
        results += _store_fresh(services, tx, row, fresh)
        watermark = fresh[-1].seq if fresh else row.watermark
        return BatchAnswer(epoch=services.epoch, time=iso(services.clock()), watermark=watermark, results=results)


def _fresh_items(gateway: End, items: Sequence[Item]) -> list[Item]:
    """Return the items above the watermark, after checking that they continue the chain without a gap."""
    if any(later.seq != earlier.seq + 1 for earlier, later in pairwise(items)):
        raise Invalid("batch_invalid")
    watermark, previous = gateway.watermark, gateway.chain_hash
    fresh = [item for item in items if item.seq > watermark]
    if fresh and fresh[0].seq != watermark + 1:
        raise Conflict("sequence_gap", expected=watermark + 1)
    names = str(gateway.id), str(gateway.branch_id)
    for item in fresh:
        if item.prev != previous or item.hash != _hash_of(names, item):
            raise Conflict("chain_broken", expected=watermark + 1)
        previous = item.hash
    return fresh


def _repeated(tx: Session, gateway: End, items: Sequence[Item]) -> list[ItemResult]:
    """Judge items that are below the watermark: the same bytes are duplicates, others conflicts."""
    if not items:
        return []
    rows = ask(tx, _HASHES, {"gateway": gateway.id, "first": items[0].seq, "last": items[-1].seq})
    stored = {row.seq: row.hash for row in rows}
    names = str(gateway.id), str(gateway.branch_id)
    return [
        ItemResult(seq=item.seq, event_id=item.event_id, status="duplicate")
        if stored.get(item.seq) == _hash_of(names, item)
        else ItemResult(seq=item.seq, event_id=item.event_id, status="conflict", code="other_bytes")
        for item in items
    ]


def _hash_of(names: tuple[str, str], item: Item) -> str:
    """Return the hash that the item's own bytes have, whatever it says. `names`: gateway and branch."""
    return wire.chain_hash(*names, item.__dict__)


def _store_fresh(services: Services, tx: Session, gateway: End, items: Sequence[Item]) -> list[ItemResult]:
    if not items:
        return []
    known, rows, results = look_up(tx, gateway, items), NewRows(services, tx, gateway), []
    for item in items:
        judgement = judge(services, tx, known, item)
        rows.add(item, judgement)
        results.append(
            ItemResult.model_validate(
                {"seq": item.seq, "event_id": item.event_id, "status": judgement.status, "code": judgement.code}
            )
        )
    ask(tx, _MOVE_END, {"gateway": gateway.id, "seq": items[-1].seq, "last": items[-1].hash})
    rows.store()
    _follow_up(services, tx, gateway, rows)
    return results


def _follow_up(services: Services, tx: Session, gateway: End, rows: NewRows) -> None:
    """Tell what was stored, move the series on, find each visit's urgency: all in the batch's own transaction. One
    piece of news a visit is enough, as pages read their whole state again.
    """
    if rows.quarantined:
        newest, reason = rows.quarantined[-1]
        services.publish(tx, ReadingQuarantined(newest, gateway.branch_id, reason, services.clock()))
    newest_of = {reading.visit_id: reading for reading in rows.readings}
    for reading in newest_of.values():
        services.publish(
            tx,
            ReadingStored(
                reading.id, reading.visit_id, reading.patient_id, reading.branch_id, reading.kind, reading.status,
                services.clock(),
            ),
        )  # fmt: skip
    _continue_series(services, tx, rows.readings)
    for visit in rows.visits.values():
        triage_visit(services, tx, visit)


def _continue_series(services: Services, tx: Session, readings: Sequence[NewReading]) -> None:
    """Give the readings to the steps that wait for them. Most visits of a late batch wait for nothing any more, so the
    open steps are counted first, and again only where more readings came than steps were open.
    """
    if not readings:
        return
    open_steps = checkup.count_open_steps(tx, {reading.visit_id for reading in readings})
    for reading in readings:
        place = (reading.visit_id, reading.kind)
        if place in open_steps and open_steps[place] <= 0:
            del open_steps[place]
            open_steps |= checkup.count_open_steps(tx, {reading.visit_id})
        if open_steps.get(place, 0) > 0:
            open_steps[place] -= 1
        elif reading.status == "usable":
            continue
        continue_series(services, tx, reading)
