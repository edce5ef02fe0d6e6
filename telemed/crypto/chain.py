"""The hash chain of the audit trail."""

from __future__ import annotations

from telemed.crypto.digest import fields, sha256_hex


def chain_hash(previous: str, *values: str) -> str:
    """Return the hash of a row: of the hash before it and its own values, length-prefixed."""
    return sha256_hex(fields("telemed-audit-1", previous, *values))
