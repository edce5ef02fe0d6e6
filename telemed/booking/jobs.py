"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def release_expired_holds(services: Any, tx: Any) -> None:
    """Not written yet."""
