"""The rows of a batch, written together: one prepared statement a table, not one an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy.orm import Session

from telemed.checkup.models import Visit
from telemed.ids import new_id
from telemed.prepared import PreparedInsert
from telemed.readings.models import QuarantinedItem, Reading, Transmission
from telemed.readings.service_judge import End, Judgement
from telemed.readings.wire import Item, Record
from telemed.services import Services

KEEP_QUARANTINED = timedelta(hours=24)
_READINGS = PreparedInsert(Reading.metadata.tables[Reading.__tablename__])
_TRANSMISSIONS = PreparedInsert(Reading.metadata.tables[Transmission.__tablename__])
_QUARANTINED = PreparedInsert(Reading.metadata.tables[QuarantinedItem.__tablename__])


@dataclass
class NewReading:
    """A reading before it is a row: what the vault seals and who is told need no mapped object, which costs more than
    the row itself.
    """

    __tablename__: ClassVar[str] = Reading.__tablename__
    __sealed__: ClassVar[Mapping[str, str]] = Reading.__sealed__

    id: UUID
    patient_id: UUID
    visit_id: UUID
    branch_id: UUID
    kind: str
    status: str
    clinical: bytes | None = None
    clinical_rev: int = 0

    @property
    def subject_id(self) -> UUID:
        return self.patient_id


class NewRows:
    """Collects what one batch stores. `readings` are in the batch's order, `visits` those they belong to."""

    def __init__(self, services: Services, tx: Session, gateway: End) -> None:
        self._services, self._tx, self._gateway = services, tx, gateway
        self._gateway_id, self._branch_id = gateway.id, gateway.branch_id
        self._now = services.clock()
        self.readings: list[NewReading] = []
        self.quarantined: list[tuple[UUID, str]] = []  # id and reason
        self.visits: dict[UUID, Visit] = {}
        self._reading_rows: list[dict[str, Any]] = []
        self._transmission_rows: list[dict[str, Any]] = []
        self._quarantined_rows: list[dict[str, Any]] = []

    def add(self, item: Item, judgement: Judgement) -> None:
        """Take an item in with what was decided about it."""
        if judgement.record is not None and judgement.visit is not None:
            self._add_reading(item, judgement.record, judgement.visit)
        elif judgement.status == "quarantined" and judgement.received_at is not None:
            self._add_quarantined(item, judgement.code or "unknown", judgement.received_at, judgement.source)
        # The sequence goes on also past an item whose event id was used before: it gets a name of its own.
        event_id = new_id() if judgement.code == "event_id_used" else item.event_id
        self._transmission_rows.append(
            {
                "event_id": event_id, "gateway_id": self._gateway_id, "seq": item.seq, "kind": item.kind,
                "visit_id": item.visit_id, "received_at": judgement.received_at or self._now, "hash": item.hash,
                "status": judgement.status, "code": judgement.code, "stored_at": self._now,
            }
        )  # fmt: skip

    def _add_reading(self, item: Item, record: Record, visit: Visit) -> None:
        reading = new_reading(record, visit)
        self.readings.append(reading)
        self.visits[visit.id] = visit
        self._reading_rows.append(
            reading_row(self._services, self._tx, reading, record, item.event_id, item.reading_key, self._now)
        )

    def _add_quarantined(self, item: Item, reason: str, received_at: datetime, source: str) -> None:
        row_id = new_id()
        self.quarantined.append((row_id, reason))
        self._quarantined_rows.append(
            {
                "id": row_id, "event_id": item.event_id, "gateway_id": self._gateway_id, "branch_id": self._branch_id,
                "reason": reason, "received_at": received_at, "erase_at": self._now + KEEP_QUARANTINED,
                "item": item.model_dump_json().encode(), "source": source,
            }
        )  # fmt: skip

    def store(self) -> None:
        """Write everything; in the caller's transaction, so all or nothing."""
        for statement, rows in (
            (_READINGS, self._reading_rows),
            (_TRANSMISSIONS, self._transmission_rows),
            (_QUARANTINED, self._quarantined_rows),
        ):
            if rows:
                statement.run(self._tx, rows)


def new_reading(record: Record, visit: Visit) -> NewReading:
    """Return the reading that a record becomes in a visit."""
    return NewReading(new_id(), visit.patient_id, visit.id, visit.branch_id, record.kind, record.verdict)


def reading_row(
    services: Services, tx: Session, reading: NewReading, record: Record, event_id: UUID, key: str, now: datetime
) -> dict[str, Any]:
    """Return the row of a reading, its values sealed for the patient."""
    services.vault.seal_json(tx, reading, "clinical", record.model_dump_json().encode())
    return {
        "id": reading.id, "event_id": event_id, "reading_key": key, "patient_id": reading.patient_id,
        "visit_id": reading.visit_id, "branch_id": reading.branch_id, "meter_id": record.meter.enrolment_id,
        "kind": record.kind, "source": record.source, "status": record.verdict, "time_quality": record.time_quality,
        "measured_at": record.at(), "received_at": record.received_at, "stored_at": now, "clinical": reading.clinical,
        "clinical_rev": reading.clinical_rev,
    }  # fmt: skip
