"""Background functions of patients: one call each into the service."""

from __future__ import annotations

from telemed.db import Tx
from telemed.patients import service_index
from telemed.patients.events import PeopleLeftToIndex
from telemed.services import Services


def begin_indexing(services: Services, tx: Tx) -> None:
    """Index the first portion of the people whom an older release, or its backup, left in the old form."""
    service_index.index_more_people(services, tx)


def index_more_people(services: Services, tx: Tx, event: PeopleLeftToIndex) -> None:
    """Index the next portion."""
    service_index.index_more_people(services, tx, event.patient_id)
