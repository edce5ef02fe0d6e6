"""Seal and open a section of a row. Explicit in services, because a column type cannot know where it is read."""

from __future__ import annotations

import json
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, Session, mapped_column

from telemed.crypto import envelope
from telemed.crypto.envelope import Place, Unsealable
from telemed.crypto.keys import KeyRing


class SealedRow(Protocol):
    """A mapped row with sealed sections: `__sealed__` maps a section to its key domain."""

    __sealed__: dict[str, str]
    __tablename__: str
    id: Any

    @property
    def subject_id(self) -> UUID: ...


def sealed_section() -> Mapped[bytes | None]:
    """Return the column of a sealed section."""
    return mapped_column(LargeBinary, nullable=True)


def section_revision() -> Mapped[int]:
    """Return the column that counts a section's revisions; the message is bound to it."""
    return mapped_column(nullable=False, default=0)


class Vault:
    """Seals and opens with the keys of one deployment."""

    def __init__(self, keys: KeyRing, deployment_id: UUID) -> None:
        self._keys, self._deployment = keys, deployment_id

    def seal(self, tx: Session, row: Any, section: str, document: dict[str, Any]) -> None:
        """Put `document` into the row's section and raise its revision."""
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        self.seal_json(tx, row, section, text.encode())

    def seal_json(self, tx: Session, row: Any, section: str, plaintext: bytes) -> None:
        """Put a document that is JSON already into the row's section and raise its revision."""
        domain = row.__sealed__[section]
        version, key = self._keys.newest_subject_key(tx, row.subject_id, domain)
        revision = (getattr(row, f"{section}_rev") or 0) + 1
        place = self._place(row, section, revision)
        setattr(row, section, envelope.seal(key, version, domain, place, plaintext))
        setattr(row, f"{section}_rev", revision)

    def open(self, tx: Session, row: Any, section: str) -> dict[str, Any]:
        """Return the section's document; {} for one never sealed. Raises Unsealable."""
        message, revision = getattr(row, section), getattr(row, f"{section}_rev") or 0
        if message is None:
            if revision:
                raise Unsealable
            return {}
        domain = row.__sealed__[section]
        key = self._keys.subject_key(tx, row.subject_id, domain, envelope.key_version(message))
        plaintext = envelope.open_(key, domain, self._place(row, section, revision), message)
        return dict(json.loads(plaintext))

    def _place(self, row: Any, section: str, revision: int) -> Place:
        return Place(self._deployment, row.__tablename__, section, row.id, row.subject_id, revision)
