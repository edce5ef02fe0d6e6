"""Test peers without a browser: a person in a call, and a page that has its line checked.

A `CallPeer` speaks call.js's messages. It takes signals through `receive(event, document)` and sends its own through
the callable it is given, so a test may join two directly or drive one over a real Socket.IO connection. aiortc has no
rollback and no ICE restart: the polite peer never offers, and either answers a new round with a new connection.
"""

from __future__ import annotations

import asyncio
import fractions
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame

from telemed.consultation.line import Arrival, loss_pct, rate_of_trains
from telemed.consultation.media_check import ORDER, PING, PONG, PROBE, TRAIN

Send = Callable[[str, dict[str, Any]], Awaitable[None]]
SMALL = (160, 120)
FPS = 10
SIZE_BYTES = 1100


class Camera(MediaStreamTrack):
    """A small moving picture, cheap to encode."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._started_s = time.monotonic()

    async def recv(self) -> VideoFrame:
        self._count += 1
        await asyncio.sleep(max(0, self._started_s + self._count / FPS - time.monotonic()))
        frame = VideoFrame(*SMALL, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self._count * 5 % 255]) * plane.buffer_size)
        frame.pts, frame.time_base = self._count * (90000 // FPS), fractions.Fraction(1, 90000)
        return frame


class CallPeer:
    """One side of a call. `frames` counts what arrived from the far end, `heard` is what the far end says it gets."""

    def __init__(self, send: Send, call_id: str, *, polite: bool, video: bool = True) -> None:
        self._send, self.call_id, self.polite, self.video = send, call_id, polite, video
        self.page = str(uuid4())
        self.round = 0
        self.frames: dict[str, int] = defaultdict(int)
        self.heard = {"audio": False, "video": False}
        self.ended = False
        self.connection: RTCPeerConnection | None = None
        self._candidates: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._one_at_a_time = asyncio.Lock()

    async def join(self) -> None:
        """Join only now that messages can be taken."""
        self._connect()
        await self._send("call:join", {"call_id": self.call_id, "page": self.page})

    async def receive(self, event: str, document: dict[str, Any]) -> None:
        """Take one message of the far end or of the server."""
        async with self._one_at_a_time:
            if event == "call:peer" and document.get("joined") and not self.polite:
                await self._offer()
            elif event == "call:signal":
                await self._signal(document)
            elif event == "call:heard":
                self.heard = {kind: bool(document.get(kind)) for kind in ("audio", "video")}
            elif event == "call:ended":
                self.ended = True

    async def hold(self, seconds: float) -> dict[str, int]:
        """Stay in the call, saying each half second what arrives; return the frames that came in this time."""
        before, end = dict(self.frames), time.monotonic() + seconds
        while time.monotonic() < end and not self.ended:
            await asyncio.sleep(0.5)
            await self._send("call:heard", {"call_id": self.call_id, **self.hears})
        return {kind: self.frames[kind] - before.get(kind, 0) for kind in ("audio", "video")}

    @property
    def hears(self) -> dict[str, bool]:
        return {"audio": self.frames["audio"] > 0, "video": self.frames["video"] > 0}

    async def leave(self) -> None:
        """Say good-bye and let everything go."""
        await self._send("call:leave", {"call_id": self.call_id})
        await self.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self.connection is not None:
            await self.connection.close()

    def _connect(self) -> RTCPeerConnection:
        self.connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(AudioStreamTrack())
        if self.video:
            connection.addTrack(Camera())
        connection.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._count(track))))
        return connection

    async def _count(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
                self.frames[track.kind] += 1
        except MediaStreamError:
            return

    async def _offer(self) -> None:
        connection = self.connection or self._connect()
        if connection.signalingState == "stable" and connection.remoteDescription is None:
            await connection.setLocalDescription(await connection.createOffer())
        if connection.signalingState == "have-local-offer":
            await self._describe(connection)

    async def _signal(self, document: dict[str, Any]) -> None:
        their_round = int(document.get("round", 0))
        if their_round < self.round or self.connection is None:
            return
        if their_round > self.round:
            self.round = their_round
            await self.connection.close()
            self._candidates = []
            self._connect()
        if document.get("description"):
            await self._description(self.connection, document["description"])
        elif document.get("candidate"):
            await self._candidate(self.connection, document["candidate"])

    async def _description(self, connection: RTCPeerConnection, description: dict[str, str]) -> None:
        is_offer = description["type"] == "offer"
        if is_offer and not self.polite and connection.signalingState != "stable":
            return
        if not is_offer and connection.signalingState != "have-local-offer":
            return
        await connection.setRemoteDescription(RTCSessionDescription(**description))
        held, self._candidates = self._candidates, []
        for candidate in held:
            await self._candidate(connection, candidate)
        if is_offer:
            await connection.setLocalDescription(await connection.createAnswer())
            await self._describe(connection)

    async def _candidate(self, connection: RTCPeerConnection, candidate: dict[str, Any]) -> None:
        if connection.remoteDescription is None:
            self._candidates.append(candidate)
            return
        text = (candidate.get("candidate") or "").removeprefix("candidate:")
        if not text:
            return
        parsed = candidate_from_sdp(text)
        parsed.sdpMid, parsed.sdpMLineIndex = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        await connection.addIceCandidate(parsed)

    async def _describe(self, connection: RTCPeerConnection) -> None:
        local = connection.localDescription
        document = {"call_id": self.call_id, "page": self.page, "round": self.round}
        await self._send("call:signal", {**document, "description": {"type": local.type, "sdp": local.sdp}})


class LineCheckPeer:
    """The page's side of a line check, shorter than the page's own: `trains` each way of `length` messages."""

    def __init__(self, *, trains: int = 3, length: int = 10, pings: int = 10) -> None:
        self.trains, self.length, self.pings = trains, length, pings
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._probe = self.connection.createDataChannel("probe", **PROBE)
        self._rtts_s: list[float] = []
        self._down: dict[int, list[Arrival]] = defaultdict(list)
        self._sink = MediaBlackhole()
        self.connection.addTrack(AudioStreamTrack())
        self.connection.on("track", self._sink.addTrack)
        self._probe.on("message", self._arrive)

    async def offer(self) -> str:
        """Return the offer for the media process."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def measure(self, answer: str) -> dict[str, float | None]:
        """Measure and return what to report."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        await self._sink.start()
        await _opened(self._probe)
        for _ in range(self.pings):
            self._probe.send(bytes([PING]) + struct.pack(">d", time.perf_counter()) + bytes(51))
            await asyncio.sleep(0.045)
        for number in range(self.trains):
            self._probe.send(struct.pack(">BBBH", ORDER, number, self.length, SIZE_BYTES))
            await asyncio.sleep(0.2)
            self.connection.sctp._cwnd = 30_000
            for index in range(self.length):
                self._probe.send(bytes([TRAIN, number, index]) + bytes(SIZE_BYTES - 3))
            await asyncio.sleep(0.2)
        return await self._report()

    async def close(self) -> None:
        await self._sink.stop()
        await self.connection.close()

    async def _report(self) -> dict[str, float | None]:
        received = lost = 0
        for receiver in self.connection.getReceivers():
            for entry in (await receiver.getStats()).values():
                if entry.type == "inbound-rtp":
                    received, lost = received + entry.packetsReceived, lost + entry.packetsLost
        return {
            "rtt_ms": min(self._rtts_s) * 1000 if self._rtts_s else None,
            "down_kbit_s": rate_of_trains(self._down.values()),
            "loss_down_pct": loss_pct(received, lost),
        }

    def _arrive(self, message: bytes) -> None:
        now_s = time.perf_counter()
        if message[0] == PONG:
            self._rtts_s.append(now_s - struct.unpack(">d", message[1:9])[0])
        elif message[0] == TRAIN:
            self._down[message[1]].append(Arrival(now_s, len(message), message[2]))


async def _opened(channel: RTCDataChannel) -> None:
    deadline = time.monotonic() + 8
    while channel.readyState != "open":
        if time.monotonic() > deadline:
            raise TimeoutError(f"channel {channel.label} did not open")
        await asyncio.sleep(0.02)
