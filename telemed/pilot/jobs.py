"""Background work: one call each into the service."""

from __future__ import annotations

from typing import Any


def count_invited(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_booked(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_came(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_measured(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_consulted(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_prescribed(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_delivered(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""


def count_rated(services: Any, tx: Any, event: Any) -> None:
    """Not written yet."""
