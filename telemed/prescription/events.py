"""What happened to a prescription: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class PrescriptionSigned:
    """A doctor signed; `postal` says whether the post may carry it."""

    prescription_id: UUID
    consultation_id: UUID
    patient_id: UUID
    branch_id: UUID
    postal: bool
    at: datetime


@dataclass(frozen=True)
class PrescriptionCancelled:
    """A doctor took a signed prescription back."""

    prescription_id: UUID
    patient_id: UUID
    branch_id: UUID
    at: datetime
