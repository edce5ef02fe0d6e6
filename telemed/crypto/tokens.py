"""Random 128-bit tokens. Tables hold their SHA-256: a token has no guessable structure, so a fast hash is enough."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_token() -> str:
    """Return 128 random bits as 32 hex characters."""
    return secrets.token_hex(16)


def token_hash(token: str) -> bytes:
    """Return the form in which a table keeps a token."""
    return hashlib.sha256(token.encode()).digest()


def matches(token: str, stored: bytes) -> bool:
    """Tell in constant time whether a token is the stored one."""
    return hmac.compare_digest(token_hash(token), stored)
