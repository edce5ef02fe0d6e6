"""The key hierarchy: root, domain keys, one key per subject and domain. Message keys are derived, never stored."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from sqlalchemy import CursorResult, bindparam, delete, event, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from telemed.clock import iso
from telemed.crypto.envelope import DOMAINS, Unsealable
from telemed.crypto.ledger import Erased, Ledger
from telemed.db import Base
from telemed.errors import StartRefused

CACHED_KEYS = 20_000


class DomainKey(Base):
    """A domain's key, wrapped by the root. The newest version seals; all open."""

    __tablename__ = "domain_keys"

    domain: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    wrapped: Mapped[bytes]
    # Cost of the blind index, on the `index` rows only: it belongs to the key, another cost is another index.
    memory_kib: Mapped[int | None]
    passes: Mapped[int | None]


class SubjectKey(Base):
    """A subject's key in one domain, wrapped by the domain's key. Deleting it shreds what it sealed."""

    __tablename__ = "subject_keys"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    domain_version: Mapped[int]
    wrapped: Mapped[bytes]


_NEWEST = (
    select(SubjectKey)
    .where(SubjectKey.subject_id == bindparam("subject"), SubjectKey.domain == bindparam("domain"))
    .order_by(SubjectKey.version.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Root:
    """The root key, opened once at start."""

    key: bytes


def open_root(folder: Path, passphrase: str = "", *, create: bool = False) -> Root:
    """Return the root key of `folder`: from the passphrase and its salt, else from the file. Raises StartRefused."""
    name = "root.salt" if passphrase else "root.key"
    path = folder / name
    if not path.exists():
        if not create:
            raise StartRefused(f"{path} is missing: run `python app.py migrate` first, or put the key back.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_secret(path, os.urandom(32))
    raw = path.read_bytes()
    if len(raw) != 32:
        raise StartRefused(f"{path} is damaged: it must hold 32 bytes.")
    if not passphrase:
        return Root(raw)
    kdf = Argon2id(salt=raw, length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
    return Root(kdf.derive(passphrase.encode()))


def _write_secret(path: Path, raw: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


class KeyRing:
    """The opened domain keys, and subject keys on demand. Made by `load`."""

    def __init__(self, root: Root, domains: dict[tuple[str, int], bytes], index_cost: tuple[int, int]) -> None:
        self._root = root
        self._domains = domains
        self.index_cost = index_cost
        self.ledger: Ledger | None = None
        # By the wrapped bytes too: a key made anew after shredding, by another process perhaps, has the same version.
        self._subjects: OrderedDict[tuple[UUID, str, int, bytes], bytes] = OrderedDict()
        self._lock = threading.Lock()  # request threads share the ring

    @classmethod
    def create(cls, tx: Session, root: Root, *, fast_index: bool = False) -> None:
        """Store the first key of every domain. `fast_index` is for demos and tests only."""
        memory_kib, passes = (8, 1) if fast_index else (19 * 1024, 2)
        for domain in DOMAINS:
            is_index = domain == "index"
            tx.add(
                DomainKey(
                    domain=domain, version=1, wrapped=aes_key_wrap(root.key, os.urandom(32)),
                    memory_kib=memory_kib if is_index else None, passes=passes if is_index else None,
                )
            )  # fmt: skip
        tx.flush()

    @classmethod
    def load(cls, tx: Session, root: Root, ledger: Path | None = None) -> KeyRing:
        """Open every domain key; shredded keys are listed in the file `ledger`.

        Raises StartRefused when the root key is another deployment's.
        """
        domains, cost = {}, (19 * 1024, 2)
        for row in tx.scalars(select(DomainKey)):
            try:
                domains[row.domain, row.version] = aes_key_unwrap(root.key, row.wrapped)
            except InvalidUnwrap:
                raise StartRefused("The root key does not belong to this database.") from None
            if row.memory_kib and row.passes:
                cost = (row.memory_kib, row.passes)
        ring = cls(root, domains, cost)
        if ledger is not None:
            ring.ledger = Ledger(ledger, ring.derive("erased"))
        return ring

    def versions(self) -> dict[str, int]:
        """Return the newest version of each domain's key."""
        newest: dict[str, int] = {}
        for domain, version in list(self._domains):  # threads share it, and a rotation adds to it
            newest[domain] = max(version, newest.get(domain, 0))
        return newest

    def domain_key(self, domain: str, version: int | None = None) -> bytes:
        """Return a domain's key, by default the newest."""
        return self._domains[domain, version or self.versions()[domain]]

    def derive(self, label: str) -> bytes:
        """Return 32 bytes that only this deployment can make, for one purpose."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"tp/derive/{label}".encode()).derive(
            self.domain_key("device", 1)
        )

    def rotate(self, tx: Session) -> None:
        """Add a new version of every domain key but the index's, whose change would need a new index."""
        made: dict[tuple[str, int], bytes] = {}
        for domain, version in self.versions().items():
            if domain == "index":
                continue
            key = os.urandom(32)
            tx.add(DomainKey(domain=domain, version=version + 1, wrapped=aes_key_wrap(self._root.key, key)))
            made[domain, version + 1] = key
        tx.flush()
        # Used only once durable: what a rolled-back key wrapped could never be opened after a restart.
        event.listen(tx, "after_rollback", lambda _tx: made.clear(), once=True)
        event.listen(tx, "after_commit", lambda _tx: self._domains.update(made), once=True)

    def newest_subject_key(self, tx: Session, subject: UUID, domain: str) -> tuple[int, bytes]:
        """Return version and key with which to seal now; the first is made in the caller's transaction."""
        seen = _seen(tx)
        if (subject, domain) not in seen:
            seen[subject, domain] = self._newest(tx, subject, domain)
        return seen[subject, domain]

    def _newest(self, tx: Session, subject: UUID, domain: str) -> tuple[int, bytes]:
        row = tx.scalar(_NEWEST, {"subject": subject, "domain": domain})
        if row is not None:
            return row.version, self._unwrap(tx, row)
        key, domain_version = os.urandom(32), self.versions()[domain]
        wrapped = aes_key_wrap(self.domain_key(domain, domain_version), key)
        tx.add(
            SubjectKey(subject_id=subject, domain=domain, version=1, domain_version=domain_version, wrapped=wrapped)
        )
        tx.flush()
        return 1, key

    def subject_key(self, tx: Session, subject: UUID, domain: str, version: int) -> bytes:
        """Return the key that sealed a message. Raises Unsealable when it was shredded."""
        newest, key = _seen(tx).get((subject, domain), (0, b""))
        if newest == version:
            return key
        row = tx.get(SubjectKey, (subject, domain, version))
        if row is None:
            raise Unsealable
        _held(tx).add(row)
        return self._unwrap(tx, row)

    def forget(self, tx: Session, subject: UUID, domain: str, at: datetime) -> None:
        """Shred: what the subject's keys of this domain sealed can never be opened again.

        The ledger is written first: a crash between leaves an erasure to repeat, never one that a backup undoes.
        """
        if self.ledger is not None:
            self.ledger.add(Erased(subject, domain, iso(at)))
        self.shred(tx, subject, domain)

    def shred(self, tx: Session, subject: UUID, domain: str) -> bool:
        """Delete the keys of a subject that stands in the ledger; tell whether there were any."""
        gone: CursorResult[Any] = tx.execute(  # type: ignore[assignment]
            delete(SubjectKey).where(SubjectKey.subject_id == subject, SubjectKey.domain == domain)
        )
        _seen(tx).pop((subject, domain), None)
        with self._lock:
            for cached in [k for k in self._subjects if k[0] == subject and k[1] == domain]:
                self._subjects.pop(cached, None)
        return bool(gone.rowcount)

    def _unwrap(self, tx: Session, row: SubjectKey) -> bytes:
        name = (row.subject_id, row.domain, row.version, row.wrapped)
        with self._lock:
            if (known := self._subjects.get(name)) is not None:
                self._subjects.move_to_end(name)
                return known
        try:
            key = aes_key_unwrap(self._stored_domain_key(tx, row.domain, row.domain_version), row.wrapped)
        except (InvalidUnwrap, KeyError):
            raise Unsealable from None
        with self._lock:
            self._subjects[name] = key
            if len(self._subjects) > CACHED_KEYS:
                self._subjects.popitem(last=False)
        return key

    def _stored_domain_key(self, tx: Session, domain: str, version: int) -> bytes:
        """Return a domain's key of a version, also one that another process made since this one started."""
        if (domain, version) not in self._domains:
            row = tx.get(DomainKey, (domain, version))
            if row is None:
                raise KeyError(domain)
            self._domains[domain, version] = aes_key_unwrap(self._root.key, row.wrapped)
        return self._domains[domain, version]


def _held(tx: Session) -> set[SubjectKey]:
    """Return the rows this transaction holds on to: the session forgets what nobody holds, and would read it again."""
    return tx.info.setdefault("held_subject_keys", set())  # type: ignore[no-any-return]


def _seen(tx: Session) -> dict[tuple[UUID, str], tuple[int, bytes]]:
    """Return the subject keys that this transaction looked up: the row is read once a transaction, not once a field.
    The newest version is the one that stands here; another transaction looks anew, so a shredded key does not live on.
    """
    return tx.info.setdefault("subject_keys", {})  # type: ignore[no-any-return]
