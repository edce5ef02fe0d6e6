"""coturn: its time-limited passwords, and a look whether it answers. A TURN client just long enough to be let in or not.

Passwords follow draft-uberti-behave-turn-rest: name = expiry:call, password = HMAC-SHA1(secret, name). They cannot be
revoked. SHA-1 and MD5 stand in that draft and in RFC 5389; both ends must use the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from telemed.settings import Settings

NEEDED = (4, 9, 0)  # earlier ones let IPv4-mapped IPv6 peers past the deny lists
ANSWER_S = 2.0
COOKIE = 0x2112A442
ALLOCATE, ALLOCATED, ALLOCATE_ERROR = 0x0003, 0x0103, 0x0113
USERNAME, INTEGRITY, ERROR_CODE, REALM, NONCE, TRANSPORT, SOFTWARE = 0x06, 0x08, 0x09, 0x14, 0x15, 0x19, 0x8022
UDP = bytes([17, 0, 0, 0])
UNAUTHORISED = 401


class TurnSilent(Exception):
    """Nothing that speaks TURN answered at the address."""


@dataclass(frozen=True)
class TurnAnswer:
    """What coturn said: None as `error` means that it gave a relay. `software` is its name and version if it tells."""

    error: int | None
    software: str = ""
    realm: str = ""
    nonce: bytes = b""


def password_of(secret: str, name: str) -> str:
    """Return the password that coturn expects of `name`."""
    return base64.b64encode(hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()).decode()


def ice_servers(settings: Settings, call_id: UUID, expires_at: datetime) -> list[dict[str, Any]]:
    """Return the relay of one call as the browser reads it; empty without a relay."""
    urls = settings.turn_url.split()
    if not urls:
        return []
    name = f"{int(expires_at.timestamp())}:{call_id}"
    return [{"urls": urls, "username": name, "credential": password_of(settings.turn_secret, name)}]


def ask_for_a_relay(url: str, name: str, password: str) -> TurnAnswer:
    """Ask coturn at `url` (turn:host:port, ?transport=tcp) for a relay. Raises TurnSilent. A relay given ends with the
    socket, or by itself.
    """
    try:
        with _connect(url) as line:
            first = _exchange(line, {TRANSPORT: UDP}, None)
            if first.error != UNAUTHORISED:
                return first
            asked = {TRANSPORT: UDP, USERNAME: name.encode(), REALM: first.realm.encode(), NONCE: first.nonce}
            key = hashlib.md5(f"{name}:{first.realm}:{password}".encode()).digest()
            return _exchange(line, asked, key)
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise TurnSilent(url) from error


def is_old(software: str) -> bool:
    """Tell whether coturn says a version that should not be used; one that tells none is not judged."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", software)
    return found is not None and tuple(int(part) for part in found.groups()) < NEEDED


def _connect(url: str) -> socket.socket:
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?")
    if scheme != "turn":
        raise ValueError(scheme)
    host, _, port = place.rpartition(":") if ":" in place else (place, "", "3478")
    is_tcp = parse_qs(query).get("transport") == ["tcp"]
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
    line.settimeout(ANSWER_S)
    line.connect((host, int(port)))
    return line


def _exchange(line: socket.socket, attributes: Mapping[int, bytes], key: bytes | None) -> TurnAnswer:
    transaction = os.urandom(12)
    line.sendall(_message(transaction, attributes, key))
    while True:
        answer = line.recv(2048)
        if answer[8:20] == transaction:
            return _read(answer)
        if not answer:
            raise ValueError("closed")


def _message(transaction: bytes, attributes: Mapping[int, bytes], key: bytes | None) -> bytes:
    body = b"".join(_attribute(kind, value) for kind, value in attributes.items())
    if key is not None:
        head = struct.pack("!HHI", ALLOCATE, len(body) + 24, COOKIE) + transaction  # with the seal's own 24 bytes
        body += _attribute(INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())
    return struct.pack("!HHI", ALLOCATE, len(body), COOKIE) + transaction + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _read(answer: bytes) -> TurnAnswer:
    kind, length = struct.unpack_from("!HH", answer)
    if kind not in (ALLOCATED, ALLOCATE_ERROR):
        raise ValueError(kind)
    found, at = {}, 20
    while at < 20 + length:
        name, size = struct.unpack_from("!HH", answer, at)
        found[name] = answer[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    error = found[ERROR_CODE][2] * 100 + found[ERROR_CODE][3] if kind == ALLOCATE_ERROR else None
    software, realm = (found.get(name, b"").decode(errors="replace") for name in (SOFTWARE, REALM))
    return TurnAnswer(error, software.rstrip("\0"), realm, found.get(NONCE, b""))
