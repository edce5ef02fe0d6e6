"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def triage_visit(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def erase_quarantine(services: Any, tx: Any) -> None:
    """Not written yet."""
