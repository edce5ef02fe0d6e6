"""Key pairs of the deployment and of its doctors. Private halves are sealed under the `device` domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy import UniqueConstraint, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from telemed.clock import Clock
from telemed.crypto.digest import Field, fields
from telemed.crypto.envelope import Unsealable
from telemed.crypto.vault import Vault, sealed_section, section_revision
from telemed.db import Base, Database
from telemed.ids import new_id, parse_id
from telemed.prepared import ask

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
DEPLOYMENT = UUID(int=0)  # the owner of keys that belong to nobody in particular


class KeyPair(Base):
    """A key pair. `purpose`: server, delivery, prescription (Ed25519), ingest (X25519)."""

    __tablename__ = "key_pair"
    __table_args__ = (UniqueConstraint("purpose", "owner_id", "version"),)
    __sealed__ = {"private": "device"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    owner_id: Mapped[UUID]
    version: Mapped[int]
    public_key: Mapped[bytes]
    created_at: Mapped[datetime]
    private: Mapped[bytes | None] = sealed_section()
    private_rev: Mapped[int] = section_revision()

    @property
    def subject_id(self) -> UUID:
        return self.owner_id


_key = KeyPair.__table__.c
_NEWEST_ID = (
    select(_key.id)
    .where(_key.purpose == bindparam("purpose"), _key.owner_id == bindparam("owner"))
    .order_by(_key.version.desc())
    .limit(1)
)


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an Ed25519 signature is right."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class DerivedKey:
    """An Ed25519 key out of 32 secret bytes, for what must be verified after an older backup came back: it is in none."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._private.public_key().public_bytes_raw()

    def sign(self, *values: Field) -> bytes:
        """Return the signature over the length-prefixed values."""
        return self._private.sign(fields(*values))

    def verify(self, signature: bytes, *values: Field) -> bool:
        """Tell whether this key signed the values."""
        return verify(self.public_key, signature, fields(*values))


class Signer:
    """Signs with keys that it makes on first use, and opens what was sealed to the ingest key."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault, self._clock = vault, clock
        self._ingest: dict[str, X25519PrivateKey] = {}
        self._signing: dict[UUID | None, Ed25519PrivateKey] = {}  # the deployment's, opened once; not the doctors'

    def key_for(self, tx: Session, purpose: str, owner: UUID = DEPLOYMENT) -> KeyPair:
        """Return the newest key pair of a purpose and owner; the first is made in the caller's write transaction."""
        row = tx.scalar(
            select(KeyPair)
            .where(KeyPair.purpose == purpose, KeyPair.owner_id == owner)
            .order_by(KeyPair.version.desc())
            .limit(1)
        )
        return row if row is not None else self._make(tx, purpose, owner)

    def _make(self, tx: Session, purpose: str, owner: UUID) -> KeyPair:
        private = X25519PrivateKey.generate() if purpose == "ingest" else Ed25519PrivateKey.generate()
        row = KeyPair(
            id=new_id(), purpose=purpose, owner_id=owner, version=1, created_at=self._clock(), private_rev=0,
            public_key=private.public_key().public_bytes_raw(),
        )  # fmt: skip
        self._vault.seal(tx, row, "private", {"raw": private.private_bytes_raw().hex()})
        tx.add(row)
        tx.flush()
        return row

    def sign(self, tx: Session, purpose: str, owner: UUID, *values: Field) -> tuple[str, bytes]:
        """Return key id and signature over the length-prefixed values, with the purpose as context."""
        row = self.key_for(tx, purpose, owner)
        return str(row.id), self._private(tx, row).sign(fields(f"telemed-{purpose}-1", *values))

    def sign_bytes(self, db: Database, purpose: str, message: bytes) -> tuple[str, bytes]:
        """Return key id and signature over bytes that carry their own context."""
        with db.glance() as now:
            newest = ask(now, _NEWEST_ID, {"purpose": purpose, "owner": DEPLOYMENT}).scalar()
        if newest not in self._signing:
            with db.read() as tx:
                row = self.key_for(tx, purpose)
                newest, self._signing[row.id] = row.id, self._private(tx, row)
        return str(newest), self._signing[newest].sign(message)

    def verify(self, tx: Session, key_id: str, purpose: str, owner: UUID, signature: bytes, *values: Field) -> bool:
        """Tell whether the owner's key of that id signed the values."""
        row = tx.get(KeyPair, parse_id(key_id))
        if row is None or row.purpose != purpose or row.owner_id != owner:
            return False
        return verify(row.public_key, signature, fields(f"telemed-{purpose}-1", *values))

    def _private(self, tx: Session, row: KeyPair) -> Ed25519PrivateKey:
        raw = bytes.fromhex(str(self._vault.open(tx, row, "private")["raw"]))
        return Ed25519PrivateKey.from_private_bytes(raw)

    def open_item(self, tx: Session, key_id: str, sealed: bytes, info: bytes) -> bytes:
        """Return what a gateway sealed to the ingest key of that id. Raises Unsealable."""
        private = self._ingest.get(key_id) or self._open_ingest_key(tx, key_id)
        try:
            return SUITE.decrypt(sealed, private, info=info)
        except Exception as error:  # the primitive's errors are of several kinds; the caller needs one
            raise Unsealable from error

    def _open_ingest_key(self, tx: Session, key_id: str) -> X25519PrivateKey:
        """Open an ingest key and keep it: a batch of 200 items needs it 200 times."""
        known = parse_id(key_id)
        row = tx.get(KeyPair, known) if known else None
        if row is None or row.purpose != "ingest":
            raise Unsealable
        raw = bytes.fromhex(str(self._vault.open(tx, row, "private")["raw"]))
        self._ingest[key_id] = X25519PrivateKey.from_private_bytes(raw)
        return self._ingest[key_id]
