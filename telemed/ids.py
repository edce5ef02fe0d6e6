"""Identities: random UUIDs, made by whoever creates the thing, so that a phone can make one with no network."""

from __future__ import annotations

from uuid import UUID, uuid4


def new_id() -> UUID:
    """Return a fresh random UUID."""
    return uuid4()


def parse_id(text: object) -> UUID | None:
    """Return the UUID written in `text`, or None when it is none."""
    try:
        return UUID(str(text))
    except ValueError:
        return None
