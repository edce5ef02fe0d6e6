"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def place_order(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def cancel_order(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""
