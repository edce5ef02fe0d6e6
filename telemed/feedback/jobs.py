"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def offer_rating_of_visit(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def offer_rating_of_parcel(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""
