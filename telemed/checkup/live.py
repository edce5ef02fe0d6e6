"""Socket room of a visit: the clerk and the doctor hear that a reading came, never what it says."""

from __future__ import annotations

from telemed.checkup import service
from telemed.services import Services
from telemed.web.live import Live


def register(live: Live, _services: Services) -> None:
    """Register the slice's room."""
    live.room("visit", "visit.read", service.find_subject)
