"""Sealed messages, format 1: a key per message, committed to, AES-256-GCM, bound to the place where they are read.

    0 version 0x01 | 1 suite 0x01 | 2 domain | 3 flags | 4 subject key version (u32) | 8 salt (32) | 40 commitment (32)
    | 72 nonce (12) | 84 ciphertext and 16-byte tag

GCM alone does not commit to its key; the 32-byte commitment, checked first, makes a message open under one key only.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telemed.crypto.digest import fields

VERSION, SUITE = 1, 1
HEADER = struct.Struct(">BBBBI32s32s12s")
PADS = (64, 256, 1024)
PAGE = 4096
DOMAINS = ("identity", "clinical", "delivery", "media", "audit", "index", "device")


class Unsealable(Exception):
    """A sealed message does not open here. One error for every reason: a wrong key and a wrong place look alike."""


@dataclass(frozen=True)
class Place:
    """Where a section is read: what the message is bound to."""

    deployment: UUID
    table: str
    section: str
    row: UUID
    subject: UUID
    revision: int
    schema: int = 1

    def aad(self) -> bytes:
        """Return the associated data without the header."""
        return fields(
            "tp-aad-1", str(self.deployment), self.table, self.section, str(self.row), str(self.subject),
            self.schema, self.revision,
        )  # fmt: skip


def seal(key: bytes, key_version: int, domain: str, place: Place, plaintext: bytes) -> bytes:
    """Return the sealed message of a padded plaintext."""
    salt, nonce = os.urandom(32), os.urandom(12)
    message_key, commitment = _derive(key, salt, domain)
    header = HEADER.pack(VERSION, SUITE, DOMAINS.index(domain), 0, key_version, salt, commitment, nonce)
    return header + AESGCM(message_key).encrypt(nonce, _pad(plaintext), place.aad() + header)


def open_(key: bytes, domain: str, place: Place, message: bytes) -> bytes:
    """Return the plaintext. Raises Unsealable whatever is wrong."""
    if len(message) < HEADER.size + 16:
        raise Unsealable
    header = message[: HEADER.size]
    version, suite, domain_number, flags, _key, salt, commitment, nonce = HEADER.unpack(header)
    if (version, suite, flags) != (VERSION, SUITE, 0) or domain_number != DOMAINS.index(domain):
        raise Unsealable
    message_key, expected = _derive(key, salt, domain)
    if not hmac.compare_digest(expected, commitment):
        raise Unsealable
    try:
        return _unpad(AESGCM(message_key).decrypt(nonce, message[HEADER.size :], place.aad() + header))
    except InvalidTag:
        raise Unsealable from None


def key_version(message: bytes) -> int:
    """Return the version of the subject key that sealed a message. Raises Unsealable when it has no header."""
    if len(message) < HEADER.size:
        raise Unsealable
    return int(HEADER.unpack(message[: HEADER.size])[4])


def _derive(key: bytes, salt: bytes, domain: str) -> tuple[bytes, bytes]:
    info = b"tp/v1/msg" + bytes([SUITE, DOMAINS.index(domain)])
    material = HKDF(algorithm=SHA512(), length=64, salt=salt, info=info).derive(key)
    return material[:32], material[32:]


def _pad(plaintext: bytes) -> bytes:
    # Length first, so that the length of a document does not tell the diagnosis.
    framed = struct.pack(">I", len(plaintext)) + plaintext
    size = next((pad for pad in PADS if len(framed) <= pad), -(-len(framed) // PAGE) * PAGE)
    return framed.ljust(size, b"\0")


def _unpad(padded: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", padded)
    if length > len(padded) - 4:
        raise Unsealable
    return padded[4 : 4 + length]
