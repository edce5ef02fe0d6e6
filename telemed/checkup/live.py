"""Socket rooms and events of checkup."""

from __future__ import annotations

from telemed.services import Services
from telemed.web.live import Live


def register(live: Live, services: Services) -> None:
    """Register the slice's rooms and events."""
