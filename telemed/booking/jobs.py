"""Background work: one call each into the service."""

from __future__ import annotations

from telemed.booking import service, service_reasons
from telemed.booking.events import PlainReasonsLeft
from telemed.db import Tx
from telemed.services import Services


def release_expired_holds(services: Services, tx: Tx) -> None:
    """Give back slots whose hold is over."""
    service.release_expired_holds(services, tx)


def begin_sealing_reasons(services: Services, tx: Tx) -> None:
    """Seal the first portion of the reasons that an older release, or its backup, left in the clear."""
    service_reasons.seal_plain_reasons(services, tx)


def seal_more_reasons(services: Services, tx: Tx, event: PlainReasonsLeft) -> None:
    """Seal the next portion."""
    service_reasons.seal_plain_reasons(services, tx, event.invitation_id)
