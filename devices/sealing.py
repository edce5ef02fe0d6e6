"""Signing what the gateway says and sealing what it read. The only file of devices that knows cryptography.

The gateway can seal but not open: whoever steals the computer cannot read its queue.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

# HPKE in base mode; `cryptography` takes no separate associated data, so all context goes into `info`.
INGEST_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SigningKey:
    """The gateway's own Ed25519 key."""

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(raw)

    @classmethod
    def fresh(cls) -> SigningKey:
        """Return a new random key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def private_bytes(self) -> bytes:
        """Return the 32 secret bytes, for the identity file only."""
        return self._key.private_bytes_raw()

    def public_bytes(self) -> bytes:
        """Return the 32 bytes that the server registers."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)


def is_signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the holder of the key signed exactly this message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal(ingest_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return the plaintext sealed to the server's ingest key and bound to `info`."""
    return bytes(INGEST_SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(ingest_key), info))
