"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def queue_case(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def raise_case(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""
