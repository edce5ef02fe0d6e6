"""Use cases of readings: judge a gateway's batch, show results, type in, triage, erase the quarantine."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from telemed.access import audit
from telemed.access.relations import SYSTEM, Principal, Relation, Subject
from telemed.branches.models import Gateway, Meter
from telemed.checkup import service as checkup
from telemed.checkup.models import Visit
from telemed.clock import iso, parse_iso
from telemed.crypto import wire
from telemed.crypto.envelope import Unsealable
from telemed.errors import Conflict, Forbidden, Invalid, NotFound
from telemed.ids import new_id
from telemed.readings import rules
from telemed.readings.events import ReadingQuarantined, ReadingStored, SeriesComplete, TriageChanged
from telemed.readings.models import QuarantinedItem, Reading, Transmission, Triage
from telemed.readings.wire import Batch, BatchAnswer, Item, ItemResult, Record
from telemed.services import Services

RELATIONS: tuple[Relation, ...] = ()
KEEP_QUARANTINED = timedelta(hours=24)
TYPED_LIMITS = {"systolic": (50, 300), "diastolic": (20, 200), "pulse": (20, 300), "glucose_mmol_l": (0.6, 33.3)}


@dataclass(frozen=True)
class Judgement:
    """What becomes of one item. `patient_visit` is set when it enters that visit's record."""

    status: str
    code: str | None = None
    record: Record | None = None
    visit: Visit | None = None


@dataclass
class Known:
    """What one batch needs to know, read once: visits, their spans, meters, keys that were seen before."""

    visits: dict[UUID, Visit]
    spans: dict[UUID, rules.VisitSpan]
    meters: set[UUID]
    keys: set[str]
    events: set[UUID]
    touched: dict[UUID, Visit] = field(default_factory=dict)


# --- the gateway's side -------------------------------------------------------------------------------------------


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
    if any(later.seq != earlier.seq + 1 for earlier, later in zip(items, items[1:], strict=False)):
        raise Invalid("batch_invalid")
    fresh = [item for item in items if item.seq > gateway.watermark]
    if fresh and fresh[0].seq != gateway.watermark + 1:
        raise Conflict("sequence_gap", expected=gateway.watermark + 1)
    previous = gateway.chain_hash
    for item in fresh:
        document = item.model_dump(mode="json")
        if item.prev != previous or item.hash != wire.chain_hash(str(gateway.id), str(gateway.branch_id), document):
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
        if stored.get(item.seq) == item.hash
        else ItemResult(seq=item.seq, event_id=item.event_id, status="conflict", code="other_bytes")
        for item in items
    ]


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
    meters = set(tx.scalars(select(Meter.id).where(Meter.branch_id == gateway.branch_id, Meter.removed_at.is_(None))))
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
    try:
        received_at = parse_iso(item.received_at)
    except ValueError:
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
        record.effective_at,
        known.spans.get(visit.id),
        meter_known=record.meter.enrolment_id in known.meters,
        branch_matches=visit.branch_id == gateway.branch_id,
    )
    if reason:
        return Judgement("quarantined", reason)
    known.keys.add(item.reading_key)
    return Judgement("accepted", None, record, visit)


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
    _tell(services, tx, reading)


def _tell(services: Services, tx: Session, reading: Reading) -> None:
    """Publish that a reading is stored, and that the series is complete when it is."""
    at = services.clock()
    services.publish(
        tx,
        ReadingStored(
            reading.id, reading.visit_id, reading.patient_id, reading.branch_id, reading.kind, reading.status, at
        ),
    )
    if checkup.note_reading(services, tx, reading.visit_id, reading.kind, reading.status, reading.id):
        services.publish(tx, SeriesComplete(reading.visit_id, reading.patient_id, reading.branch_id, at))


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
    try:
        received_at = parse_iso(item.received_at)
    except ValueError:
        received_at = services.clock()
    # The sequence goes on also past an item whose event id was used before: it gets a name of its own.
    event_id = new_id() if judgement.code == "event_id_used" else item.event_id
    tx.add(
        Transmission(
            event_id=event_id, gateway_id=gateway.id, seq=item.seq, kind=item.kind, visit_id=item.visit_id,
            received_at=received_at, hash=item.hash, status=judgement.status, code=judgement.code,
            stored_at=services.clock(),
        )
    )  # fmt: skip


# --- results ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadingView:
    """A result as doctor and patient see it. Pressures in mmHg, glucose in mmol/L; None where the meter gave none."""

    id: UUID
    kind: str
    source: str
    status: str
    reasons: tuple[str, ...]
    measured_at: datetime
    time_quality: str
    systolic_mmhg: float | None = None
    diastolic_mmhg: float | None = None
    pulse: float | None = None
    irregular_pulse: bool = False
    glucose_mmol_l: float | None = None
    shown: str = ""


@dataclass(frozen=True)
class StatusView:
    """A result as post staff see it: that it came, never what it says."""

    id: UUID
    kind: str
    source: str
    status: str
    stored_at: datetime


def readings_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[ReadingView]:
    """Return the visit's results in the order of measurement; audited."""
    subject = _subject_of(services, visit_id)
    with services.act(who, "reading.read", subject) as tx:
        return _views(services, tx, visit_id)


def readings_of_patient(services: Services, who: Principal, patient_id: UUID, limit: int = 60) -> list[ReadingView]:
    """Return a patient's newest results, oldest first, for the trend; audited."""
    with services.act(who, "reading.read", Subject(patient_id=patient_id)) as tx:
        rows = tx.scalars(
            select(Reading).where(Reading.patient_id == patient_id).order_by(Reading.measured_at.desc()).limit(limit)
        ).all()
        return [_view(services, tx, row) for row in reversed(rows)]


def status_of_visit(services: Services, who: Principal, visit_id: UUID) -> list[StatusView]:
    """Return which results of the visit are in the record; no value."""
    subject = _subject_of(services, visit_id)
    with services.look(who, "reading.read_status", subject) as tx:
        rows = tx.scalars(select(Reading).where(Reading.visit_id == visit_id).order_by(Reading.stored_at))
        return [StatusView(row.id, row.kind, row.source, row.status, row.stored_at) for row in rows]


def quarantine_of_branch(services: Services, who: Principal) -> list[tuple[str, datetime, datetime]]:
    """Return reason, time and time of erasure of the branch's readings that belong to nobody for certain."""
    with services.look(who, "quarantine.list", Subject(branch_id=who.branch_id)) as tx:
        rows = tx.scalars(
            select(QuarantinedItem)
            .where(QuarantinedItem.branch_id == who.branch_id, QuarantinedItem.item.is_not(None))
            .order_by(QuarantinedItem.received_at.desc())
        )
        return [(row.reason, row.received_at, row.erase_at) for row in rows]


def _subject_of(services: Services, visit_id: UUID) -> Subject:
    with services.db.read() as tx:
        visit = tx.get(Visit, visit_id)
        if visit is None:
            raise NotFound()
        return Subject(patient_id=visit.patient_id, branch_id=visit.branch_id, visit_id=visit.id)


def _views(services: Services, tx: Session, visit_id: UUID) -> list[ReadingView]:
    rows = tx.scalars(select(Reading).where(Reading.visit_id == visit_id).order_by(Reading.measured_at, Reading.id))
    return [_view(services, tx, row) for row in rows]


def _view(services: Services, tx: Session, row: Reading) -> ReadingView:
    record = services.vault.open(tx, row, "clinical")
    decoded: dict[str, Any] = record["decoded"]
    base = {
        "id": row.id, "kind": row.kind, "source": row.source, "status": row.status,
        "reasons": tuple(record.get("reasons", ())), "measured_at": row.measured_at, "time_quality": row.time_quality,
    }  # fmt: skip
    if row.kind == "glucose":
        glucose = _number(decoded.get("mmol_per_l"))
        return ReadingView(**base, glucose_mmol_l=glucose, shown=_glucose_words(decoded, glucose))
    systolic, diastolic = _number(decoded.get("systolic_mmhg")), _number(decoded.get("diastolic_mmhg"))
    shown = f"{systolic:.0f}/{diastolic:.0f}" if systolic is not None and diastolic is not None else "—"
    return ReadingView(
        **base, systolic_mmhg=systolic, diastolic_mmhg=diastolic, pulse=_number(decoded.get("pulse_rate")),
        irregular_pulse=bool((decoded.get("status") or {}).get("irregular_pulse")), shown=shown,
    )  # fmt: skip


def _glucose_words(decoded: dict[str, Any], glucose: float | None) -> str:
    if glucose is not None:
        return f"{glucose:.1f}"
    flags = decoded.get("status_flags") or ()
    if "result_too_high" in flags or decoded.get("concentration") == "+INFINITY":
        return "HI"
    if "result_too_low" in flags or decoded.get("concentration") == "-INFINITY":
        return "LO"
    return "—"


def _number(value: Any) -> float | None:
    """Return a number of the record; the words for special values are none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def type_in(services: Services, who: Principal, visit_id: UUID, kind: str, values: dict[str, float]) -> UUID:
    """Store values that the clerk read off a meter; who types them never sees them again. Raises Invalid."""
    _check_typed(kind, values)
    subject = _subject_of(services, visit_id)
    with services.act(who, "reading.type_in", subject) as tx:
        visit = tx.get(Visit, visit_id)
        assert visit is not None
        now, reading_id = services.clock(), new_id()
        reading = Reading(
            id=reading_id, event_id=None, reading_key=hashlib.sha256(f"typed:{reading_id}".encode()).hexdigest(),
            patient_id=visit.patient_id, visit_id=visit.id, branch_id=visit.branch_id, meter_id=None, kind=kind,
            source="typed", status="usable", time_quality="live", measured_at=now, received_at=now, stored_at=now,
            clinical_rev=0,
        )  # fmt: skip
        services.vault.seal(tx, reading, "clinical", {"v": 1, "kind": kind, "decoded": _typed(kind, values)})
        tx.add(reading)
        _tell(services, tx, reading)
        triage_visit(services, tx, visit)
        return reading_id


def _check_typed(kind: str, values: dict[str, float]) -> None:
    wanted = {"blood_pressure": ("systolic", "diastolic", "pulse"), "glucose": ("glucose_mmol_l",)}.get(kind)
    if wanted is None:
        raise Invalid(fields={"kind": "invalid"})
    wrong = {}
    for name in wanted:
        low, high = TYPED_LIMITS[name]
        if name not in values:
            wrong[name] = "required"
        elif not low <= values[name] <= high:
            wrong[name] = "not_possible"
    if not wrong and kind == "blood_pressure" and values["systolic"] <= values["diastolic"]:
        wrong["diastolic"] = "upper_below_lower"
    if wrong:
        raise Invalid(fields=wrong)


def _typed(kind: str, values: dict[str, float]) -> dict[str, Any]:
    if kind == "glucose":
        return {"mmol_per_l": values["glucose_mmol_l"], "unit": "mmol/L"}
    return {
        "unit": "mmHg", "systolic_mmhg": values["systolic"], "diastolic_mmhg": values["diastolic"],
        "pulse_rate": values["pulse"],
    }  # fmt: skip


# --- triage -------------------------------------------------------------------------------------------------------


def triage_of(tx: Session, visit_id: UUID) -> str:
    """Return the stored level of a visit; UNKNOWN before the first."""
    return tx.scalar(select(Triage.level).where(Triage.visit_id == visit_id)) or rules.UNKNOWN


def triage_visit(services: Services, tx: Session, visit: Visit) -> str:
    """Find the visit's level from its answers and results, store it, and publish a change."""
    tx.flush()
    level = rules.triage(case_of(services, tx, visit))
    row = tx.get(Triage, visit.id)
    if row is not None and row.level == level:
        return level
    if row is None:
        row = Triage(visit_id=visit.id, branch_id=visit.branch_id)
        tx.add(row)
    row.level, row.ruleset, row.at = level, rules.RULESET, services.clock()
    services.publish(tx, TriageChanged(visit.id, visit.patient_id, visit.branch_id, level, row.at))
    return level


def case_of(services: Services, tx: Session, visit: Visit) -> rules.Case:
    """Return what triage looks at: the answers, the mean of the last two usable pressures, the newest glucose."""
    answers = checkup.read_answers(services, tx, visit)
    views = [view for view in _views(services, tx, visit.id) if view.status != "not_a_result"]
    pressures = [view for view in views if view.systolic_mmhg is not None and view.diastolic_mmhg is not None]
    glucose = [view.glucose_mmol_l for view in views if view.glucose_mmol_l is not None]
    return rules.Case(
        symptoms=frozenset(answers.get("symptoms", ())) & rules.SYMPTOMS,
        answered=visit.answered_at is not None,
        systolic_mmhg=rules.mean_of_last_two([view.systolic_mmhg or 0 for view in pressures]),
        diastolic_mmhg=rules.mean_of_last_two([view.diastolic_mmhg or 0 for view in pressures]),
        pulse=rules.mean_of_last_two([view.pulse for view in pressures if view.pulse is not None]),
        glucose_mmol_l=glucose[-1] if glucose else None,
        fasting=answers.get("fasting"),
        # Twice in a series, as the guideline asks; once may be a movement.
        irregular_pulse=sum(view.irregular_pulse for view in pressures) >= 2,
        known_hypertension=answers.get("known_hypertension"),
    )


def triage_visit_by_id(services: Services, tx: Session, visit_id: UUID) -> None:
    """Triage a visit after its questions were answered; the job of the journey table."""
    visit = tx.get(Visit, visit_id)
    if visit is None:
        return
    subject = Subject(patient_id=visit.patient_id, visit_id=visit.id)
    audit.record(tx, services.clock(), SYSTEM, "reading.triage", subject, allowed=True, reason="job")
    triage_visit(services, tx, visit)


def erase_quarantine(services: Services, tx: Session) -> None:
    """Erase the payload of quarantined items after 24 h; that they were there stays known."""
    tx.execute(
        update(QuarantinedItem)
        .where(QuarantinedItem.erase_at < services.clock(), QuarantinedItem.item.is_not(None))
        .values(item=None)
    )
