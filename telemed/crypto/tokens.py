"""Random 128-bit tokens. Tables hold their SHA-256: a token has no guessable structure, so a fast hash is enough. Digits
that people speak are guessable: they are kept sealed, and whoever checks them counts the tries.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_token() -> str:
    """Return 128 random bits as 32 hex characters."""
    return secrets.token_hex(16)


def new_digits(count: int) -> str:
    """Return that many random digits."""
    return f"{secrets.randbelow(10**count):0{count}d}"


def is_same(one: str, other: str) -> bool:
    """Tell in constant time whether two texts are the same."""
    return hmac.compare_digest(one.encode(), other.encode())


def token_hash(token: str) -> bytes:
    """Return the form in which a table keeps a token."""
    return hashlib.sha256(token.encode()).digest()


def matches(token: str, stored: bytes) -> bool:
    """Tell in constant time whether a token is the stored one."""
    return hmac.compare_digest(token_hash(token), stored)
