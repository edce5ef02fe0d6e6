"""Socket rooms of delivery: a patient's parcel, a region's dispatch and pharmacy."""

from __future__ import annotations

from uuid import UUID

from telemed.access.relations import Subject
from telemed.db import Tx
from telemed.delivery.models import Parcel
from telemed.services import Services
from telemed.web.live import Live


def register(live: Live, services: Services) -> None:
    """Register the slice's rooms."""
    live.room("parcel", "parcel.track", _parcel)
    live.room("dispatch", "parcel.list", _region)
    live.room("pharmacy", "order.list", _region)


def _parcel(tx: Tx, parcel_id: UUID) -> Subject:
    parcel = tx.get(Parcel, parcel_id)
    return Subject(patient_id=parcel.patient_id, parcel_id=parcel.id) if parcel else Subject()


def _region(tx: Tx, region_id: UUID) -> Subject:
    return Subject(region_id=region_id)
