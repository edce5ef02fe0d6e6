"""One line check: the server's end of a short connection that measures what the page's line can carry.

Silent voice flows both ways at 50 packets a second: its RTP counters give the loss (counting channel messages would
not: a sender drops them before they are sent). An unordered channel without repeats carries pings and trains of
messages; the rate is read from their spacing, never from throughput, which SCTP halves on every lost packet.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack

from telemed.consultation.line import Arrival, Line, line_class, loss_pct, rate_of_runs

PING, PONG, TRAIN = 1, 2, 3
MESSAGE_BYTES = 1100
TRAINS_MOST, LENGTH_MOST = 12, 10
WINDOW_BYTES = 30_000  # a whole train leaves at once; aiortc would send three packets and wait a round trip
SEEN_AFTER_S = 0.4


class LineCheck:
    """A connection that lives until the page reports, leaves, or the time is up. `state`: measuring, done, failed."""

    def __init__(self, ice_servers: list[RTCIceServer]) -> None:
        # Always an explicit list: without one aiortc asks a public STUN server.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self.state = "measuring"
        self.result: dict[str, Any] | None = None
        self._started_s = time.monotonic()
        self._trains: dict[int, list[Arrival]] = defaultdict(list)
        self._sink = MediaBlackhole()
        self._channels: dict[str, RTCDataChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self.connection.on("datachannel", self._take_channel)
        self.connection.on("track", self._take_track)

    async def answer(self, sdp: str) -> str:
        """Return the answer to the page's offer. Raises ValueError or another error of the parser when it is broken."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        for transceiver in self.connection.getTransceivers():
            if transceiver.kind == "audio":
                transceiver.direction = "sendrecv"
                transceiver.sender.replaceTrack(AudioStreamTrack())
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await self._sink.start()
        return str(self.connection.localDescription.sdp)

    async def close(self) -> None:
        """End the connection and all that hangs on it; a check that is not done has failed."""
        if self.state == "measuring":
            self.state = "failed"
        current = asyncio.current_task()
        for task in [task for task in self._tasks if task is not current]:
            task.cancel()
        await self._sink.stop()
        await self.connection.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_track(self, track: MediaStreamTrack) -> None:
        self._sink.addTrack(track)  # unread frames would pile up

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label in ("control", "probe"):
            self._channels[channel.label] = channel
            channel.on("message", self._control if channel.label == "control" else self._probe)

    def _probe(self, message: bytes | str) -> None:
        if not isinstance(message, bytes) or len(message) < 9:
            return
        if message[0] == PING:
            self._channels["probe"].send(bytes([PONG]) + message[1:9])
        elif message[0] == TRAIN and message[1] < TRAINS_MOST and message[2] < LENGTH_MOST:
            train = self._trains[message[1]]
            if not train:
                self._start(self._tell_seen())
            if len(train) < LENGTH_MOST:
                train.append(Arrival(time.perf_counter(), len(message), message[2]))

    def _control(self, message: bytes | str) -> None:
        try:
            order = json.loads(message)
            if order["op"] == "train":
                self._send_train(int(order["number"]), int(order["length"]))
            elif order["op"] == "report" and self.state == "measuring":
                self._start(self._finish(order))
        except (ValueError, KeyError, TypeError):
            return  # a page that talks nonsense gets no result; its time runs out

    async def _tell_seen(self) -> None:
        await asyncio.sleep(SEEN_AFTER_S)
        self._tell({"op": "seen", "up_kbit_s": rate_of_runs(self._trains.values())})

    def _send_train(self, number: int, length: int) -> None:
        sctp = self.connection.sctp
        if sctp is None or not 0 <= number < TRAINS_MOST or self._sent >= TRAINS_MOST:
            return
        self._sent += 1
        sctp._cwnd = max(sctp._cwnd, WINDOW_BYTES)
        for index in range(min(length, LENGTH_MOST)):
            self._channels["probe"].send(bytes([TRAIN, number, index]) + bytes(MESSAGE_BYTES - 3))

    async def _finish(self, report: dict[str, Any]) -> None:
        """Put both ends' figures together, keep the result and tell the page."""
        received, lost = await self._voice_counters()
        line = Line(
            rtt_ms=_number(report.get("rtt_ms")),
            up_kbit_s=rate_of_runs(self._trains.values()),
            down_kbit_s=_number(report.get("down_kbit_s")),
            loss_up_pct=loss_pct(received, lost),
            loss_down_pct=_number(report.get("loss_down_pct")),
        )
        self.result = {
            "rtt_ms": _rounded(line.rtt_ms),
            "up_kbit_s": _rounded(line.up_kbit_s),
            "down_kbit_s": _rounded(line.down_kbit_s),
            "loss_up_pct": line.loss_up_pct,
            "loss_down_pct": line.loss_down_pct,
            "line_class": str(line_class(line)),
            "took_ms": round((time.monotonic() - self._started_s) * 1000),
        }
        self.state = "done"
        self._tell({"op": "result", **self.result})

    async def _voice_counters(self) -> tuple[int, int]:
        received = lost = 0
        for receiver in self.connection.getReceivers():
            for entry in (await receiver.getStats()).values():
                if entry.type == "inbound-rtp":
                    received, lost = received + entry.packetsReceived, lost + entry.packetsLost
        return received, lost

    def _tell(self, document: dict[str, Any]) -> None:
        channel = self._channels.get("control")
        if channel is not None and channel.readyState == "open":
            channel.send(json.dumps(document))


def _number(value: object) -> float | None:
    """Return a page's figure, or None when it is missing or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
