"""The bytes that gateway and server hash, sign and seal. The gateway has its own copy; golden files hold both to it."""

from __future__ import annotations

from typing import Any

from telemed.crypto.digest import fields, sha256_hex

CHAIN_START = "0" * 64


def chain_hash(gateway_id: str, branch_id: str, item: dict[str, Any]) -> str:
    """Return the hash that an item of a gateway's sequence must carry."""
    return sha256_hex(
        fields(
            "telemed-chain-1", gateway_id, branch_id, item["seq"], item["prev"], item["kind"], item["event_id"],
            item["visit_id"] or "", item["received_at"], item["reading_key"], item["key_id"], item["sealed"],
        )
    )  # fmt: skip


def ingest_info(gateway_id: str, branch_id: str, item: dict[str, Any]) -> bytes:
    """Return the HPKE context of an item."""
    return fields(
        "telemed-ingest-1", gateway_id, branch_id, item["key_id"], item["seq"], item["prev"], item["visit_id"] or "",
        item["received_at"],
    )  # fmt: skip


def request_message(method: str, path: str, body: bytes) -> bytes:
    """Return what a gateway signs."""
    return fields("telemed-gateway-1", method, path, sha256_hex(body))


def answer_message(path: str, request_body: bytes, answer_body: bytes) -> bytes:
    """Return what the server signs of an answer."""
    return fields("telemed-server-1", path, sha256_hex(request_body), sha256_hex(answer_body))
