"""Length-prefixed fields and SHA-256, so that nobody else needs to know how bytes are joined before hashing."""

from __future__ import annotations

import hashlib

Field = str | bytes | int


def lp(value: Field) -> bytes:
    """Return a field with its two-byte big-endian length in front. Raises ValueError above 65,535 bytes."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    try:
        return len(raw).to_bytes(2, "big") + raw
    except OverflowError:
        raise ValueError("a length-prefixed field has at most 65,535 bytes") from None


def fields(*values: Field) -> bytes:
    """Return the fields one after another, each with its length; no two different lists give the same bytes."""
    return b"".join(map(lp, values))


def sha256_hex(raw: bytes) -> str:
    """Return the SHA-256 in lower-case hex."""
    return hashlib.sha256(raw).hexdigest()
