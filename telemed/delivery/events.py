"""What happened to orders and parcels: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class OrderPlaced:
    """A signed prescription became an order for the pharmacy."""

    order_id: UUID
    prescription_id: UUID
    patient_id: UUID
    branch_id: UUID
    region_id: UUID
    at: datetime


@dataclass(frozen=True)
class ParcelMoved:
    """A parcel entered a new state: packed, given, out, attempted, returned, ..."""

    parcel_id: UUID
    order_id: UUID
    branch_id: UUID
    region_id: UUID
    postman_id: UUID | None
    state: str
    at: datetime


@dataclass(frozen=True)
class ParcelDelivered:
    """A parcel reached its patient. `verified`: proved by the patient's QR secret."""

    parcel_id: UUID
    order_id: UUID
    patient_id: UUID
    branch_id: UUID
    verified: bool
    at: datetime
