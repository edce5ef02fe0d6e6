"""In which zone a time is shown: of the branch that it is about, else the reader's own."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from telemed.access.relations import Principal
from telemed.branches.models import Branch, Region
from telemed.patients.models import Patient
from telemed.services import Services

NO_PLACE = "UTC"


def zone_in(tx: Session, branch_id: UUID | None, region_id: UUID | None = None) -> str:
    """Return the zone of a branch, else of a region; who has no place of work is told the time in UTC, by name."""
    zone = tx.scalar(select(Branch.zone).where(Branch.id == branch_id)) if branch_id else None
    if zone is None and region_id is not None:
        zone = tx.scalar(select(Region.zone).where(Region.id == region_id))
    return zone or NO_PLACE


def zone_at(services: Services, branch_id: UUID | None, region_id: UUID | None = None) -> str:
    """Return the zone of a branch, else of a region."""
    with services.db.read() as tx:
        return zone_in(tx, branch_id, region_id)


def zone_of(services: Services, who: Principal) -> str:
    """Return the reader's own zone: of the branch where the person works, of the region, of the patient's branch."""
    with services.db.read() as tx:
        patient = tx.get(Patient, who.patient_id) if who.patient_id else None
        return zone_in(tx, patient.home_branch_id if patient else who.branch_id, who.region_id)
