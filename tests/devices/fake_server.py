"""A small server that is as strict as the real one: it verifies signatures, the chain and every seal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices import sealing, wire
from devices.clock import utc_now
from devices.identity import Identity

GATEWAY_ID = "11111111-1111-4111-8111-111111111111"
BRANCH_ID = "22222222-2222-4222-8222-222222222222"


@dataclass
class FakeServer:
    """Everything it was sent stays readable in `items`, `records` and `beats`."""

    key: sealing.SigningKey = field(default_factory=sealing.SigningKey.fresh)
    ingest: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    gateway_key: sealing.SigningKey = field(default_factory=sealing.SigningKey.fresh)
    epoch: str = field(default_factory=lambda: str(uuid4()))
    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    beats: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    most_a_batch: int = 1000  # items taken of one batch; the rest waits for the next
    forge: Callable[[web.Response], web.Response] | None = None  # what stands between server and gateway
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def identity(self) -> Identity:
        """Return the identity of the gateway that has joined here."""
        return Identity(
            gateway_id=GATEWAY_ID,
            branch_id=BRANCH_ID,
            branch_name="Branch 1",
            deployment_id=str(uuid4()),
            server_url=self.url,
            epoch=self.epoch,
            demo=True,
            signing_key=self.gateway_key,
            ingest_key=wire.PublicKey("ingest-1", self.ingest.public_key().public_bytes_raw()),
            server_key=wire.PublicKey("server-1", self.key.public_bytes()),
            ruleset={"id": "demo-1"},
        )

    def order(self, kind: str, **facts: Any) -> None:
        """Give the next order."""
        self.orders.append({"no": len(self.orders) + 1, "kind": kind, **facts})

    @property
    def watermark(self) -> int:
        """The largest number up to which nothing is missing."""
        return len(self.items)

    async def until(self, is_true: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until something the gateway sends makes it true."""
        async with asyncio.timeout(within_s):
            while not is_true():
                self.changed.clear()
                await self.changed.wait()

    async def join(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if body["code"] != "GOOD-CODE":
            return web.json_response({"error": "invalid", "fields": {"code": "join_code_unknown"}}, status=422)
        self.gateway_public = wire.from_b64(body["public_key"])
        return web.json_response(
            {
                "gateway_id": body["gateway_id"],
                "branch_id": BRANCH_ID,
                "branch_name": "Branch 1",
                "deployment_id": str(uuid4()),
                "epoch": self.epoch,
                "time": wire.iso(utc_now()),
                "ingest_key": self.identity().ingest_key.as_json(),
                "server_key": self.identity().server_key.as_json(),
                "ruleset": {"id": "demo-1"},
                "demo": True,
                "next_poll_s": 0.2,
            }
        )

    async def heartbeat(self, request: web.Request) -> web.Response:
        body = await self._checked(request)
        assert not self.beats or body["beat"] > self.beats[-1]["beat"]
        self.beats.append(body)
        self.changed.set()
        answer = {
            "epoch": self.epoch,
            "time": wire.iso(utc_now()),
            "watermark": self.watermark,
            "next_poll_s": 0.1,
            "orders": [order for order in self.orders if order["no"] > body["last_order"]],
        }
        return await self._signed(request, 200, answer)

    async def readings(self, request: web.Request) -> web.Response:
        body = await self._checked(request)
        if body["epoch"] != self.epoch:
            refusal = {"error": "epoch_changed", "epoch": self.epoch, "watermark": self.watermark}
            return await self._signed(request, 409, refusal)
        first = body["items"][0]["seq"]
        if first > self.watermark + 1:
            return await self._signed(request, 409, {"error": "sequence_gap", "expected": self.watermark + 1})
        results = [self._take(item) for item in body["items"][: self.most_a_batch]]
        self.changed.set()
        answer = {"epoch": self.epoch, "time": wire.iso(utc_now()), "watermark": self.watermark}
        return await self._signed(request, 200, answer | {"results": results})

    def _take(self, entry: dict[str, Any]) -> dict[str, Any]:
        item = wire.Item(**entry)
        known = self.items.get(item.seq)
        if known is not None:
            assert known == entry, "the same number came with other bytes"
            return {"seq": item.seq, "event_id": item.event_id, "status": "duplicate", "code": None}
        assert item.prev == (self.items[item.seq - 1]["hash"] if item.seq > 1 else wire.CHAIN_START)
        assert item.hash == wire.chain_hash(GATEWAY_ID, BRANCH_ID, replace(item, hash=""))
        self.items[item.seq] = entry
        if item.kind == wire.READING:
            self.records[item.seq] = self._open(item)
        status = "accepted" if item.visit_id or item.kind != wire.READING else "quarantined"
        return {"seq": item.seq, "event_id": item.event_id, "status": status, "code": None}

    def _open(self, item: wire.Item) -> dict[str, Any]:
        info = wire.ingest_info(
            GATEWAY_ID, BRANCH_ID, item.key_id, item.seq, item.prev, item.visit_id, item.received_at
        )
        plain = sealing.INGEST_SUITE.decrypt(wire.from_b64(item.sealed), self.ingest, info)
        record: dict[str, Any] = json.loads(plain)
        has_stamp = record["meter_time"] is not None
        raw = bytes.fromhex(record["raw"])
        if record["meter"]["manufacturer"] == "TaiDoc":  # its numbers are others each time, so no part of the name
            raw = raw[:1] + raw[3:]
        assert item.reading_key == wire.reading_key(
            record["meter"]["enrolment_id"], record["characteristic"], raw, item.visit_id, record["ordinal"], has_stamp
        )
        return record

    async def _checked(self, request: web.Request) -> dict[str, Any]:
        self.requests += 1
        body = await request.read()
        assert request.headers[wire.GATEWAY_HEADER] == GATEWAY_ID
        signature = wire.from_b64(request.headers[wire.SIGNATURE_HEADER])
        message = wire.request_message("POST", request.path, body)
        assert sealing.is_signed_by(self.gateway_key.public_bytes(), message, signature)
        document: dict[str, Any] = json.loads(body)
        return document

    async def _signed(self, request: web.Request, status: int, answer: dict[str, Any]) -> web.Response:
        body = wire.to_bytes(answer)
        signature = self.key.sign(wire.response_message(request.path, await request.read(), body))
        headers = {
            wire.SERVER_KEY_HEADER: "server-1",
            wire.SERVER_SIGNATURE_HEADER: wire.b64(signature),
            "Content-Type": "application/json",
        }
        response = web.Response(body=body, status=status, headers=headers)
        return self.forge(response) if self.forge else response


@asynccontextmanager
async def serving(server: FakeServer) -> AsyncIterator[FakeServer]:
    """Run it on a free port of this computer."""
    app = web.Application(client_max_size=1_000_000)
    app.add_routes(
        [
            web.post(wire.JOIN_PATH, server.join),
            web.post(wire.HEARTBEAT_PATH, server.heartbeat),
            web.post(wire.READINGS_PATH, server.readings),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
