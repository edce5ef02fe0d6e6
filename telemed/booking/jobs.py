"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.booking import service
from telemed.db import Tx
from telemed.services import Services


def release_expired_holds(services: Services, tx: Tx) -> None:
    """Give back slots whose hold is over."""
    service.release_expired_holds(services, tx)
