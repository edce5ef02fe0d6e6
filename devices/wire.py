"""What gateway and server say to each other, byte by byte (protocol 1). Pure: no clock, no network, no keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

PROTOCOL = 1
JOIN_PATH = "/api/v1/gateway/join"
HEARTBEAT_PATH = "/api/v1/gateway/heartbeat"
READINGS_PATH = "/api/v1/readings"

GATEWAY_HEADER = "Telemed-Gateway"
SIGNATURE_HEADER = "Telemed-Signature"
SERVER_KEY_HEADER = "Telemed-Server-Key"
SERVER_SIGNATURE_HEADER = "Telemed-Server-Signature"

CHAIN_START = "0" * 64
MAX_ITEMS_A_BATCH = 200
MAX_BATCH_BYTES = 500_000  # the server refuses bodies above 512 kB; the rest is room for the frame

READING = "reading"
VISIT_OPENED = "visit_opened"
VISIT_CLOSED = "visit_closed"


class WireError(Exception):
    """Ignore this message: it is not what the protocol allows. The code says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def lp(value: str | int | bytes) -> bytes:
    """Return the value behind its length in two bytes, so that no two lists of fields look alike."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return len(raw).to_bytes(2, "big") + raw


def fields(*values: str | int | bytes) -> bytes:
    """Return all values length-prefixed, one after the other."""
    return b"".join(lp(value) for value in values)


def b64(raw: bytes) -> str:
    """Return standard padded base64."""
    return base64.b64encode(raw).decode()


def from_b64(text: str) -> bytes:
    """Return the bytes behind standard base64. Raises WireError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("not_base64") from error


def iso(moment: datetime) -> str:
    """Return the wire form of a moment: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Return the UTC moment of a wire time. Raises WireError, also for a time without zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WireError("not_a_time") from error
    if moment.tzinfo is None:
        raise WireError("not_a_time")
    return moment.astimezone(UTC)


def to_bytes(document: object) -> bytes:
    """Return the one canonical JSON form: sorted names, no spaces, UTF-8, a Decimal with the digits it came with."""
    return _canonical(document).encode()


def _canonical(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        pairs = [(name, value[name]) for name in sorted(value)]
        return "{" + ",".join(f"{_canonical(name)}:{_canonical(content)}" for name, content in pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(_canonical(content) for content in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def reading_key(
    enrolment_id: str, characteristic: str, raw: bytes, visit_id: str | None, ordinal: int, has_time_stamp: bool
) -> str:
    """Return the name of a measurement: the same packet sent twice has the same name.

    A packet without a time stamp says nothing that tells two equal measurements apart, so visit and ordinal join in.
    For a meter that numbers its records anew each time (0 is the newest), `raw` comes without the two bytes of the
    sequence number behind the flags: the number is no part of such a record. The server takes the name as given.
    """
    text = enrolment_id.encode() + b"\0" + characteristic.encode() + b"\0" + raw
    if not has_time_stamp:
        text += b"\0" + f"{visit_id or ''}:{ordinal}".encode()
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True)
class Item:
    """One numbered link of the gateway's chain. `sealed` is the base64 text; visit marks carry none."""

    seq: int
    kind: str
    event_id: str
    visit_id: str | None
    received_at: str
    reading_key: str
    key_id: str
    sealed: str
    prev: str
    hash: str

    def as_json(self) -> dict[str, object]:
        """Return the item as it stands in a batch."""
        return dict(vars(self))


def chain_hash(gateway_id: str, branch_id: str, item: Item) -> str:
    """Return the hash that the item must carry; `item.hash` itself is not looked at."""
    return hashlib.sha256(
        fields(
            "telemed-chain-1",
            gateway_id,
            branch_id,
            item.seq,
            item.prev,
            item.kind,
            item.event_id,
            item.visit_id or "",
            item.received_at,
            item.reading_key,
            item.key_id,
            item.sealed,
        )
    ).hexdigest()


def ingest_info(
    gateway_id: str, branch_id: str, key_id: str, seq: int, prev: str, visit_id: str | None, received_at: str
) -> bytes:
    """Return the context that a sealed record is bound to, so that it opens nowhere else in the chain."""
    return fields("telemed-ingest-1", gateway_id, branch_id, key_id, seq, prev, visit_id or "", received_at)


def request_message(method: str, path: str, body: bytes) -> bytes:
    """Return what the gateway signs for one request."""
    return fields("telemed-gateway-1", method, path, hashlib.sha256(body).hexdigest())


def response_message(path: str, request_body: bytes, response_body: bytes) -> bytes:
    """Return what the server signs for one answer: an answer to another question does not fit."""
    return fields(
        "telemed-server-1", path, hashlib.sha256(request_body).hexdigest(), hashlib.sha256(response_body).hexdigest()
    )


def join_request(code: str, gateway_id: str, public_key: bytes, name: str) -> bytes:
    """Return the body that registers this gateway's key against a one-time code."""
    return to_bytes(
        {"protocol": PROTOCOL, "code": code, "gateway_id": gateway_id, "public_key": b64(public_key), "name": name}
    )


def readings_request(gateway_id: str, epoch: str, items: Sequence[Item]) -> bytes:
    """Return the body of one batch of consecutive items."""
    batch = [item.as_json() for item in items]
    return to_bytes({"protocol": PROTOCOL, "gateway_id": gateway_id, "epoch": epoch, "items": batch})


@dataclass(frozen=True)
class PublicKey:
    """A key of the server, pinned when the gateway joined."""

    id: str
    raw: bytes

    def as_json(self) -> dict[str, str]:
        """Return the key as it stands on the wire and in the identity file."""
        return {"id": self.id, "public_key": b64(self.raw)}


@dataclass(frozen=True)
class Order:
    """One numbered order of the server; `facts` is the rest of it."""

    no: int
    kind: str
    facts: dict[str, object]


@dataclass(frozen=True)
class Joined:
    """The server's answer to a join."""

    branch_id: str
    branch_name: str
    deployment_id: str
    epoch: str
    ingest_key: PublicKey
    server_key: PublicKey
    ruleset: dict[str, object]
    demo: bool


@dataclass(frozen=True)
class HeartbeatAnswer:
    """What the server knows and wants after a heartbeat."""

    epoch: str
    time: datetime
    watermark: int
    next_poll_s: float
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Result:
    """The server's verdict on one item."""

    seq: int
    event_id: str
    status: str
    code: str | None


@dataclass(frozen=True)
class ReadingsAnswer:
    """The server's answer to a batch: everything up to the watermark is safe there."""

    epoch: str
    watermark: int
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Refusal:
    """A whole request refused, with the facts to act on."""

    code: str
    expected: int | None = None
    epoch: str | None = None
    watermark: int | None = None


def parse_document(body: bytes) -> dict[str, object]:
    """Return the JSON object of a body. Raises WireError."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise WireError("not_json") from error
    return _object(document)


def parse_joined(body: bytes) -> Joined:
    """Return the answer to a join. Raises WireError."""
    document = parse_document(body)
    return Joined(
        branch_id=text(document, "branch_id"),
        branch_name=text(document, "branch_name"),
        deployment_id=text(document, "deployment_id"),
        epoch=text(document, "epoch"),
        ingest_key=parse_public_key(document.get("ingest_key")),
        server_key=parse_public_key(document.get("server_key")),
        ruleset=_object(document.get("ruleset")),
        demo=document.get("demo") is True,
    )


def parse_heartbeat(body: bytes) -> HeartbeatAnswer:
    """Return the answer to a heartbeat, orders sorted by number. Raises WireError."""
    document = parse_document(body)
    orders = [_order(entry) for entry in _objects(document, "orders")]
    return HeartbeatAnswer(
        epoch=text(document, "epoch"),
        time=parse_iso(text(document, "time")),
        watermark=whole(document, "watermark"),
        next_poll_s=_seconds(document, "next_poll_s"),
        orders=tuple(sorted(orders, key=lambda order: order.no)),
    )


def parse_readings_answer(body: bytes) -> ReadingsAnswer:
    """Return the answer to a batch. Raises WireError."""
    document = parse_document(body)
    results = [
        Result(whole(entry, "seq"), text(entry, "event_id"), text(entry, "status"), _text_or_none(entry, "code"))
        for entry in _objects(document, "results")
    ]
    return ReadingsAnswer(text(document, "epoch"), whole(document, "watermark"), tuple(results))


def parse_refusal(body: bytes) -> Refusal:
    """Return why the server refused. Raises WireError when the body is no error of ours."""
    document = parse_document(body)
    expected, watermark = document.get("expected"), document.get("watermark")
    return Refusal(
        code=text(document, "error"),
        expected=expected if isinstance(expected, int) else None,
        epoch=_text_or_none(document, "epoch"),
        watermark=watermark if isinstance(watermark, int) else None,
    )


def parse_public_key(value: object) -> PublicKey:
    """Return a key of 32 raw bytes with its id. Raises WireError."""
    document = _object(value)
    raw = from_b64(text(document, "public_key"))
    if len(raw) != 32:
        raise WireError("key_wrong_length")
    return PublicKey(text(document, "id"), raw)


def text(document: Mapping[str, object], name: str) -> str:
    """Return the text under a name. Raises WireError."""
    value = document.get(name)
    if not isinstance(value, str):
        raise WireError(f"{name}_missing")
    return value


def whole(document: Mapping[str, object], name: str) -> int:
    """Return the whole number, zero or more, under a name. Raises WireError."""
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WireError(f"{name}_missing")
    return value


def _order(document: dict[str, object]) -> Order:
    facts = {name: value for name, value in document.items() if name not in ("no", "kind")}
    return Order(whole(document, "no"), text(document, "kind"), facts)


def _seconds(document: Mapping[str, object], name: str) -> float:
    value = document.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 3600:
        raise WireError(f"{name}_missing")
    return float(value)


def _text_or_none(document: Mapping[str, object], name: str) -> str | None:
    return None if document.get(name) is None else text(document, name)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise WireError("not_an_object")
    return value


def _objects(document: Mapping[str, object], name: str) -> list[dict[str, object]]:
    entries = document.get(name)
    if not isinstance(entries, list):
        raise WireError(f"{name}_missing")
    return [_object(entry) for entry in entries]
