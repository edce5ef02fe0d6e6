"""Socket room of a branch: its clerk hears of bookings, visits and the gateway's light."""

from __future__ import annotations

from uuid import UUID

from telemed.access.relations import Subject
from telemed.db import Tx
from telemed.services import Services
from telemed.web.live import Live


def register(live: Live, _services: Services) -> None:
    """Register the slice's room."""
    live.room("branch", "booking.read_day", _subject)


def _subject(_tx: Tx, branch_id: UUID) -> Subject:
    return Subject(branch_id=branch_id)
